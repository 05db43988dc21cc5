//! Squared distances of samples to exact ones of the posterior, in repeats.

use anyhow::Result;
use metrics::{Metric, NoiseFloor, Options, Sample, w2};
use ndarray::Array2;
use rayon::prelude::*;
use sde_core::Key;
use serde::{Deserialize, Serialize};

use super::Config;
use super::methods::{Counted, Draw, Method};
use super::problem::{Problem, Setup};

/// Squared W2 and squared sliced W2, a value a repeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Distances {
    #[serde(with = "crate::number")]
    pub(super) w2: Vec<f64>,
    #[serde(with = "crate::number")]
    pub(super) sliced: Vec<f64>,
}

/// A method on a budget of evaluations.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    pub(super) method: Method,
    /// Scores and vector-Jacobian products that a sample may take.
    pub(super) budget: usize,
    pub(super) steps: usize,
    /// Those it took, as counted.
    #[serde(with = "crate::number")]
    pub(super) scores: f64,
    #[serde(with = "crate::number")]
    pub(super) products: f64,
    /// Nothing where a sample left the numbers.
    pub(super) found: Option<Distances>,
}

impl Row {
    /// Scores and products of a sample.
    pub(super) fn cost(&self) -> f64 {
        self.scores + self.products
    }
}

/// Purposes of keys.
const TRUTH: u64 = 1;
const EXACT: u64 = 2;
const SAMPLES: u64 = 3;
const DIRECTIONS: u64 = 4;

/// Directions of the sliced distance.
const PROJECTIONS: usize = 100;

/// Exact samples, one set a repeat, that every method is held against.
fn exact(config: &Config, setup: &Setup, key: Key) -> Vec<Array2<f64>> {
    let draw = |r: usize| setup.exact.mixture().sample(key.fold(r as u64), 0, config.n);
    (0..config.repeats).map(draw).collect()
}

fn distances(config: &Config, x: &[Array2<f64>], key: Key, setup: &Setup) -> Result<Distances> {
    let truth = exact(config, setup, key.fold(TRUTH));
    let options =
        Options { key: key.fold(DIRECTIONS), projections: PROJECTIONS, ..Options::default() };
    let one = |(x, y): (&Array2<f64>, &Array2<f64>)| -> Result<(f64, f64)> {
        let (a, b) = (Sample::cloud(x.clone()), Sample::cloud(y.clone()));
        let sliced = Metric::Sliced.evaluate(&a, &b, &options)?.value;
        Ok((w2(x.view(), y.view())?.primal, sliced * sliced))
    };
    let found: Vec<(f64, f64)> = x.par_iter().zip(&truth).map(one).collect::<Result<_>>()?;
    let (w2, sliced) = found.into_iter().unzip();
    Ok(Distances { w2, sliced })
}

/// What a perfect sampler has: other exact samples against the same ones.
pub(super) fn floor(config: &Config, setup: &Setup, key: Key) -> Result<Distances> {
    distances(config, &exact(config, setup, key.fold(EXACT)), key, setup)
}

/// Values of repeats as the floor of that many rows.
pub(super) fn noise_floor(config: &Config, values: &[f64]) -> NoiseFloor {
    NoiseFloor { size: [config.n, config.n], values: values.to_vec() }
}

/// A method on every budget that has room for two steps.
pub(super) fn rows(
    config: &Config,
    problem: &Problem,
    setup: &Setup,
    method: Method,
    key: Key,
) -> Result<Vec<Row>> {
    let per_step = method.per_step(problem.seen, config.repaint).max(1);
    let affordable = config.budgets.iter().filter(|budget| **budget / per_step >= 2);
    affordable
        .map(|budget| row(config, setup, method, (*budget, *budget / per_step), key))
        .collect()
}

fn row(
    config: &Config,
    setup: &Setup,
    method: Method,
    (budget, steps): (usize, usize),
    key: Key,
) -> Result<Row> {
    let sde = &*config.sde;
    let score = Counted::new(setup.prior.under(sde));
    let draw = Draw {
        sde,
        setup,
        score: &score,
        grid: *config.grid,
        steps,
        n: config.n,
        repaint: config.repaint,
        zeta: config.zeta,
    };
    let own = key.fold(SAMPLES).fold(method as u64).fold(budget as u64);
    let samples: Vec<Option<Array2<f64>>> = (0..config.repeats)
        .into_par_iter()
        .map(|r| draw.samples(method, own.fold(r as u64)))
        .collect::<Result<_>>()?;
    let rows = (config.n * config.repeats) as f64;
    let [scores, products] = score.counts().map(|count| count as f64 / rows);
    let whole: Option<Vec<Array2<f64>>> = samples.into_iter().collect();
    let found = whole.map(|x| distances(config, &x, key, setup)).transpose()?;
    Ok(Row { method, budget, steps, scores, products, found })
}
