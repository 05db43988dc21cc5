//! `identifiability`: how alike two networks trained apart encode the same data.

mod page;

use std::path::Path;

use ::solvers::{Control, Method, flow};
use anyhow::{Context as _, Result, ensure};
use fp_residual::fokker_planck::OnRows;
use metrics::Estimate;
use ndarray::{Array1, Array2};
use report::Sheet;
use sde_core::{Key, Score, Sde, TimeGrid};
use serde::{Deserialize, Serialize};

use super::root_mean_square;
use super::sampling::BLOCK;
use super::train::Training;
use crate::checks;
use crate::model::{matrix, rows};
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};

/// What the seed of the second network differs by, small enough for TOML.
const OTHER: u64 = 1 << 62;

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identifiability;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    points: usize,
    t_end: f64,
    steps: usize,
    training: Training,
}

/// Two encodings of the same data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pair {
    name: String,
    /// Correlation of each coordinate.
    correlation: [Estimate; 2],
    /// Root mean square distance of the two latents of a point.
    rms: Estimate,
    /// Of the latents of different points: what no relation would give.
    unrelated: Estimate,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    /// Latents of both networks.
    #[serde(with = "crate::number")]
    first: Vec<Vec<f64>>,
    #[serde(with = "crate::number")]
    second: Vec<Vec<f64>>,
    pairs: Vec<Pair>,
}

impl Experiment for Identifiability {
    const NAME: &'static str = "identifiability";
    const ABOUT: &'static str = "how alike two networks trained apart encode the same data";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("identifiability");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let Config { points, steps, t_end, .. } = *config;
        checks::all_at_least(&[("points", points, 3), ("steps", steps, 1)])?;
        let trained = config.training.check()?;
        let sde = config.training.sde()?;
        ensure!(t_end > 0.0, "t-end = {t_end:?}: must be positive");
        checks::below_horizon("t-end", &*sde, t_end)?;
        // Latents of three scores, as rows, text and discs of a drawing.
        checks::memory(&[("points", points)], 1000)?;
        config.times(&*sde)?;
        Ok(2.0 * trained + 6.0 * checks::time(&[("points", points), ("steps", steps)])?)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let set = *config.training.data_set;
        let first = config.training.network(config.seed, workspace)?;
        let second = config.training.network(config.seed ^ OTHER, workspace)?;
        let sde = sde_core::sde::parse(&first.sde().name())?;
        // Held out: no training sees these points.
        let data = set.sample(Key::root(config.seed).fold(0x1D), 0, config.points);
        let encode = |name: &str, score: &dyn Score<Array2<f64>>| -> Result<Array2<f64>> {
            let latents = || Ok(rows(&latents(config, &*sde, score, &data)?));
            matrix(&workspace.numbers(name, latents)?, 2)
        };
        let a = encode("latents-first", &OnRows(&first))?;
        let b = encode("latents-second", &OnRows(&second))?;
        let mut pairs = vec![pair("first and second network", &a, &b)];
        if let Some(exact) = set.under(&*sde) {
            let e = encode("latents-exact", &exact)?;
            pairs.push(pair("first network and exact score", &a, &e));
            pairs.push(pair("second network and exact score", &b, &e));
        }
        Ok(Results { first: rows(&a), second: rows(&b), pairs })
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let training = config.training.references().into_iter();
        training.chain([Method::Heun.reference(), "song2021"]).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        Ok(page::page(config, results))
    }
}

impl Config {
    /// The steps up from the data.
    fn times(&self, sde: &dyn Sde) -> Result<Vec<f64>> {
        let times = TimeGrid::Quadratic.times(sde, self.steps, sde.horizon(), self.t_end);
        let mut times = times.context("steps, t-end")?;
        times.reverse();
        Ok(times)
    }
}

/// Latents by Heun's method on a grid with short steps near the data.
fn latents(
    config: &Config,
    sde: &dyn Sde,
    score: &dyn Score<Array2<f64>>,
    data: &Array2<f64>,
) -> Result<Array2<f64>> {
    let times = config.times(sde)?;
    Ok(flow(Method::Heun, &Control::Grid(times), sde, score, data, 0, BLOCK as u64)?.0)
}

fn pair(name: &str, a: &Array2<f64>, b: &Array2<f64>) -> Pair {
    // Each point against the one half the data further on.
    let n = a.nrows();
    let other = Array2::from_shape_fn(b.dim(), |(i, j)| b[[(i + n / 2) % n, j]]);
    let correlation = |j: usize| {
        let centred = |x: &Array2<f64>| -> Array1<f64> {
            let column = x.column(j).to_owned();
            let mean = column.mean().unwrap_or_default();
            column - mean
        };
        let (x, y) = (centred(a), centred(b));
        let value = x.dot(&y) / (x.dot(&x) * y.dot(&y)).sqrt();
        // Of normal variables, to first order.
        Estimate { value, standard_error: (1.0 - value * value) / (n as f64 - 1.0).sqrt() }
    };
    Pair {
        name: name.into(),
        correlation: [correlation(0), correlation(1)],
        rms: root_mean_square((a - b).view()),
        unrelated: root_mean_square((a - &other).view()),
    }
}
