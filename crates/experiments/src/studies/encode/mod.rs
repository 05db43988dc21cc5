//! `encode`: data as latents of the flow ODE, and what can be done with latents.

mod page;

use std::path::Path;

use ::solvers::{Control, Method, Summary, flow, slerp, temper};
use anyhow::{Context as _, Result, ensure};
use metrics::Estimate;
use ndarray::{Array2, s};
use report::Sheet;
use sde_core::analytic::AnalyticScore;
use sde_core::{Key, Sde, Tolerance};
use serde::{Deserialize, Serialize};

use super::target::{Target, noised};
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
    target: String,
    sde: String,
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
        let target = Target::parse(&config.target).context("target")?;
        ensure!(target.means[0].len() == 2, "target = {:?}: not in the plane", config.target);
        let sde = sde_core::sde::parse(&config.sde).context("sde")?;
        checks::below_horizon("t-end", &*sde, config.t_end)?;
        let Config { points, pairs, shares, .. } = *config;
        checks::at_least("points", points, 2)?;
        checks::at_least("shares", shares, 2)?;
        ensure!(pairs <= points / 2, "pairs = {pairs}: more than half of points = {points}");
        ensure!(!config.tolerances.is_empty(), "tolerances = []: none given");
        for tol in &config.tolerances {
            checks::tolerance("tolerances", *tol)?;
        }
        for tau in &config.temperatures {
            checks::within("temperatures", *tau, 0.0..=1e3)?;
        }
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

    fn references(config: &Config) -> Vec<String> {
        let flow = citations::method(Method::Dopri5.name()).into_iter();
        flow.chain([citations::sde(&config.sde), "song2021".into()]).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        page::page(config, results)
    }
}

fn rows(x: &Array2<f64>) -> Rows {
    x.rows().into_iter().map(|r| r.to_vec()).collect()
}

/// The flow of the exact score between data and latents.
struct Map<'a> {
    sde: &'a dyn Sde,
    score: AnalyticScore<'a>,
    low: f64,
    high: f64,
}

impl Map<'_> {
    fn along(&self, x: &Array2<f64>, ends: [f64; 2], tol: f64) -> Result<(Array2<f64>, Summary)> {
        let tol = Tolerance { abs: tol, rel: tol };
        let control = Control::Adaptive { t_start: ends[0], t_end: ends[1], tol };
        Ok(flow(Method::Dopri5, &control, self.sde, &self.score, x, 0, 1)?)
    }

    fn encode(&self, x: &Array2<f64>, tol: f64) -> Result<(Array2<f64>, Summary)> {
        self.along(x, [self.low, self.high], tol)
    }

    fn decode(&self, z: &Array2<f64>, tol: f64) -> Result<(Array2<f64>, Summary)> {
        self.along(z, [self.high, self.low], tol)
    }

    fn log_density(&self, x: &Array2<f64>) -> Result<Vec<f64>> {
        Ok(self.score.log_density(x, self.low)?)
    }
}

fn compute(config: &Config) -> Result<Results> {
    let sde: Box<dyn Sde> = sde_core::sde::parse(&config.sde)?;
    let target = Target::parse(&config.target)?;
    let mixture = target.mixture()?;
    let key = Key::root(config.seed);
    let data = noised(&mixture, &*sde, config.t_end, key.fold(0), config.points)?;
    let map =
        Map { sde: &*sde, score: mixture.under(&*sde), low: config.t_end, high: sde.horizon() };
    let trips = config.tolerances.iter().map(|tol| round_trip(&map, &data, *tol));
    let trips = trips.collect::<Result<_>>()?;
    let tight = config.tolerances.iter().copied().fold(f64::INFINITY, f64::min);
    let (latents, _) = map.encode(&data, tight)?;
    let components = target.component(&data);
    let pairs = pairs(&components, config.pairs).into_iter();
    let ways = pairs.map(|pair| way(config, &map, [&data, &latents], pair, tight));
    let ways = ways.collect::<Result<_>>()?;
    let mut z = vec![0.0; 2 * config.points];
    key.fold(1).fill_normals(0, &mut z);
    let prior = Array2::from_shape_vec((config.points, 2), z)? * sde.prior_std();
    let temperatures =
        config.temperatures.iter().map(|tau| at_temperature(&map, &prior, *tau, tight));
    let temperatures = temperatures.collect::<Result<_>>()?;
    let shares = latents.rows().into_iter().map(|z| z.dot(&z) / 2.0 / sde.prior_std().powi(2));
    Ok(Results {
        data: rows(&data),
        latent_variance: Estimate::of_mean(&shares.collect::<Vec<_>>()),
        latents: rows(&latents),
        components,
        trips,
        ways,
        temperatures,
    })
}

/// Data there and back at a tolerance.
fn round_trip(map: &Map, data: &Array2<f64>, tolerance: f64) -> Result<RoundTrip> {
    let (latent, up) = map.encode(data, tolerance)?;
    let (back, down) = map.decode(&latent, tolerance)?;
    let square = (&back - data).mapv(|d| d * d).sum_axis(ndarray::Axis(1));
    Ok(RoundTrip {
        tolerance,
        rms: Estimate::of_mean(&square.to_vec()).root(),
        largest: square.iter().copied().fold(0.0, f64::max).sqrt(),
        evaluations: (up.row_evaluations + down.row_evaluations) as f64 / data.nrows() as f64,
    })
}

/// Pairs of points from different components, in the order of the data.
fn pairs(components: &[usize], most: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut free: Vec<usize> = (0..components.len()).collect();
    while found.len() < most && !free.is_empty() {
        let a = free.remove(0);
        if let Some(place) = free.iter().position(|b| components[*b] != components[a]) {
            found.push((a, free.remove(place)));
        }
    }
    found
}

/// The arc between two latents, decoded, and the straight line between their data.
fn way(
    config: &Config,
    map: &Map,
    [data, latents]: [&Array2<f64>; 2],
    (a, b): (usize, usize),
    tol: f64,
) -> Result<Way> {
    let row = |x: &Array2<f64>, k: usize| x.slice(s![k..k + 1, ..]).to_owned();
    let (mut arc, mut line) = (Array2::zeros((0, 2)), Array2::zeros((0, 2)));
    for k in 0..=config.shares {
        let u = k as f64 / config.shares as f64;
        let z = slerp(&row(latents, a), &row(latents, b), u)?;
        arc.append(ndarray::Axis(0), z.view())?;
        let x = row(data, a) * (1.0 - u) + row(data, b) * u;
        line.append(ndarray::Axis(0), x.view())?;
    }
    let (decoded, _) = map.decode(&arc, tol)?;
    let least = |x: &Array2<f64>| -> Result<f64> {
        Ok(map.log_density(x)?.into_iter().fold(f64::INFINITY, f64::min))
    };
    let (least_arc, least_line) = (least(&decoded)?, least(&line)?);
    Ok(Way { latents: rows(&arc), least_arc, least_line, arc: rows(&decoded) })
}

/// Latents of the prior times a temperature, decoded.
fn at_temperature(map: &Map, prior: &Array2<f64>, tau: f64, tol: f64) -> Result<Temperature> {
    let (x, _) = map.decode(&temper(prior, tau)?, tol)?;
    Ok(Temperature {
        tau,
        log_density: Estimate::of_mean(&map.log_density(&x)?),
        spread: x.var_axis(ndarray::Axis(0), 0.0).mean().unwrap_or_default().sqrt(),
        decoded: rows(&x),
    })
}
