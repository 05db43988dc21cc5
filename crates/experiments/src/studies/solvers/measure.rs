//! One method on one problem: what it costs and how far off it is.

use std::time::Instant;

use ::solvers::{Control, End, Method, Sampler};
use anyhow::{Context as _, Result};
use metrics::Estimate;
use ndarray::{Array2, s};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Sde, TimeGrid, Tolerance};

use super::{Config, Curve, Point, Problem};
use crate::distance::Truth;
use crate::model::rows;
use crate::studies::sampling::{BLOCK, all};
use crate::studies::target::noised;

/// Purposes of keys.
const STARTS: u64 = 0;
const TRUTH: u64 = 1;
const NOISE: u64 = 2;
const FLOOR: u64 = 3;

/// The tolerance of the solution that errors are measured against.
const TIGHT: f64 = 1e-11;

/// After a tolerance that took more evaluations than this, no tighter one is tried.
const TOO_MANY: f64 = 1000.0;

/// A problem, ready to be solved.
pub(super) struct Bench<'a> {
    config: &'a Config,
    sde: &'a dyn Sde,
    mixture: GaussianMixture,
    t_end: f64,
    key: Key,
    starts: Array2<f64>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(config: &'a Config, problem: &'a Problem, k: u64) -> Result<Self> {
        let (sde, mixture) = (&*problem.sde, problem.target.mixture()?);
        let key = Key::root(config.seed).fold(k);
        let n = config.particles.max(config.noise.n);
        // Starts are drawn from p_T itself: the prior's own error is no solver's.
        let starts = noised(&mixture, sde, sde.horizon(), key.fold(STARTS), n)?;
        Ok(Self { config, sde, mixture, t_end: problem.t_end, key, starts })
    }

    fn particles(&self) -> Array2<f64> {
        self.starts.slice(s![..self.config.particles, ..]).to_owned()
    }

    /// The flow's solution from the starts, by Dormand and Prince's method to a tight tolerance.
    pub(super) fn exact(&self) -> Result<Vec<Vec<f64>>> {
        let sampler = self.adaptive_sampler(Method::Dopri5, TIGHT);
        let score = self.mixture.under(self.sde);
        let (x, _) = all(&sampler, self.sde, &score, &self.particles(), self.key)?;
        Ok(rows(&x))
    }

    pub(super) fn truth(&self) -> Result<Truth> {
        let noise = &self.config.noise;
        // The truth at the time where samplers end.
        let key = self.key.fold(TRUTH);
        let truth = noised(&self.mixture, self.sde, self.t_end, key, noise.truth)?;
        let draws = (noise.floors, self.key.fold(FLOOR));
        Truth::new(self.config.window, truth.view(), noise.n, draws)
    }

    /// The flow ODE at every budget, on the best grid.
    pub(super) fn ode(&self, method: Method, exact: &Array2<f64>) -> Result<Curve> {
        let starts = self.particles();
        let measured = |x: &Array2<f64>| Ok(Some(rms(x, exact)));
        self.curve(method, 0.0, &starts, self.config.repeats, &measured)
    }

    /// With noise, against the truth.
    pub(super) fn noise(&self, method: Method, truth: &Truth) -> Result<Curve> {
        let starts = self.starts.slice(s![..self.config.noise.n, ..]).to_owned();
        let measured = |x: &Array2<f64>| truth.distance(x.view());
        self.curve(method, self.config.noise.eta, &starts, 1, &measured)
    }

    fn curve(
        &self,
        method: Method,
        eta: f64,
        starts: &Array2<f64>,
        repeats: usize,
        measured: &dyn Fn(&Array2<f64>) -> Result<Option<Estimate>>,
    ) -> Result<Curve> {
        let (mut points, mut refused) = (Vec::new(), None);
        for budget in &self.config.budgets {
            let Some(steps) = most_steps(method, *budget) else { continue };
            let mut best: Option<(Point, &TimeGrid)> = None;
            for grid in &self.config.grids {
                let found = self
                    .sampler(method, eta, grid, steps)
                    .and_then(|sampler| self.timed(&sampler, starts, 1));
                let (x, nfe, micros) = match found {
                    Ok(found) => found,
                    Err(error) => {
                        refused.get_or_insert(format!("{budget} evaluations, {grid}: {error}"));
                        continue;
                    }
                };
                let Some(found) = measured(&x)?.filter(|e| e.value.is_finite()) else { continue };
                if best.as_ref().is_none_or(|(b, _)| found.value < b.error) {
                    let point = Point::new(nfe, found, micros, grid.to_string(), *budget);
                    best = Some((point, &**grid));
                }
            }
            if let Some((mut point, grid)) = best {
                if repeats > 1 {
                    // The time once more, for the grid that is shown.
                    let sampler = self.sampler(method, eta, grid, steps)?;
                    point.micros = self.timed(&sampler, starts, repeats)?.2;
                }
                points.push(point);
            }
        }
        Ok(Curve { method: method.name().into(), adaptive: false, points, refused })
    }

    fn sampler(&self, method: Method, eta: f64, grid: &TimeGrid, steps: u64) -> Result<Sampler> {
        let steps = usize::try_from(steps)?;
        let times = grid.times(self.sde, steps, self.sde.horizon(), self.t_end)?;
        let control = Control::Grid(times);
        Ok(Sampler { method, eta, control, end: End::Plain, block_rows: BLOCK as u64 })
    }

    /// The flow ODE with steps of the method's own, every particle by itself.
    pub(super) fn adaptive(&self, method: Method, exact: &Array2<f64>) -> Result<Curve> {
        let starts = self.particles();
        let (mut points, mut refused) = (Vec::new(), None);
        for tol in &self.config.tolerances {
            match self.timed(&self.adaptive_sampler(method, *tol), &starts, self.config.repeats) {
                Ok((x, nfe, micros)) => {
                    let found = rms(&x, exact);
                    if found.value.is_finite() {
                        points.push(Point::new(nfe, found, micros, format!("{tol:e}"), 0));
                    }
                    if nfe > TOO_MANY {
                        break;
                    }
                }
                Err(error) => {
                    refused.get_or_insert(format!("tolerance {tol:e}: {error}"));
                }
            }
        }
        Ok(Curve { method: method.name().into(), adaptive: true, points, refused })
    }

    fn adaptive_sampler(&self, method: Method, tol: f64) -> Sampler {
        let control = Control::Adaptive {
            t_start: self.sde.horizon(),
            t_end: self.t_end,
            tol: Tolerance { abs: tol, rel: tol },
        };
        Sampler { method, eta: 0.0, control, end: End::Plain, block_rows: BLOCK as u64 }
    }

    /// Samples, mean evaluations for a particle, and microseconds for one on one thread: the
    /// shortest of several times.
    fn timed(
        &self,
        sampler: &Sampler,
        starts: &Array2<f64>,
        repeats: usize,
    ) -> Result<(Array2<f64>, f64, f64)> {
        let score = self.mixture.under(self.sde);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().context("a thread")?;
        let n = starts.nrows() as f64;
        let (mut micros, mut kept) = (f64::INFINITY, None);
        for _ in 0..repeats.max(1) {
            let start = Instant::now();
            let (x, done) =
                one.install(|| all(sampler, self.sde, &score, starts, self.key.fold(NOISE)))?;
            micros = micros.min(1e6 * start.elapsed().as_secs_f64() / n);
            kept = Some((x, done.row_evaluations as f64 / n));
        }
        let (x, nfe) = kept.context("at least one run")?;
        Ok((x, nfe, micros))
    }
}

/// The most steps of a method that a number of evaluations allows; they grow with the steps.
fn most_steps(method: Method, budget: u64) -> Option<u64> {
    let (mut fits, mut beyond) = (0, budget.saturating_add(1));
    while beyond - fits > 1 {
        let steps = fits + (beyond - fits) / 2;
        if method.nfe(steps) <= budget {
            fits = steps;
        } else {
            beyond = steps;
        }
    }
    (fits > 0).then_some(fits)
}

/// Root of the mean squared distance of rows.
fn rms(x: &Array2<f64>, y: &Array2<f64>) -> Estimate {
    crate::studies::root_mean_square((x - y).view())
}
