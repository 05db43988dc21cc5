//! The density of the reverse SDE of any score, a gradient or not, from samples noised on.

use sde_core::counts::{in_memory, in_time};
use sde_core::{Dynamics, Error, Key, Probe, Result as CoreResult, ScoreJvp, Sde, State};

use super::paths::{Means, starts};
use super::{Augmented, Divergence, LogPrior, nan_row, one_a_row};
use crate::rows::solve_rows;
use crate::{
    Control, IndependentIncrements, Noise, Past, Request, Result, Solution, SolveError, Step,
    Stepper, Summary, solve, solve_blocks,
};

/// How [`reverse_sde_log_density`] is computed.
#[derive(Clone, Debug)]
pub struct NoisedPaths {
    /// Paths from every point.
    pub n_paths: u64,
    /// The nodes, from the time of the data up to the horizon, where the divergence is computed.
    pub times: Vec<f64>,
    /// Steps between two nodes, even in the log signal-to-noise ratio, of everything but the divergence.
    pub substeps: usize,
    /// The divergence; probes are a path's own, and stay the same along it.
    pub divergence: Divergence,
    /// The deviation `r` of the reference `N(x, r^2 I)` at the time of the data: that of the noise in the data, such as
    /// a cell of dequantised levels. It decides how much steps of finite length are off, not what they tend to.
    pub reference_std: f64,
    /// Paths in a block.
    pub block_rows: u64,
}

/// Log-densities of points under the reverse SDE, with a lower bound.
#[derive(Clone, Debug)]
pub struct NoisedLogDensity {
    /// The logarithm of the mean of the paths' weights, a point: the log-density in the limit of many paths.
    pub log_density: Vec<f64>,
    /// Its standard error over the paths; `None` from fewer than [`Probe::FEWEST_FOR_ERROR`].
    pub std_error: Option<Vec<f64>>,
    /// The mean of the logarithms of the weights, whose expectation is at most the log-density (Jensen).
    pub lower_bound: Vec<f64>,
    /// Its standard error over the paths; `None` from a single one.
    pub bound_error: Option<Vec<f64>>,
    /// `(sum w)^2 / sum w^2` for the paths' weights `w`: how many equal ones they are worth.
    pub effective_paths: Vec<f64>,
    /// What it cost, in paths; evaluations are those of the score, without divergences.
    pub summary: Summary,
}

/// The log-density at rows `x` of the samples that `dx = (a x - g^2 s) dt + g dW` draws when it is run backward in time
/// from `p_T`, at the time `t` where the nodes begin, for any score `s`, also one that is no gradient:
///
/// `log p(x) = log E e^W`, `W = log p_T(X_T) + int_t^T (div f + f . s - (g^2/2) (div s + |s|^2)) du - int_t^T s o dX`,
/// `dX = f du + g dW` forward from `X_t = x`, `f = a X`,
///
/// the second integral that of Stratonovich. `E W` is a lower bound, the one that score matching with likelihood weighting
/// maximises. Where `s = grad phi`, `W` is `phi(x, t) + h(X_T) + int R` of [`super::sampler_log_density`]; where `s` is the
/// score of the process, all paths have the same `W`, up to their steps.
///
/// The density `psi` of `N(x / alpha, r^2 I)` noised on solves the Fokker-Planck equation, and what it would have given is
/// taken out: integrals are of `s - grad psi` alone. Between nodes `X / alpha` moves by exact Gaussian increments; the line
/// integral and `|s|^2` take the score at both ends of a substep at the time in its middle, the divergence is integrated by
/// the trapezoid over the nodes, and time is counted in the log signal-to-noise ratio. Path `j` of point `i` is a function
/// of `key` and `(first_row + i) n_paths + j`; a score that asks for its rows gets the number of the point.
///
/// # Errors
/// [`SolveError::Setup`] for no paths, substeps or probes, for nodes that do not lead from a time with noise up to the
/// horizon, and for a horizon without signal; [`SolveError::InRow`] with an error of [`solve`] and the first point it is due
/// to; otherwise as [`solve`], or what `prior` fails with.
///
/// # Reference
/// Huang, Lim, Courville 2021, arXiv 2106.02808 (the expectation by Feynman-Kac and Girsanov, and the bound);
/// Song, Durkan, Murray, Ermon 2021, arXiv 2101.09258, theorem 3 (the bound).
///
/// ```
/// use ndarray::array;
/// use sde_core::{Key, TimeGrid, Vp, analytic::DataSet};
/// use solvers::density::{Divergence, NoisedPaths, reverse_sde_log_density};
///
/// let vp = Vp::default();
/// let model = DataSet::Blob.under(&vp).expect("a mixture");
/// let mut times = TimeGrid::LogSnr.times(&vp, 60, 1.0, 1e-3)?;
/// times.reverse();
/// let (divergence, reference_std) = (Divergence::Exact, 0.3);
/// let paths =
///     NoisedPaths { n_paths: 4, times, substeps: 8, divergence, reference_std, block_rows: 64 };
/// let x = array![[0.3, 1.0]];
/// let prior = |x: &_| model.log_density(x, 1.0);
/// let found = reverse_sde_log_density(&paths, &vp, &model, &x, &prior, Key::root(1), 0)?;
/// let exact = model.log_density(&x, 1e-3)?[0];
/// // The score is exact: paths scatter by their steps alone, and the bound is the density.
/// let error = found.bound_error.as_ref().expect("of four paths")[0];
/// assert!((found.lower_bound[0] - exact).abs() < 3.0 * error, "{found:?} {exact}");
/// # Ok::<(), solvers::SolveError>(())
/// ```
pub fn reverse_sde_log_density<'a, S: State>(
    paths: impl Into<Request<'a, NoisedPaths>>,
    sde: &dyn Sde,
    score: &dyn ScoreJvp<S>,
    x: &S,
    prior: &LogPrior<'_, S>,
    key: Key,
    first_row: u64,
) -> Result<NoisedLogDensity> {
    let Request { how: paths, bad } = paths.into();
    let control = Control::Grid(paths.times.clone());
    let (t_start, t_end) = check(paths, &control, sde, x)?;
    let n_paths = paths.n_paths;
    let data = S::lincomb(&[(1.0 / sde.marginal(t_start).alpha, x)])?;
    let run = Run { paths, control: &control, sde, score, x, data, key, first_row };
    let log_normal = |square: f64, t: f64| {
        let v = variance(sde, paths.reference_std, t);
        -0.5 * (square / v + x.row_len() as f64 * (std::f64::consts::TAU * v).ln())
    };
    let mut means = Means::new(n_paths);
    let mut keep = |first: u64, part: Augmented<S>| {
        let rows = part.rows();
        let log_prior = one_a_row(rows, prior(&part.x)?)?;
        let centre = starts(&run.data, first..first + rows as u64, n_paths)?;
        let off = S::lincomb(&[(1.0, &part.x), (-sde.marginal(t_end).alpha, &centre)])?;
        let squares = off.row_dot(&off)?;
        for ((p, square), integral) in log_prior.iter().zip(&squares).zip(&part.integrals[0]) {
            means.add(p - log_normal(*square, t_end) + log_normal(0.0, t_start) + integral);
        }
        Ok::<(), SolveError>(())
    };
    let solve_block = |first: u64, len: usize| {
        let nan = |path: u64| nan_row(starts(x, path..path + 1, n_paths)?, 1);
        let point = |path: u64| first_row + path / n_paths;
        solve_rows(bad, (first, len), &|first, len| run.block(first, len, t_start), &nan, &point)
    };
    let rows = x.rows() as u64 * n_paths;
    let block_rows = control.rows_in_a_block(paths.block_rows)?;
    let summary = solve_blocks(rows, block_rows, &solve_block, &mut keep)?;
    Ok(NoisedLogDensity {
        log_density: means.log_mean,
        std_error: (n_paths >= Probe::FEWEST_FOR_ERROR as u64).then_some(means.std_error),
        lower_bound: means.mean_log,
        bound_error: (n_paths > 1).then_some(means.mean_log_error),
        effective_paths: means.effective,
        summary,
    })
}

/// The variance of the reference.
fn variance(sde: &dyn Sde, std: f64, t: f64) -> f64 {
    let m = sde.marginal(t);
    (m.alpha * std).powi(2) + m.sigma * m.sigma
}

/// What the blocks of a call have in common.
struct Run<'a, S> {
    paths: &'a NoisedPaths,
    control: &'a Control,
    sde: &'a dyn Sde,
    score: &'a dyn ScoreJvp<S>,
    x: &'a S,
    /// The points at a signal of one.
    data: S,
    key: Key,
    first_row: u64,
}

impl<S: State> Run<'_, S> {
    /// Paths `first .. first + len`, all the way up.
    fn block(&self, first: u64, len: usize, t_start: f64) -> Result<Solution<Augmented<S>>> {
        let (range, n_paths) = (first..first + len as u64, self.paths.n_paths);
        let path = self.first_row * n_paths + first;
        let points: Vec<u64> = range.clone().map(|p| self.first_row + p / n_paths).collect();
        let score = self.score.jvp_for_rows(&points)?;
        let centre = starts(&self.data, range.clone(), n_paths)?;
        let x = starts(self.x, range, n_paths)?;
        let probes = match self.paths.divergence {
            Divergence::Exact => vec![],
            Divergence::Hutchinson { probe, n_probes } => (0..n_probes)
                .map(|p| probe.draw(&x, self.key.fold(1).fold(p as u64), path))
                .collect::<CoreResult<_>>()?,
        };
        let std = self.paths.reference_std;
        let problem = Noised { sde: self.sde, score: &*score, centre, std, probes };
        let start = Augmented::start(x, 1);
        let mut steps = self.control.controller()?;
        let noise = IndependentIncrements::new(self.key.fold(0), path);
        let stepper = Along { substeps: self.paths.substeps };
        solve(&stepper, &problem, start, t_start, &mut *steps, &noise, &mut ())
    }
}

/// Samples noised on, with what is integrated along them.
struct Noised<'a, S> {
    sde: &'a dyn Sde,
    score: &'a dyn ScoreJvp<S>,
    /// The mean of the reference at a signal of one.
    centre: S,
    std: f64,
    /// Without any the divergence is exact.
    probes: Vec<S>,
}

impl<S: State> Dynamics<Augmented<S>> for Noised<'_, S> {
    fn drift(&self, state: &Augmented<S>, t: f64) -> CoreResult<Augmented<S>> {
        let drift = S::lincomb(&[(self.sde.drift_coef(t), &state.x)])?;
        Ok(Augmented::start(drift, state.integrals.len()))
    }

    fn diffusion(&self, t: f64) -> f64 {
        self.sde.diffusion(t)
    }
}

impl<S: State> Noised<'_, S> {
    fn variance(&self, t: f64) -> f64 {
        variance(self.sde, self.std, t)
    }

    /// The score less that of the reference, and that of the reference.
    fn excess(&self, x: &S, t: f64) -> CoreResult<(S, S)> {
        let (v, alpha) = (self.variance(t), self.sde.marginal(t).alpha);
        let own = S::lincomb(&[(-1.0 / v, x), (alpha / v, &self.centre)])?;
        let score = self.score.score(x, t)?;
        Ok((S::lincomb(&[(1.0, &score), (-1.0, &own)])?, own))
    }

    /// The divergence of the score less that of the reference.
    fn divergence(&self, x: &S, t: f64) -> CoreResult<Vec<f64>> {
        let mut found = match self.probes.len() {
            0 => self.score.divergence(x, t)?,
            n => {
                let (_, along) = self.score.score_jvps(x, t, &self.probes)?;
                let mut sum = vec![0.0; x.rows()];
                for (probe, along) in self.probes.iter().zip(&along) {
                    let each = probe.row_dot(along)?;
                    sum.iter_mut().zip(each).for_each(|(s, v)| *s += v / n as f64);
                }
                sum
            }
        };
        let own = x.row_len() as f64 / self.variance(t);
        found.iter_mut().for_each(|d| *d += own);
        Ok(found)
    }
}

/// From node to node: exact increments of `X / alpha`, and the integrals along them.
struct Along {
    substeps: usize,
}

impl<S: State> Stepper<Augmented<S>, Noised<'_, S>> for Along {
    fn step(
        &self,
        problem: &Noised<'_, S>,
        state: &Augmented<S>,
        t0: f64,
        t1: f64,
        past: &Past<Augmented<S>>,
        noise: &dyn Noise<Augmented<S>>,
    ) -> CoreResult<Step<Augmented<S>>> {
        let sde = problem.sde;
        let (l0, l1) = (sde.half_log_snr(t0), sde.half_log_snr(t1));
        let at = |share: f64| match share {
            0.0 => Ok(t0),
            1.0 => Ok(t1),
            share => sde.time_of_half_log_snr(l0 + share * (l1 - l0)),
        };
        let mut sum = state.integrals[0].clone();
        let mut y = S::lincomb(&[(1.0 / sde.marginal(t0).alpha, &state.x)])?;
        for k in 0..self.substeps {
            let share = |j: f64| (k as f64 + j) / self.substeps as f64;
            let (from, middle, to) = (at(share(0.0))?, at(share(0.5))?, at(share(1.0))?);
            let w = noise.increment(&Augmented::start(y.clone(), 1), from, to)?;
            let variance = |t: f64| (-2.0 * sde.half_log_snr(t)).exp();
            let scale = ((variance(to) - variance(from)) / (to - from)).sqrt();
            let next = S::lincomb(&[(1.0, &y), (scale, &w.x)])?;
            let m = sde.marginal(middle);
            let clock = (l0 - l1) / self.substeps as f64 * m.sigma * m.sigma;
            for end in [&y, &next] {
                let x = S::lincomb(&[(m.alpha, end)])?;
                let (excess, own) = problem.excess(&x, middle)?;
                let both = S::lincomb(&[(1.0, &excess), (2.0, &own)])?;
                let (squares, along) = (excess.row_dot(&both)?, excess.row_dot(&w.x)?);
                for (sum, (q, a)) in sum.iter_mut().zip(squares.iter().zip(&along)) {
                    *sum -= 0.5 * (clock * q + m.alpha * scale * a);
                }
            }
            y = next;
        }
        let x = S::lincomb(&[(sde.marginal(t1).alpha, &y)])?;
        let before = match past.get(0) {
            Some((_, kept)) => kept.integrals[0].clone(),
            None => problem.divergence(&state.x, t0)?,
        };
        let after = problem.divergence(&x, t1)?;
        let (s0, s1) = (sde.marginal(t0).sigma.powi(2), sde.marginal(t1).sigma.powi(2));
        for (sum, (d0, d1)) in sum.iter_mut().zip(before.iter().zip(&after)) {
            *sum -= 0.5 * (l0 - l1) * (s0 * d0 + s1 * d1);
        }
        let kept = Augmented::new(x.clone(), vec![after])?;
        let x = Augmented::new(x, vec![sum])?;
        let nfe = 2 * self.substeps as u64;
        Ok(Step { x, error: None, past: Past::new(vec![(t1, kept)]), nfe })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}

/// The times where paths begin and end, for settings that make sense.
fn check<S: State>(
    paths: &NoisedPaths,
    control: &Control,
    sde: &dyn Sde,
    x: &S,
) -> Result<(f64, f64)> {
    let refuse = |name: &str, value: String, reason: &str| {
        let (name, reason) = (name.into(), reason.into());
        Err(SolveError::Setup(Error::Parameter { name, value, reason }))
    };
    let probes = match paths.divergence {
        Divergence::Exact => 1,
        Divergence::Hutchinson { n_probes, .. } => n_probes,
    };
    for (name, value) in [("n_paths", paths.n_paths), ("substeps", paths.substeps as u64)] {
        if value == 0 {
            return refuse(name, "0".into(), "must be at least 1");
        }
    }
    if probes == 0 {
        return refuse("n_probes", "0".into(), "must be at least 1");
    }
    if !(paths.reference_std.is_finite() && paths.reference_std >= 0.0) {
        let value = paths.reference_std.to_string();
        return refuse("reference_std", value, "must be finite and non-negative");
    }
    in_memory(&[("paths", paths.n_paths)], 16).map_err(Error::Excess)?;
    let (each, points) = (("paths", paths.n_paths), ("points", x.rows() as u64));
    let substeps = ("substeps", paths.substeps as u64);
    in_time(&[each, points, substeps, ("probes", probes as u64)]).map_err(Error::Excess)?;
    let (t_start, t_end) = control.upward(sde)?;
    if sde.marginal(t_start).sigma <= 0.0 {
        let reason = "must be a time with noise: steps are even in the log signal-to-noise ratio";
        return refuse("t_start", t_start.to_string(), reason);
    }
    if sde.marginal(t_end).alpha <= 0.0 {
        let reason = "has no signal, and paths are followed in units of it";
        return refuse("horizon", t_end.to_string(), reason);
    }
    Ok((t_start, t_end))
}
