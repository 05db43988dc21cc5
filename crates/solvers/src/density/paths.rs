//! The density of every sampler of the family, the SDE included, from paths of another SDE.

use std::ops::Range;

use sde_core::counts::{in_memory, in_time};
use sde_core::sde::check_time;
use sde_core::{
    Dynamics, Error, Key, Potential, Probe, Result as CoreResult, Sde, State, log_density_residual,
};

use super::{Augmented, LogPrior, nan_row, one_a_row};
use crate::rows::solve_rows;
use crate::steppers::{Heun, RungeKutta};
use crate::tableau::DOPRI5;
use crate::{
    BrownianTree, Control, IndependentIncrements, Noise, Request, Result, SolveError, Stepper,
    Summary, solve, solve_blocks,
};

/// Levels of the Brownian tree behind adaptive steps.
const DEPTH: u32 = 40;

/// `dX = (a X - (1 - eta^2)/2 g^2 grad phi) dt + eta g dW` forward in time, with the integral of the
/// Fokker-Planck residual `R` along its paths.
struct Tilted<'a, S> {
    sde: &'a dyn Sde,
    model: &'a dyn Potential<S>,
    eta: f64,
}

impl<S: State> Dynamics<Augmented<S>> for Tilted<'_, S> {
    fn drift(&self, state: &Augmented<S>, t: f64) -> CoreResult<Augmented<S>> {
        check_time(self.sde, t)?;
        let (x, times) = (&state.x, vec![t; state.rows()]);
        let phi = self.model.derivatives(x, &times)?;
        let residual = log_density_residual(&phi, x, &times, self.sde)?;
        let c = -0.5 * (1.0 - self.eta * self.eta) * self.sde.diffusion_squared(t);
        let drift = S::lincomb(&[(self.sde.drift_coef(t), x), (c, &phi.score)])?;
        Augmented::new(drift, vec![residual])
    }

    fn diffusion(&self, t: f64) -> f64 {
        self.eta * self.sde.diffusion(t)
    }
}

/// How [`sampler_log_density`] is computed.
#[derive(Clone, Debug)]
pub struct PathDensity {
    /// The sampler's stochasticity: 0 for the flow, 1 for the reverse SDE.
    pub eta: f64,
    /// Paths from every point; one where `eta = 0`.
    pub n_paths: u64,
    /// The steps, from the time of the data up to the horizon: of stochastic Heun (weak order 2), of
    /// Dormand-Prince where `eta = 0`. A tolerance holds for every path on its own.
    pub control: Control,
    /// Paths in a block; one where the steps are chosen.
    pub block_rows: u64,
}

/// Log-densities of points, from paths.
#[derive(Clone, Debug)]
pub struct PathLogDensity {
    /// The natural logarithm of the density, a point.
    pub log_density: Vec<f64>,
    /// Its standard error over the paths; `None` from fewer than [`Probe::FEWEST_FOR_ERROR`], and where nothing
    /// is random.
    pub std_error: Option<Vec<f64>>,
    /// `(sum w)^2 / sum w^2` for the paths' weights `w`: how many equal ones they are worth. Where it
    /// is far below the number of paths, the standard error is itself uncertain.
    pub effective_paths: Vec<f64>,
    /// What it cost, in paths.
    pub summary: Summary,
}

/// The log-density at rows `x` of the samples that `dx = (a x - (1 + eta^2)/2 g^2 s) dt + eta g dW`,
/// `s = grad phi`, draws when it is run backward in time from `p_T`, at the time `t` where the steps
/// begin:
///
/// `log p_eta(x) = phi(x, t) + log E exp(h(X_T) + int_t^T R(X_u, u) du)`, `h = log p_T - phi(., T)`,
/// `dX = (a X - (1 - eta^2)/2 g^2 s) du + eta g dW` forward from `X_t = x`,
///
/// with `R` of [`log_density_residual`]. Nothing has to be run backward, `p_eta` is found point by point
/// for any potential, trained or not, and adding a function of time to `phi` changes nothing. With
/// `eta = 0` the paths are those of the flow and the mean is over one: a line integral.
///
/// The mean is taken over `n_paths` paths; path `j` of point `i` is a function of `key` and
/// `(first_row + i) n_paths + j`. The standard error of its logarithm is that of the mean divided by the
/// mean (the delta method); the logarithm is biased by `-std_error^2 / 2` to leading order. Steps of
/// finite length bias it too, by the square of their length on a grid. With `(&paths, BadRows::Nan(..))` for
/// `&paths` a point with a path that cannot be solved is NaN ([`crate::BadRows`]).
///
/// # Errors
/// [`SolveError::Setup`] for no paths, an `eta` below zero or steps that do not lead up to the horizon;
/// [`SolveError::InRow`] with an error of [`solve`] and the first point it is due to; otherwise as [`solve`], or what `prior` fails with.
///
/// # Reference
/// Feynman-Kac for the Fokker-Planck equation of the reverse process, divided by `e^phi`; the gap
/// between `eta = 0` and `1`: Deveney et al. 2025, arXiv 2311.15996.
///
/// ```
/// use ndarray::array;
/// use sde_core::{Key, TimeGrid, Vp, analytic::DataSet};
/// use solvers::{Control, density::{PathDensity, sampler_log_density}};
///
/// let vp = Vp::default();
/// let model = DataSet::Blob.under(&vp).expect("a mixture");
/// let mut times = TimeGrid::Quadratic.times(&vp, 30, 1.0, 1e-3)?;
/// times.reverse();
/// let paths = PathDensity { eta: 1.0, n_paths: 8, control: Control::Grid(times), block_rows: 64 };
/// let x = array![[0.3, 1.0]];
/// let prior = |x: &_| model.log_density(x, 1.0);
/// let found = sampler_log_density(&paths, &vp, &model, &x, &prior, Key::root(1), 0)?;
/// // The potential is exact: so is every path.
/// assert!((found.log_density[0] - model.log_density(&x, 1e-3)?[0]).abs() < 1e-9);
/// # Ok::<(), solvers::SolveError>(())
/// ```
pub fn sampler_log_density<'a, S: State>(
    paths: impl Into<Request<'a, PathDensity>>,
    sde: &dyn Sde,
    model: &dyn Potential<S>,
    x: &S,
    prior: &LogPrior<'_, S>,
    key: Key,
    first_row: u64,
) -> Result<PathLogDensity> {
    let Request { how: paths, bad } = paths.into();
    let (t_start, t_end) = check(paths, sde, x.rows() as u64)?;
    let (noisy, n_paths) = (paths.eta > 0.0, paths.needed());
    // The numbers of the points of some paths.
    let points = |first: u64, len: u64| -> Vec<u64> {
        (first..first + len).map(|path| first_row + path / n_paths).collect()
    };
    let solve_block = |first: u64, len: usize| {
        let start = Augmented::start(starts(x, first..first + len as u64, n_paths)?, 1);
        let path = first_row * n_paths + first;
        let model = model.potential_for_rows(&points(first, len as u64))?;
        let problem = Tilted { sde, model: &*model, eta: paths.eta };
        let noise: Box<dyn Noise<Augmented<S>>> = match paths.control {
            Control::Adaptive { .. } | Control::GottaGoFast { .. } if noisy => {
                Box::new(BrownianTree::new(key, path, t_start, t_end, DEPTH)?)
            }
            _ => Box::new(IndependentIncrements::new(key, path)),
        };
        let mut steps = paths.control.controller()?;
        let stepper: Box<dyn Stepper<Augmented<S>, Tilted<'_, S>>> =
            if noisy { Box::new(Heun) } else { Box::new(RungeKutta(&DOPRI5)) };
        solve(&*stepper, &problem, start, t_start, &mut *steps, &*noise, &mut ())
    };
    let mut means = Means::new(n_paths);
    let mut keep = |first: u64, part: Augmented<S>| {
        let rows = part.rows();
        let model = model.potential_for_rows(&points(first, rows as u64))?;
        let log_prior = one_a_row(rows, prior(&part.x)?)?;
        let phi = model.derivatives(&part.x, &vec![t_end; rows])?.potential;
        for ((p, phi), integral) in log_prior.iter().zip(&phi).zip(&part.integrals[0]) {
            means.add(p - phi + integral);
        }
        Ok::<(), SolveError>(())
    };
    let rows = x.rows() as u64 * n_paths;
    let block_rows = paths.control.rows_in_a_block(paths.block_rows)?;
    let solve_block = |first: u64, len: usize| {
        let nan = |path: u64| nan_row(starts(x, path..path + 1, n_paths)?, 1);
        let point = |path: u64| first_row + path / n_paths;
        solve_rows(bad, (first, len), &solve_block, &nan, &point)
    };
    let summary = solve_blocks(rows, block_rows, &solve_block, &mut keep)?;
    let numbers: Vec<u64> = (first_row..first_row + x.rows() as u64).collect();
    let model = model.potential_for_rows(&numbers)?;
    let phi = model.derivatives(x, &vec![t_start; x.rows()])?.potential;
    let log_density = phi.iter().zip(&means.log_mean).map(|(phi, m)| phi + m).collect();
    let std_error = (n_paths >= Probe::FEWEST_FOR_ERROR as u64).then_some(means.std_error);
    Ok(PathLogDensity { log_density, std_error, effective_paths: means.effective, summary })
}

impl PathDensity {
    /// Paths from every point: one where nothing is random.
    fn needed(&self) -> u64 {
        if self.eta > 0.0 { self.n_paths } else { 1 }
    }
}

/// The times where paths begin and end, for settings that make sense.
fn check(paths: &PathDensity, sde: &dyn Sde, points: u64) -> Result<(f64, f64)> {
    let refuse = |name: &str, value: String, reason: &str| {
        let (name, reason) = (name.into(), reason.into());
        Err(SolveError::Setup(Error::Parameter { name, value, reason }))
    };
    if !(paths.eta.is_finite() && paths.eta >= 0.0) {
        return refuse("eta", paths.eta.to_string(), "must be finite and non-negative");
    }
    if paths.n_paths == 0 {
        return refuse("n_paths", "0".into(), "must be at least 1");
    }
    // The weights of one point's paths wait for each other.
    let each = ("paths", paths.needed());
    in_memory(&[each], 16).map_err(Error::Excess)?;
    in_time(&[each, ("points", points)]).map_err(Error::Excess)?;
    let (t_start, t_end) = paths.control.upward(sde)?;
    if !sde.drift_coef(t_end).is_finite() {
        let reason = "has infinite coefficients, and so has the residual along paths to it: give the density of the flow";
        return refuse("horizon", t_end.to_string(), reason);
    }
    Ok((t_start, t_end))
}

/// Where paths number `range` begin: `n_paths` of them at each point.
pub(super) fn starts<S: State>(x: &S, range: Range<u64>, n_paths: u64) -> CoreResult<S> {
    let mut points = vec![];
    let mut at = range.start;
    while at < range.end {
        let point = at / n_paths;
        let next = range.end.min((point + 1) * n_paths);
        let row = x.slice_rows(point as usize, 1)?;
        points.extend(std::iter::repeat_n(row, (next - at) as usize));
        at = next;
    }
    S::concat_rows(&points)
}

/// Logarithms of means of exponentials, one point after the other, and means of the logarithms.
#[derive(Default)]
pub(super) struct Means {
    n: usize,
    waiting: Vec<f64>,
    pub(super) log_mean: Vec<f64>,
    pub(super) std_error: Vec<f64>,
    pub(super) mean_log: Vec<f64>,
    pub(super) mean_log_error: Vec<f64>,
    pub(super) effective: Vec<f64>,
}

impl Means {
    pub(super) fn new(n: u64) -> Self {
        Self { n: n as usize, ..Self::default() }
    }

    pub(super) fn add(&mut self, log_weight: f64) {
        self.waiting.push(log_weight);
        if self.waiting.len() < self.n {
            return;
        }
        let n = self.n as f64;
        let mean_log = self.waiting.iter().sum::<f64>() / n;
        let off: f64 = self.waiting.iter().map(|l| (l - mean_log).powi(2)).sum();
        self.mean_log.push(mean_log);
        self.mean_log_error.push((off / (n * (n - 1.0))).sqrt());
        let top = self.waiting.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = self.waiting.drain(..).map(|l| (l - top).exp()).collect();
        let mean = weights.iter().sum::<f64>() / n;
        let spread: f64 = weights.iter().map(|w| (w - mean).powi(2)).sum();
        let square: f64 = weights.iter().map(|w| w * w).sum();
        self.log_mean.push(top + mean.ln());
        self.std_error.push((spread / (n * (n - 1.0))).sqrt() / mean);
        self.effective.push((n * mean).powi(2) / square);
    }
}
