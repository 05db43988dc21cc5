//! Log-densities of withheld rows, beside those of Gaussians fitted to the same training rows.

use anyhow::Result;
use data::Dataset;
use metrics::Estimate;
use ndarray::{Array2, s};
use score_nets::ScoreModel;
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Probe, Vp};
use serde::{Deserialize, Serialize};
use solvers::Control;
use solvers::density::{Divergence, FlowDensity, flow_log_density, standard_log_prior};

use super::config::{Measuring, Sampling};
use super::prepared::Prepared;
use crate::model::to_batch;
use crate::runs::Workspace;

/// Rows of a block of the flow.
const BLOCK: u64 = 64;

/// Of so many rows, those whose log-density is computed with twice the steps as well.
pub(super) fn doubled(rows: usize) -> usize {
    (rows / 4).clamp(16, 64).min(rows)
}

/// Components of the mixture beside the Gaussian.
const COMPONENTS: usize = 10;

/// Coordinates up to which mixtures with full covariances are fitted.
pub(super) const WIDEST: usize = 200;

/// Rows that they are fitted to, at most.
const ENOUGH: usize = 50_000;

/// Log-densities of withheld rows, in nats a row of the data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Likelihood {
    pub(super) rows: usize,
    /// Whether the divergence was exact.
    pub(super) exact: bool,
    /// By the flow without classes, and with the class of every row.
    pub(super) plain: Estimate,
    pub(super) given_class: Option<Estimate>,
    /// Standard error of `plain` from the probes alone.
    #[serde(with = "crate::number")]
    pub(super) of_probes: Option<f64>,
    /// Change of `plain` when the steps are doubled, on the rows that this was computed for.
    #[serde(with = "crate::number")]
    pub(super) doubled: f64,
    pub(super) doubled_rows: usize,
    /// What the standard normal at the horizon costs at least: the divergence from it of the Gaussian that has the moments
    /// of the data at the horizon.
    #[serde(with = "crate::number")]
    pub(super) prior: f64,
    /// The Gaussian and the mixture of the training rows, and by how much the flow is above each.
    pub(super) fitted: Vec<Fitted>,
    /// `log |det|` that takes a density of the model to one of the data.
    #[serde(with = "crate::number")]
    pub(super) log_abs_det: f64,
}

/// A mixture beside the model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Fitted {
    pub(super) components: usize,
    pub(super) found: Estimate,
    /// The flow's log-density less this one's, row by row.
    pub(super) above: Estimate,
}

/// What is needed to compute log-densities.
pub(super) struct Flow<'a> {
    pub(super) model: &'a ScoreModel,
    pub(super) prepared: &'a Prepared,
    pub(super) sampling: &'a Sampling,
    pub(super) measuring: &'a Measuring,
    pub(super) key: Key,
}

impl Flow<'_> {
    fn exact(&self) -> bool {
        self.model.dim() <= self.measuring.exact_up_to
    }

    /// Log-densities of rows of the model; `steps` of the flow up from the end of sampling.
    fn of(
        &self,
        x: &Array2<f64>,
        labels: Option<&[u32]>,
        steps: usize,
        workspace: &Workspace,
    ) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
        let sde = self.model.sde();
        let mut times = self.sampling.grid.times(sde, steps, sde.horizon(), self.sampling.t_end)?;
        times.reverse();
        let probes = self.measuring.probes;
        let flow = FlowDensity {
            divergence: match self.exact() {
                true => Divergence::Exact,
                false => Divergence::Hutchinson { probe: Probe::Rademacher, n_probes: probes },
            },
            control: Control::Grid(times),
            block_rows: BLOCK,
        };
        let classes = labels
            .map(|l| candle_core::Tensor::from_vec(l.to_vec(), l.len(), self.model.device()))
            .transpose()?;
        let given = self.model.with_labels(classes.as_ref())?;
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        // Some blocks at a time, so that ctrl-c is heard.
        let some = BLOCK as usize * rayon::current_num_threads().max(2);
        let each = self.measuring.density_cost(steps, self.model.dim());
        let rows = x.nrows() as u64;
        let mut bar = workspace.progress.part("likelihood", "likelihood", (rows, 0), each);
        for (piece, first) in x.axis_chunks_iter(ndarray::Axis(0), some).zip((0..).step_by(some)) {
            workspace.go_on()?;
            let x = to_batch(&piece.to_owned(), self.model)?;
            let prior = |x: &candle_core::Tensor| standard_log_prior(sde, x);
            let done = flow_log_density(&flow, sde, &given, &x, &prior, self.key, first)?;
            found.extend(done.log_density);
            errors.extend(done.std_error.unwrap_or_default());
            bar.advance(piece.nrows() as u64);
        }
        Ok((found, (!errors.is_empty()).then_some(errors)))
    }

    /// Everything about withheld rows.
    pub(super) fn likelihood(
        &self,
        training: &Dataset,
        test: &Dataset,
        workspace: &Workspace,
    ) -> Result<Likelihood> {
        let n = test.len().min(self.measuring.likelihood);
        let x = self.prepared.to_model(test.rows(0, n)?.view(), self.key.fold(1), 0)?;
        let log_abs_det = self.prepared.log_abs_det();
        let data = |values: &[f64]| values.iter().map(|v| v + log_abs_det).collect::<Vec<_>>();
        let steps = self.measuring.likelihood_steps;
        let (plain, errors) = self.of(&x, None, steps, workspace)?;
        let few = doubled(n);
        let (doubled, _) =
            self.of(&x.slice(s![..few, ..]).to_owned(), None, 2 * steps, workspace)?;
        let change: Vec<f64> = doubled.iter().zip(&plain).map(|(d, p)| d - p).collect();
        let given_class = match test.labels() {
            Some(labels) if self.model.n_classes() > 0 => {
                Some(self.of(&x, Some(&labels.of[..n]), steps, workspace)?.0)
            }
            _ => None,
        };
        let of_probes = errors.map(|e| e.iter().map(|e| e * e).sum::<f64>().sqrt() / n as f64);
        let z = self.prepared.to_model(training.rows(0, ENOUGH)?.view(), self.key.fold(2), 0)?;
        Ok(Likelihood {
            rows: n,
            exact: self.exact(),
            given_class: given_class.map(|g| Estimate::of_mean(&data(&g))),
            of_probes,
            doubled: Estimate::of_mean(&change).value,
            doubled_rows: few,
            prior: self.prior_divergence(&z),
            fitted: self.fitted(&z, &x, &plain, log_abs_det)?,
            plain: Estimate::of_mean(&data(&plain)),
            log_abs_det,
        })
    }

    /// `KL(N(alpha m, diag(alpha^2 v + sigma^2)) || N(0, prior^2 I))`, with the mean and variances of the data.
    fn prior_divergence(&self, z: &Array2<f64>) -> f64 {
        let sde = self.model.sde();
        let (m, prior) = (sde.marginal(sde.horizon()), sde.prior_std().powi(2));
        let columns = z.columns().into_iter().map(|column| {
            let mean = column.mean().unwrap_or(0.0) * m.alpha;
            let variance = (m.alpha * m.alpha * column.var(0.0) + m.sigma * m.sigma) / prior;
            0.5 * (variance - 1.0 - variance.ln() + mean * mean / prior)
        });
        columns.sum()
    }

    fn fitted(
        &self,
        training: &Array2<f64>,
        test: &Array2<f64>,
        flow: &[f64],
        log_abs_det: f64,
    ) -> Result<Vec<Fitted>> {
        if training.ncols() > WIDEST {
            return Ok(Vec::new());
        }
        let sizes = [1, COMPONENTS].into_iter().filter(|k| training.nrows() > 2 * k);
        sizes
            .map(|components| {
                let mixture = GaussianMixture::fit(training.view(), components, self.key.fold(3))?;
                let vp = Vp::default();
                let own = mixture.under(&vp).log_density(test, 0.0)?;
                let above: Vec<f64> = flow.iter().zip(&own).map(|(f, o)| f - o).collect();
                let own: Vec<f64> = own.iter().map(|v| v + log_abs_det).collect();
                Ok(Fitted {
                    components,
                    found: Estimate::of_mean(&own),
                    above: Estimate::of_mean(&above),
                })
            })
            .collect()
    }
}
