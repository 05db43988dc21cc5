//! Densities along the probability-flow ODE.

use sde_core::counts::{in_memory, in_time};
use sde_core::sde::check_time;
use sde_core::{
    Dynamics, Error, Key, Probe, Result as CoreResult, ScoreJvp, Sde, State, flow_velocity,
};

use super::{Augmented, LogPrior, mean_and_error, nan_row, one_a_row};
use crate::rows::solve_rows;
use crate::steppers::RungeKutta;
use crate::tableau::DOPRI5;
use crate::{
    Control, IndependentIncrements, Request, Result, SolveError, Summary, solve, solve_blocks,
};

/// The probability-flow ODE `dx/dt = v = a x - g^2/2 s(x, t)` with integrals along it: of the exact
/// divergence of `v` if asked for, then for each probe `p` of `p . (dv/dx) p`, whose mean over the
/// probes' law is the divergence.
///
/// # Reference
/// Chen et al. 2018, arXiv 1806.07366, theorem 1; with probes: Grathwohl et al. 2019, arXiv 1810.01367,
/// equation 8; for the flow: Song et al. 2021, arXiv 2011.13456, equation 39.
pub struct FlowWithDensity<'a, S> {
    sde: &'a dyn Sde,
    score: &'a dyn ScoreJvp<S>,
    exact: bool,
    probes: Vec<S>,
}

impl<'a, S: State> FlowWithDensity<'a, S> {
    /// With the exact divergence.
    pub fn exact(sde: &'a dyn Sde, score: &'a dyn ScoreJvp<S>) -> Self {
        Self { sde, score, exact: true, probes: vec![] }
    }

    /// With these probes, each in the shape of the particles.
    pub fn probed(sde: &'a dyn Sde, score: &'a dyn ScoreJvp<S>, probes: Vec<S>) -> Self {
        Self { sde, score, exact: false, probes }
    }

    /// With these probes too.
    #[must_use]
    pub fn and_probes(mut self, probes: Vec<S>) -> Self {
        self.probes.extend(probes);
        self
    }

    /// How many integrals there are.
    pub fn integrals(&self) -> usize {
        usize::from(self.exact) + self.probes.len()
    }
}

impl<S: State> Dynamics<Augmented<S>> for FlowWithDensity<'_, S> {
    fn drift(&self, state: &Augmented<S>, t: f64) -> CoreResult<Augmented<S>> {
        check_time(self.sde, t)?;
        let x = &state.x;
        let (mut a, mut c) = (self.sde.drift_coef(t), -0.5 * self.sde.diffusion_squared(t));
        let infinite = !a.is_finite();
        if infinite {
            // Without signal the data `D` do not depend on x: of u = alpha' D + sigma' eps the noise is left.
            (a, c) = (0.0, -self.sde.marginal_rate(t).sigma * self.sde.marginal(t).sigma);
        }
        let mut rates = Vec::with_capacity(self.integrals());
        let mut score = None;
        if self.exact {
            let trace = a * x.row_len() as f64;
            let divergence = if infinite || !self.probes.is_empty() {
                self.score.divergence(x, t)?
            } else {
                let (s, divergence) = self.score.score_and_divergence(x, t)?;
                score = Some(s);
                divergence
            };
            rates.push(divergence.into_iter().map(|d| trace + c * d).collect());
        }
        if !self.probes.is_empty() {
            let (s, along) = self.score.score_jvps(x, t, &self.probes)?;
            for (v, jv) in self.probes.iter().zip(&along) {
                let (squares, along) = (v.row_dot(v)?, v.row_dot(jv)?);
                rates.push(squares.iter().zip(&along).map(|(vv, vjv)| a * vv + c * vjv).collect());
            }
            score = Some(s);
        }
        if infinite {
            return Augmented::new(flow_velocity(self.sde, self.score, x, t)?, rates);
        }
        let score = score.map_or_else(|| self.score.score(x, t), Ok)?;
        Augmented::new(S::lincomb(&[(a, x), (c, &score)])?, rates)
    }

    fn diffusion(&self, _: f64) -> f64 {
        0.0
    }
}

/// How the divergence is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// By [`ScoreJvp::divergence`].
    Exact,
    /// As a mean over probes that stay the same along the path: probe `p` of row `b` is a function of
    /// `key`, `p` and the row's number alone.
    ///
    /// # Reference
    /// Hutchinson 1990; Skilling 1989.
    Hutchinson {
        /// The probes' law.
        probe: Probe,
        /// How many; [`Probe::FEWEST_FOR_ERROR`] at least for a standard error.
        n_probes: usize,
    },
}

/// How densities along the flow are computed, by Dormand-Prince 5(4).
#[derive(Clone, Debug)]
pub struct FlowDensity {
    /// The divergence.
    pub divergence: Divergence,
    /// The steps, from the time of the data up to the horizon. A tolerance holds for every row on its
    /// own, of the particle and of the integrals.
    pub control: Control,
    /// Rows in a block; one where the steps are chosen.
    pub block_rows: u64,
}

/// Log-densities of rows.
#[derive(Clone, Debug)]
pub struct LogDensity<S> {
    /// The natural logarithm of the density, a row.
    pub log_density: Vec<f64>,
    /// Its standard error over the probes; `None` for the exact divergence and for fewer than
    /// [`Probe::FEWEST_FOR_ERROR`] of them.
    pub std_error: Option<Vec<f64>>,
    /// Where the rows flow to: their latents at the horizon.
    pub latent: S,
    /// What it cost.
    pub summary: Summary,
}

/// Values of every estimate, before they are averaged.
struct Flowed<S> {
    estimates: Vec<Vec<f64>>,
    latent: S,
    summary: Summary,
}

/// The log-density of the flow's samples at rows `x`, at the time where the steps begin:
///
/// `log p(x) = log p_T(x_T) + int div v(x_t, t) dt`, `x_t` along the flow from `x` to the horizon `T`.
///
/// `first_row` is the global number of the first row, for its probes and for a score that asks
/// ([`sde_core::Score::for_rows`]). With `(&flow, BadRows::Nan(..))` for `&flow` a row that
/// cannot be solved is NaN ([`crate::BadRows`]).
///
/// # Errors
/// [`SolveError::Setup`] for no probes, or steps that do not lead up to the horizon; [`SolveError::InRow`] with
/// an error of [`solve`] and the first row it is due to; otherwise as [`solve`], or what `prior` fails with.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, appendix D.2.
///
/// ```
/// use ndarray::array;
/// use sde_core::{Key, Tolerance, Vp, analytic::DataSet};
/// use solvers::{Control, density::{Divergence, FlowDensity, flow_log_density}};
///
/// let vp = Vp::default();
/// let model = DataSet::Blob.under(&vp).expect("a mixture");
/// let x = array![[0.3, 1.0], [0.0, 0.1]];
/// let tol = Tolerance { abs: 1e-9, rel: 1e-9 };
/// let control = Control::Adaptive { t_start: 1e-3, t_end: 1.0, tol };
/// let flow = FlowDensity { divergence: Divergence::Exact, control, block_rows: 1 };
/// let prior = |x: &_| model.log_density(x, 1.0);
/// let found = flow_log_density(&flow, &vp, &model, &x, &prior, Key::root(1), 0)?;
/// for (found, exact) in found.log_density.iter().zip(model.log_density(&x, 1e-3)?) {
///     assert!((found - exact).abs() < 1e-7);
/// }
/// # Ok::<(), solvers::SolveError>(())
/// ```
pub fn flow_log_density<'a, S: State>(
    flow: impl Into<Request<'a, FlowDensity>>,
    sde: &dyn Sde,
    score: &dyn ScoreJvp<S>,
    x: &S,
    prior: &LogPrior<'_, S>,
    key: Key,
    first_row: u64,
) -> Result<LogDensity<S>> {
    let done = flow_up(flow.into(), sde, score, x, prior, key, first_row)?;
    let (log_density, std_error) = mean_and_error(&done.estimates);
    Ok(LogDensity { log_density, std_error, latent: done.latent, summary: done.summary })
}

/// [`flow_log_density`] at `t = 0`, extrapolated where the flow cannot begin there: with `l(t)` the
/// log-density of the same point at time `t`, linear extrapolation (Richardson) from `eps`, where the
/// steps of `flow` begin, and `2 eps`,
///
/// `l(0) = 2 l(eps) - l(2 eps) + O(eps^2)`,
///
/// probe by probe, so that the standard error is that of the difference. The latents are those from
/// `eps`. Where the score allows it, beginning at 0 is better.
///
/// # Errors
/// [`SolveError::Setup`] for steps on a grid, or for `eps` that is zero or too large; otherwise as
/// [`flow_log_density`].
pub fn extrapolated_log_density<'a, S: State>(
    flow: impl Into<Request<'a, FlowDensity>>,
    sde: &dyn Sde,
    score: &dyn ScoreJvp<S>,
    x: &S,
    prior: &LogPrior<'_, S>,
    key: Key,
    first_row: u64,
) -> Result<LogDensity<S>> {
    let Request { how: flow, bad } = flow.into();
    let refuse = |value: String, reason: &str| {
        let (name, reason) = ("t_start".into(), reason.into());
        Err(SolveError::Setup(Error::Parameter { name, value, reason }))
    };
    let Control::Adaptive { t_start: eps, t_end, tol } = flow.control else {
        return refuse("a grid".into(), "extrapolation chooses its steps by a tolerance");
    };
    if !(eps > 0.0 && 2.0 * eps < t_end) {
        return refuse(eps.to_string(), "extrapolation needs 0 < t_start < t_end / 2");
    }
    let control = Control::Adaptive { t_start: 2.0 * eps, t_end, tol };
    let later = FlowDensity { control, ..flow.clone() };
    let near = flow_up((flow, bad).into(), sde, score, x, prior, key, first_row)?;
    let far = flow_up((&later, bad).into(), sde, score, x, prior, key, first_row)?;
    let line = |(n, f): (&Vec<f64>, &Vec<f64>)| {
        n.iter().zip(f).map(|(n, f)| 2.0 * n - f).collect::<Vec<_>>()
    };
    let estimates: Vec<_> = near.estimates.iter().zip(&far.estimates).map(line).collect();
    let (log_density, std_error) = mean_and_error(&estimates);
    let mut summary = near.summary;
    summary.nfe += far.summary.nfe;
    summary.row_evaluations += far.summary.row_evaluations;
    summary.accepted += far.summary.accepted;
    summary.rejected += far.summary.rejected;
    Ok(LogDensity { log_density, std_error, latent: near.latent, summary })
}

fn flow_up<S: State>(
    Request { how: flow, bad }: Request<'_, FlowDensity>,
    sde: &dyn Sde,
    score: &dyn ScoreJvp<S>,
    x: &S,
    prior: &LogPrior<'_, S>,
    key: Key,
    first_row: u64,
) -> Result<Flowed<S>> {
    check(flow, x)?;
    let (t_start, _) = flow.control.upward(sde)?;
    let integrals = match flow.divergence {
        Divergence::Exact => 1,
        Divergence::Hutchinson { n_probes, .. } => n_probes,
    };
    let solve_block = |first: u64, len: usize| {
        let rows = x.slice_rows(first as usize, len)?;
        let from = first_row + first;
        let score = score.jvp_for_rows(&(from..from + len as u64).collect::<Vec<_>>())?;
        let score = &*score;
        let problem = match flow.divergence {
            Divergence::Exact => FlowWithDensity::exact(sde, score),
            Divergence::Hutchinson { probe, n_probes } => {
                let draw = |p: usize| probe.draw(&rows, key.fold(p as u64), from);
                let probes: CoreResult<Vec<S>> = (0..n_probes).map(draw).collect();
                FlowWithDensity::probed(sde, score, probes?)
            }
        };
        let start = Augmented::start(rows, integrals);
        let mut steps = flow.control.controller()?;
        let none = IndependentIncrements::new(key, 0);
        solve(&RungeKutta(&DOPRI5), &problem, start, t_start, &mut *steps, &none, &mut ())
    };
    let mut parts = vec![];
    let mut keep = |_: u64, part: Augmented<S>| {
        parts.push(part);
        Ok::<(), SolveError>(())
    };
    let block_rows = flow.control.rows_in_a_block(flow.block_rows)?;
    let solve_block = |first: u64, len: usize| {
        let nan = |row: u64| nan_row(x.slice_rows(row as usize, 1)?, integrals);
        solve_rows(bad, (first, len), &solve_block, &nan, &|row| first_row + row)
    };
    let summary = solve_blocks(x.rows() as u64, block_rows, &solve_block, &mut keep)?;
    let end = Augmented::concat_rows(&parts)?;
    let log_prior = one_a_row(x.rows(), prior(&end.x)?)?;
    let with_prior = |integral: Vec<f64>| {
        integral.iter().zip(&log_prior).map(|(i, p)| i + p).collect::<Vec<_>>()
    };
    let estimates = end.integrals.into_iter().map(with_prior).collect();
    Ok(Flowed { estimates, latent: end.x, summary })
}

/// Refuses what makes no sense, and counts that no run can end with.
fn check<S: State>(flow: &FlowDensity, x: &S) -> Result<()> {
    if let Divergence::Hutchinson { n_probes: 0, .. } = flow.divergence {
        let (name, value, reason) = ("n_probes".into(), "0".into(), "must be at least 1".into());
        return Err(SolveError::Setup(Error::Parameter { name, value, reason }));
    }
    if let Divergence::Hutchinson { n_probes, .. } = flow.divergence {
        // The probes of a row and the integrals along each, in every stage of a step.
        let probes = ("probes", n_probes as u64);
        let rows = ("rows", flow.block_rows.min(x.rows() as u64).max(1));
        let bytes = 100 + 16 * x.row_len() as u64;
        in_memory(&[probes, rows], bytes).map_err(Error::Excess)?;
        in_time(&[probes, ("rows", x.rows() as u64)]).map_err(Error::Excess)?;
    }
    if x.rows() == 0 {
        let (expected, found) = (vec![1, x.row_len()], vec![0, x.row_len()]);
        return Err(SolveError::Setup(Error::Shape { expected, found }));
    }
    Ok(())
}
