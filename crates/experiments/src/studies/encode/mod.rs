//! `encode`: data as latents of the flow ODE, and what can be done with latents.

mod page;

use std::path::Path;

use ::solvers::{Control, Method, flow, slerp, temper};
use anyhow::{Result, ensure};
use metrics::Estimate;
use ndarray::{Array2, Axis, s};
use report::Sheet;
use sde_core::analytic::AnalyticScore;
use sde_core::{Key, Sde, State as _, Tolerance};
use serde::{Deserialize, Serialize};

use super::target::{Target, noised};
use crate::model::rows;
use crate::named::Named;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encode;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    target: Named<Target>,
    sde: Named<dyn Sde>,
    t_end: f64,
    points: usize,
    tolerances: Vec<f64>,
    pairs: usize,
    shares: usize,
    temperatures: Vec<f64>,
}

/// Rows of coordinates.
type Rows = Vec<Vec<f64>>;

/// A way between two data points.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Way {
    /// Latents on the arc.
    #[serde(with = "crate::number")]
    latents: Rows,
    /// The arc, decoded.
    #[serde(with = "crate::number")]
    arc: Rows,
    /// The smallest log-density on the decoded arc and on the straight line between the data.
    #[serde(with = "crate::number")]
    least_arc: f64,
    #[serde(with = "crate::number")]
    least_line: f64,
}

/// Error of data encoded and decoded.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RoundTrip {
    #[serde(with = "crate::number")]
    tolerance: f64,
    rms: Estimate,
    #[serde(with = "crate::number")]
    largest: f64,
    #[serde(with = "crate::number")]
    evaluations: f64,
}

/// Latents at a temperature, decoded.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Temperature {
    #[serde(with = "crate::number")]
    tau: f64,
    /// Mean log-density of what is decoded, under the data's law.
    log_density: Estimate,
    /// Root of the mean variance of a coordinate.
    #[serde(with = "crate::number")]
    spread: f64,
    #[serde(with = "crate::number")]
    decoded: Rows,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    #[serde(with = "crate::number")]
    data: Rows,
    #[serde(with = "crate::number")]
    latents: Rows,
    components: Vec<usize>,
    /// Mean square of a coordinate of the latents, over that of the prior.
    latent_variance: Estimate,
    trips: Vec<RoundTrip>,
    ways: Vec<Way>,
    temperatures: Vec<Temperature>,
}

impl Experiment for Encode {
    const NAME: &'static str = "encode";
    const ABOUT: &'static str =
        "latents of data under the flow ODE, round trips, interpolation and temperature";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("encode");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        config.target.in_dimensions("target", 2)?;
        checks::below_horizon("t-end", &*config.sde, config.t_end)?;
        let Config { points, pairs, shares, .. } = *config;
        checks::all_at_least(&[("points", points, 2), ("shares", shares, 2)])?;
        ensure!(pairs <= points / 2, "pairs = {pairs}: more than half of points = {points}");
        ensure!(!config.tolerances.is_empty(), "tolerances = []: none given");
        checks::all_within("tolerances", &config.tolerances, checks::TOLERANCES)?;
        checks::all_within("temperatures", &config.temperatures, 0.0..=1e3)?;
        // As rows, text and discs of a drawing.
        let (passes, taus) = (2 * config.tolerances.len() + 1, config.temperatures.len());
        checks::memory(&[("points", points), ("temperatures", taus + 2)], 500)?;
        checks::memory(&[("pairs", pairs), ("shares", shares)], 1000)?;
        let rows = checks::time(&[("points", points), ("tolerances", passes + taus)])?
            + checks::time(&[("pairs", pairs), ("shares", shares)])?;
        Ok(1000.0 * rows)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        workspace.part("encode", || compute(config))
    }

    fn references(config: &Config) -> Vec<&'static str> {
        vec![Method::Dopri5.reference(), citations::sde(&*config.sde), "song2021"]
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        page::page(config, results)
    }
}

fn compute(config: &Config) -> Result<Results> {
    let (sde, mixture) = (&*config.sde, config.target.mixture()?);
    let flow = Flow { config, sde, score: mixture.under(sde) };
    let key = Key::root(config.seed);
    let data = noised(&mixture, sde, config.t_end, key.fold(0), config.points)?;
    let (latents, _) = flow.encode(&data, flow.tight())?;
    let components = config.target.component(&data);
    let pairs = pairs_apart(&components, config.pairs);
    let prior = Array2::zeros((config.points, 2)).normals_like(key.fold(1), 0)? * sde.prior_std();
    let squares = latents.outer_iter().map(|z| z.dot(&z) / 2.0 / sde.prior_std().powi(2));
    Ok(Results {
        data: rows(&data),
        latent_variance: Estimate::of_mean(&squares.collect::<Vec<_>>()),
        trips: config.tolerances.iter().map(|tol| flow.trip(&data, *tol)).collect::<Result<_>>()?,
        ways: pairs.iter().map(|p| flow.way(&data, &latents, *p)).collect::<Result<_>>()?,
        temperatures: config
            .temperatures
            .iter()
            .map(|tau| flow.temperature(&prior, *tau))
            .collect::<Result<_>>()?,
        latents: rows(&latents),
        components,
    })
}

/// Pairs of points from different components, in the order of the data.
fn pairs_apart(components: &[usize], most: usize) -> Vec<(usize, usize)> {
    let (mut pairs, mut free) = (Vec::new(), (0..components.len()).collect::<Vec<_>>());
    while pairs.len() < most && !free.is_empty() {
        let a = free.remove(0);
        if let Some(place) = free.iter().position(|b| components[*b] != components[a]) {
            pairs.push((a, free.remove(place)));
        }
    }
    pairs
}

/// The flow ODE of the target.
struct Flow<'a> {
    config: &'a Config,
    sde: &'a dyn Sde,
    score: AnalyticScore<'a>,
}

impl Flow<'_> {
    /// The smallest of the tolerances.
    fn tight(&self) -> f64 {
        self.config.tolerances.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Rows up to the horizon or down to the data, and the evaluations it took.
    fn along(&self, x: &Array2<f64>, [t_start, t_end]: [f64; 2], tol: f64) -> Result<Taken> {
        let tol = Tolerance { abs: tol, rel: tol };
        let control = Control::Adaptive { t_start, t_end, tol };
        let (x, done) = flow(Method::Dopri5, &control, self.sde, &self.score, x, 0, 1)?;
        Ok((x, done.row_evaluations))
    }

    fn encode(&self, data: &Array2<f64>, tol: f64) -> Result<Taken> {
        self.along(data, [self.config.t_end, self.sde.horizon()], tol)
    }

    fn decode(&self, latents: &Array2<f64>, tol: f64) -> Result<Taken> {
        self.along(latents, [self.sde.horizon(), self.config.t_end], tol)
    }

    fn trip(&self, data: &Array2<f64>, tolerance: f64) -> Result<RoundTrip> {
        let (latents, up) = self.encode(data, tolerance)?;
        let (back, down) = self.decode(&latents, tolerance)?;
        let square = (&back - data).mapv(|d| d * d).sum_axis(Axis(1));
        Ok(RoundTrip {
            tolerance,
            rms: Estimate::of_mean(&square.to_vec()).root(),
            largest: square.iter().copied().fold(0.0, f64::max).sqrt(),
            evaluations: (up + down) as f64 / data.nrows() as f64,
        })
    }

    /// Between two data points, along the arc of their latents and on the straight line.
    fn way(
        &self,
        data: &Array2<f64>,
        latents: &Array2<f64>,
        (a, b): (usize, usize),
    ) -> Result<Way> {
        let row = |x: &Array2<f64>, k: usize| x.slice(s![k..k + 1, ..]).to_owned();
        let (mut arc, mut line) = (Array2::zeros((0, 2)), Array2::zeros((0, 2)));
        for k in 0..=self.config.shares {
            let u = k as f64 / self.config.shares as f64;
            arc.append(Axis(0), slerp(&row(latents, a), &row(latents, b), u)?.view())?;
            line.append(Axis(0), (row(data, a) * (1.0 - u) + row(data, b) * u).view())?;
        }
        let (decoded, _) = self.decode(&arc, self.tight())?;
        let least = |x: &Array2<f64>| -> Result<f64> {
            let logs = self.score.log_density(x, self.config.t_end)?;
            Ok(logs.into_iter().fold(f64::INFINITY, f64::min))
        };
        let (least_arc, least_line) = (least(&decoded)?, least(&line)?);
        Ok(Way { latents: rows(&arc), arc: rows(&decoded), least_arc, least_line })
    }

    /// Latents of the prior at a temperature, decoded.
    fn temperature(&self, prior: &Array2<f64>, tau: f64) -> Result<Temperature> {
        let (x, _) = self.decode(&temper(prior, tau)?, self.tight())?;
        Ok(Temperature {
            tau,
            log_density: Estimate::of_mean(&self.score.log_density(&x, self.config.t_end)?),
            spread: x.var_axis(Axis(0), 0.0).mean().unwrap_or_default().sqrt(),
            decoded: rows(&x),
        })
    }
}

/// Rows, and the evaluations of the score for all of them.
type Taken = (Array2<f64>, u64);
