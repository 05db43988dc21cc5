//! Mean and covariance of a sampler on Gaussian data, exactly: every step is an affine map, which
//! the stepper itself is asked for.

use anyhow::Result;
use ndarray::{Array1, Array2, s};
use sde_core::{Reverse, Score, Sde};
use solvers::{Noise, Past, Stepper};

type Rows = Array2<f64>;

/// A Gaussian law.
#[derive(Clone, Debug)]
pub(super) struct Law {
    pub(super) mean: Array1<f64>,
    pub(super) cov: Array2<f64>,
}

/// One step of a sampler: the interval it spans, and whether it has noise.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepSpec {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) noise: bool,
}

/// Increments that are one standard deviation along one axis in each of the last rows.
struct UnitIncrements {
    dim: usize,
    on: bool,
}

impl Noise<Rows> for UnitIncrements {
    fn increment(&self, like: &Rows, t0: f64, t1: f64) -> sde_core::Result<Rows> {
        let mut rows = Rows::zeros(like.dim());
        let first = 1 + self.dim;
        for j in 0..self.dim {
            rows[[first + j, j]] = if self.on { (t1 - t0).abs().sqrt() } else { 0.0 };
        }
        Ok(rows)
    }

    fn first_row(&self) -> u64 {
        0
    }
}

/// The law after `steps` of a one-step method.
///
/// Row 0 of what the stepper sees is the mean; then the mean displaced along each axis; then the
/// mean with a unit of noise along each axis. Differences to row 0 are the map's columns.
pub(super) fn propagate(
    stepper: &dyn for<'a> Stepper<Rows, Reverse<'a, Rows>>,
    sde: &dyn Sde,
    score: &dyn Score<Rows>,
    eta: f64,
    steps: &[StepSpec],
    start: Law,
) -> Result<Law> {
    let dim = start.mean.len();
    let problem = Reverse::new(sde, score, eta)?;
    let Law { mut mean, mut cov } = start;
    for step in steps {
        let mut rows = Rows::from_shape_fn((1 + 2 * dim, dim), |(_, j)| mean[j]);
        for j in 0..dim {
            rows[[1 + j, j]] += 1.0;
        }
        let noise = UnitIncrements { dim, on: step.noise };
        let end = stepper.step(&problem, &rows, step.from, step.to, &Past::default(), &noise)?.x;
        mean = end.row(0).to_owned();
        // Rows of the difference are columns of the map.
        let columns = &end.slice(s![1.., ..]) - &mean;
        let (moved, added) = (columns.slice(s![..dim, ..]), columns.slice(s![dim.., ..]));
        cov = moved.t().dot(&cov).dot(&moved) + added.t().dot(&added);
    }
    Ok(Law { mean, cov })
}
