//! Log-densities of both samplers at withheld images, and the residual of the score over time.

use ::solvers::Control;
use ::solvers::density::{
    Divergence, FlowDensity, NoisedPaths, flow_log_density, reverse_sde_log_density,
    standard_log_prior,
};
use anyhow::Result;
use candle_core::Tensor;
use data::{Kind, Pixels};
use fp_residual::{TimeWeight, squared_residual};
use metrics::Estimate;
use ndarray::Array2;
use score_nets::{Condition, ScoreModel};
use sde_core::{Key, Probe};
use serde::{Deserialize, Serialize};

use super::train::{Setup, purpose};
use crate::model::{to_batch, to_numbers};

/// Rows of a block.
const BLOCK: u64 = 64;

/// Log-densities at withheld images, in nats an image of the data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Densities {
    /// Bits a dimension of the ODE, of many images, with the error over them.
    pub(super) bits: Estimate,
    pub(super) rows: usize,
    /// Of fewer images: the log-density of the ODE and of the SDE, its lower bound, the differences image by image.
    pub(super) ode: Estimate,
    pub(super) sde: Estimate,
    pub(super) bound: Estimate,
    /// SDE less ODE.
    pub(super) above: Estimate,
    /// Lower bound of the SDE less ODE.
    pub(super) bound_above: Estimate,
    /// Mean of the magnitude of the difference.
    pub(super) apart: Estimate,
    /// Deviation of a path's log-weight, root mean square over the images: 0 for the score of a process.
    #[serde(with = "crate::number")]
    pub(super) spread: f64,
    /// Mean number of equal weights that the paths of an image are worth.
    #[serde(with = "crate::number")]
    pub(super) effective: f64,
    /// Image by image.
    pub(super) points: Points,
}

/// What twice the steps change of the densities, for one network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Finer {
    #[serde(with = "crate::number")]
    pub(super) weight: f64,
    /// Change of the ODE's log-density, the same images.
    pub(super) ode: Estimate,
    /// Change of the lower bound and of the log-density of the SDE, by other paths.
    pub(super) bound: Estimate,
    pub(super) sde: Estimate,
}

/// The residual at a time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Energy {
    #[serde(with = "crate::number")]
    pub(super) t: f64,
    /// Mean of the squared drift of the expected data along the reverse SDE in a unit of `log(alpha / sigma)`, a coordinate,
    /// with the error over rows and probes: without bias, so that it may be negative.
    pub(super) found: Estimate,
}

/// Image by image, in nats of the model's coordinates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Points {
    ode: Vec<f64>,
    sde: Vec<f64>,
    bound: Vec<f64>,
    /// Deviation of a path's log-weight.
    spread: Vec<f64>,
    effective: Vec<f64>,
}

/// A network at withheld images.
pub(super) struct At<'a> {
    pub(super) setup: &'a Setup<'a>,
    pub(super) model: &'a ScoreModel,
    pub(super) seed: usize,
}

impl At<'_> {
    /// Withheld images as the model has them, and their classes.
    fn rows(&self, n: usize) -> Result<(Array2<f64>, Option<Tensor>)> {
        let test = &self.setup.parts.test;
        let n = n.min(test.len());
        // The same noise of dequantisation for all networks.
        let key = self.setup.config.key(0, purpose::LIKELIHOOD).fold(1);
        let x = self.setup.prepared.to_model(test.rows(0, n)?.view(), key, 0)?;
        let labels = self.setup.labels(test).map(|l| l[..n].to_vec());
        let labels = labels.map(|l| Tensor::from_vec(l, n, self.model.device())).transpose()?;
        Ok((x, labels))
    }

    fn key(&self, purpose: u64) -> Key {
        self.setup.config.key(self.seed, purpose)
    }

    fn divergence(&self) -> Divergence {
        let m = &self.setup.config.measuring;
        match self.model.dim() <= m.exact_up_to {
            true => Divergence::Exact,
            false => Divergence::Hutchinson { probe: Probe::Rademacher, n_probes: m.probes },
        }
    }

    fn times(&self, steps: usize) -> Result<Vec<f64>> {
        let (sde, sampling) = (self.model.sde(), &self.setup.config.sampling);
        let mut times = sampling.grid.times(sde, steps, sde.horizon(), sampling.t_end)?;
        times.reverse();
        Ok(times)
    }

    /// Log-densities of the ODE, in nats of the model's coordinates.
    fn flow(&self, n: usize, steps: usize, divergence: Divergence) -> Result<Vec<f64>> {
        let (sde, (rows, labels)) = (self.model.sde(), self.rows(n)?);
        let given = self.model.with_labels(labels.as_ref())?;
        let control = Control::Grid(self.times(steps)?);
        let flow = FlowDensity { divergence, control, block_rows: BLOCK };
        let prior = |x: &Tensor| standard_log_prior(sde, x);
        let (x, key) = (to_batch(&rows, self.model)?, self.key(purpose::LIKELIHOOD));
        Ok(flow_log_density(&flow, sde, &given, &x, &prior, key, 0)?.log_density)
    }

    fn points(&self, finer: usize) -> Result<Points> {
        let (sde, d) = (self.model.sde(), &self.setup.config.density);
        let (rows, labels) = self.rows(d.points)?;
        let given = self.model.with_labels(labels.as_ref())?;
        let mut times = sde_core::TimeGrid::LogSnr.times(
            sde,
            d.nodes * finer,
            sde.horizon(),
            self.setup.config.sampling.t_end,
        )?;
        times.reverse();
        let paths = NoisedPaths {
            n_paths: d.paths,
            times,
            substeps: d.substeps,
            divergence: self.divergence(),
            reference_std: self.cell(),
            block_rows: BLOCK,
        };
        let prior = |x: &Tensor| standard_log_prior(sde, x);
        let (x, key) = (to_batch(&rows, self.model)?, self.key(purpose::PATHS));
        let found = reverse_sde_log_density(&paths, sde, &given, &x, &prior, key, 0)?;
        let root = (d.paths as f64).sqrt();
        Ok(Points {
            ode: self.flow(d.points, d.ode_steps * finer, self.divergence())?,
            sde: found.log_density,
            bound: found.lower_bound,
            spread: found.bound_error.unwrap_or_default().iter().map(|e| e * root).collect(),
            effective: found.effective_paths,
        })
    }

    /// The deviation of the noise of dequantisation in the model's coordinates.
    fn cell(&self) -> f64 {
        let transform = &self.setup.prepared.transform;
        let place = transform.coordinates(0);
        let uniform = 1.0 / 12.0_f64.sqrt();
        if place.dequantised { uniform / place.scale.abs() } else { 0.0 }
    }

    pub(super) fn densities(&self) -> Result<Densities> {
        let (setup, log_det) = (self.setup, self.setup.prepared.log_abs_det());
        let m = &setup.config.measuring;
        let probes = Divergence::Hutchinson { probe: Probe::Rademacher, n_probes: m.probes };
        let many = self.flow(m.likelihood, m.likelihood_steps, probes)?;
        let unit = self.model.dim() as f64 * std::f64::consts::LN_2;
        let bits: Vec<f64> = many.iter().map(|l| -(l + log_det) / unit).collect();
        setup.workspace.go_on()?;
        let p = self.points(1)?;
        let data =
            |v: &[f64]| Estimate::of_mean(&v.iter().map(|v| v + log_det).collect::<Vec<_>>());
        let above = differences(&p.ode, &p.sde);
        let squares: f64 = p.spread.iter().map(|s| s * s).sum();
        let n = p.spread.len().max(1) as f64;
        Ok(Densities {
            bits: Estimate::of_mean(&bits),
            rows: many.len(),
            ode: data(&p.ode),
            sde: data(&p.sde),
            bound: data(&p.bound),
            above: Estimate::of_mean(&above),
            bound_above: Estimate::of_mean(&differences(&p.ode, &p.bound)),
            apart: Estimate::of_mean(&above.iter().map(|a| a.abs()).collect::<Vec<_>>()),
            spread: (squares / n).sqrt(),
            effective: p.effective.iter().sum::<f64>() / n,
            points: p,
        })
    }

    /// What twice the steps change.
    pub(super) fn finer(&self, weight: f64, once: &Points) -> Result<Finer> {
        let twice = self.points(2)?;
        let change = |a: &[f64], b: &[f64]| Estimate::of_mean(&differences(a, b));
        Ok(Finer {
            weight,
            ode: change(&once.ode, &twice.ode),
            bound: change(&once.bound, &twice.bound),
            sde: change(&once.sde, &twice.sde),
        })
    }

    /// The residual at every time, at withheld images noised.
    pub(super) fn energies(&self) -> Result<Vec<Energy>> {
        let (model, sde) = (self.model, self.model.sde());
        let (rows, labels) = self.rows(self.setup.config.measuring.rows)?;
        let (n, d) = rows.dim();
        // Noise and probes are shared by all networks of a seed.
        let key = self.key(purpose::RESIDUAL);
        let one = |(k, t): (u64, &f64)| -> Result<Energy> {
            self.setup.workspace.go_on()?;
            let (m, key) = (sde.marginal(*t), key.fold(k));
            let mut z = Array2::zeros((n, d));
            key.fold(0).fill_normals(0, z.as_slice_mut().expect("in one piece"));
            let x = &rows * m.alpha + z * m.sigma;
            let weight = TimeWeight::Denoiser.at(sde, &[*t])?[0] / d as f64;
            let mut squares = Vec::with_capacity(n);
            for first in (0..n).step_by(BLOCK as usize) {
                let len = (n - first).min(BLOCK as usize);
                let part = x.slice(ndarray::s![first..first + len, ..]).to_owned();
                let labels = labels.as_ref().map(|l| l.narrow(0, first, len)).transpose()?;
                let condition = Condition { labels, training: None };
                let at = (key, first as u64);
                let x = to_batch(&part, model)?;
                let found = squared_residual(model, &x, &vec![*t; len], at, &condition)?;
                squares.extend(to_numbers(&found)?.into_iter().map(|v| v * weight));
            }
            Ok(Energy { t: *t, found: Estimate::of_mean(&squares) })
        };
        (0..).zip(&self.setup.config.times).map(one).collect()
    }
}

fn differences(from: &[f64], to: &[f64]) -> Vec<f64> {
    from.iter().zip(to).map(|(a, b)| b - a).collect()
}

/// Levels of a pixel, of images that have some.
pub(super) fn levels(kind: &Kind) -> Option<u32> {
    match kind {
        Kind::Images { pixels: Pixels::Levels(n), .. } => Some(*n),
        _ => None,
    }
}
