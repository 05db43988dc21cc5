//! Controllers: they propose the steps of a solve and accept or reject them.

use sde_core::{Error, Tolerance};

use crate::{Result, SolveError};

/// What a controller decides about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDecision {
    /// The step is taken.
    Accept,
    /// The step is tried again with a smaller size.
    Reject,
    /// The step failed at the smallest size allowed, and the solve ends with an error.
    TooSmall,
}

impl StepDecision {
    /// What becomes of a step of length `tried` by its error in units of the tolerance.
    pub(crate) fn of(error: f64, tried: f64, shortest: f64) -> Self {
        if error <= 1.0 {
            Self::Accept
        } else if tried <= shortest {
            Self::TooSmall
        } else {
            Self::Reject
        }
    }
}

/// Refuses times that are not finite or do not differ, and tolerances that no step can keep.
pub(crate) fn check_range(start: f64, end: f64, tol: Tolerance) -> Result<()> {
    let refuse = |name: &str, value: String, reason: &str| {
        let (name, reason) = (name.into(), reason.into());
        Err(SolveError::Setup(Error::Parameter { name, value, reason }))
    };
    if !((end - start).is_finite() && end != start) {
        return refuse("end", end.to_string(), &format!("must be finite and not {start}"));
    }
    let fine = |x: f64| x.is_finite() && x >= 0.0;
    if !(fine(tol.abs) && fine(tol.rel) && tol.abs + tol.rel > 0.0) {
        let reason = "must be finite, not negative and not both zero";
        return refuse("tolerance", tol.to_string(), reason);
    }
    Ok(())
}

/// What an error estimate is measured against, element by element; in both the worst row decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorRule {
    /// `abs + rel max(|x0|, |x1|)`, over the states a step connects.
    #[default]
    Ends,
    /// `max(abs, rel max(|y1|, |y0|))`, where `y1` is the solution of lower order and `y0` that of
    /// the last accepted step.
    ///
    /// # Reference
    /// Jolicoeur-Martineau et al. 2021, arXiv 2105.14080, section 3.1.2.
    Lower,
}

/// Proposes the end of the next step and judges what came of it.
pub trait Controller: Send {
    /// The end of the next step from `t`; `None` when `t` is the end of the solve.
    ///
    /// # Errors
    /// [`SolveError::BadGrid`] when the solve is not where the controller expects it.
    fn propose(&mut self, t: f64) -> Result<Option<f64>>;

    /// Judges a step by its error in units of the tolerance; an error that is not finite says that
    /// the step left the domain. Controllers that adapt nothing accept.
    fn judge(&mut self, error: Option<f64>) -> StepDecision {
        let _ = error;
        StepDecision::Accept
    }

    /// The tolerance of an adaptive controller, with the order of the stepper's error estimate.
    fn adaptive(&mut self, error_order: Option<f64>) -> Option<Tolerance> {
        let _ = error_order;
        None
    }

    /// What errors are measured against.
    fn error_rule(&self) -> ErrorRule {
        ErrorRule::Ends
    }

    /// How many steps, rejected ones included, are allowed.
    fn max_steps(&self) -> u64 {
        u64::MAX
    }
}

/// A restart interval: on arrival at its end in time the state goes back up to its beginning, with noise, and takes the
/// steps down again.
#[derive(Clone, Debug, PartialEq)]
pub struct RestartInterval {
    /// The times of the steps, from the highest down to the one on whose arrival it restarts.
    pub times: Vec<f64>,
    /// How many times.
    pub repeats: usize,
}

/// The controller of fixed steps, from each time of a list to the next.
#[derive(Clone, Debug)]
pub struct Grid {
    times: Vec<f64>,
    next: usize,
}

impl Grid {
    /// The steps between consecutive `times`, both ends included.
    ///
    /// # Errors
    /// [`SolveError::BadGrid`] unless the times are finite and strictly monotone, at least one.
    pub fn new(times: Vec<f64>) -> Result<Self> {
        let bad = |index: usize, reason| {
            let at = |i: usize| times.get(i).copied().unwrap_or(f64::NAN);
            let previous = at(index.saturating_sub(1));
            Err(SolveError::BadGrid { index, t: at(index), previous, reason })
        };
        if let Some(i) = times.iter().position(|t| !t.is_finite()) {
            return bad(i, "must be finite");
        }
        if times.is_empty() {
            return bad(0, "the grid is empty");
        }
        let down = times.len() > 1 && times[1] < times[0];
        for i in 1..times.len() {
            if times[i] == times[i - 1] || (times[i] < times[i - 1]) != down {
                return bad(i, "the grid must be strictly monotone");
            }
        }
        Ok(Self { times, next: 0 })
    }

    /// The steps between consecutive `times`, interrupted by restarts: on arrival at the time where a
    /// [`RestartInterval`] ends, up to its first time and down its list again, as often as it says. For
    /// [`crate::steppers::Restart`].
    ///
    /// # Errors
    /// [`SolveError::BadGrid`] as [`Grid::new`] for every list, and when an interval does not end at one
    /// of `times` after the first or its list does not go down.
    ///
    /// # Reference
    /// Xu et al. 2023, arXiv 2306.14878, algorithm 1.
    ///
    /// ```
    /// use solvers::{RestartInterval, Controller, Grid};
    /// let interval = RestartInterval { times: vec![0.8, 0.6, 0.5], repeats: 1 };
    /// let mut grid = Grid::with_restarts(vec![1.0, 0.5, 0.1], &[interval])?;
    /// let mut seen = vec![1.0];
    /// while let Some(t) = grid.propose(seen[seen.len() - 1])? {
    ///     seen.push(t);
    /// }
    /// assert_eq!(seen, [1.0, 0.5, 0.8, 0.6, 0.5, 0.1]);
    /// # Ok::<(), solvers::SolveError>(())
    /// ```
    pub fn with_restarts(times: Vec<f64>, restarts: &[RestartInterval]) -> Result<Self> {
        let main = Self::new(times)?.times;
        for (i, interval) in restarts.iter().enumerate() {
            let list = Self::new(interval.times.clone())?.times;
            let (first, last) = (list[0], list[list.len() - 1]);
            let refuse =
                |reason| Err(SolveError::BadGrid { index: i, t: last, previous: first, reason });
            if last >= first {
                return refuse("the times of a restart interval must go down");
            }
            if !main[1..].contains(&last) {
                return refuse("a restart interval must end at a later time of the grid");
            }
        }
        let mut all = vec![main[0]];
        for t in &main[1..] {
            all.push(*t);
            for interval in restarts.iter().filter(|c| c.times.last() == Some(t)) {
                for _ in 0..interval.repeats {
                    all.extend(&interval.times);
                }
            }
        }
        Ok(Self { times: all, next: 0 })
    }

    /// The last time.
    pub fn end(&self) -> f64 {
        self.times[self.times.len() - 1]
    }
}

impl Controller for Grid {
    fn propose(&mut self, t: f64) -> Result<Option<f64>> {
        if t != self.times[self.next] {
            let (index, at) = (self.next, self.times[self.next]);
            let reason = "the solve is at another time";
            return Err(SolveError::BadGrid { index, t: at, previous: t, reason });
        }
        self.next += 1;
        Ok(self.times.get(self.next).copied())
    }
}

/// Gains of a step-size controller: after errors `e_n`, `e_{n-1}`, `e_{n-2}` in units of the
/// tolerance, the next step is the last times
/// `0.9 e_n^{-(p + i + d)/q} e_{n-1}^{(p + 2 d)/q} e_{n-2}^{-d/q}`, `q` the order of the error.
///
/// # Reference
/// Soderlind 2003, "Digital filters in adaptive time-stepping", section 4.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PidGains {
    /// Proportional: damps the answer to a change of the error.
    pub p: f64,
    /// Integral: the answer to the error itself.
    pub i: f64,
    /// Derivative: the answer to a change of the change.
    pub d: f64,
}

impl PidGains {
    /// Integral control alone: the textbook rule.
    pub const I: Self = Self { p: 0.0, i: 1.0, d: 0.0 };
    /// Proportional-integral control for mildly stiff problems.
    pub const PI: Self = Self { p: 0.4, i: 0.3, d: 0.0 };
    /// The filter H312PID, with the smoothest steps.
    pub const PID: Self = Self { p: -2.0 / 9.0, i: 2.0 / 9.0, d: 1.0 / 18.0 };
    /// Slow control for paths, whose local errors are rough.
    pub const SDE: Self = Self { p: 0.1, i: 0.3, d: 0.0 };
}

/// Steps as long as a tolerance allows, by proportional-integral-derivative control of the error
/// estimate.
///
/// The rows of a state share their steps, and the worst of them decides; [`crate::sample`] solves one row at a time instead,
/// which gives every row the tolerance and no row an influence on another.
///
/// # Reference
/// Hairer, Wanner 1996, Solving ODEs II, section IV.2 (PI control, beta = 0.04); [`PidGains`] for
/// others.
#[derive(Clone, Debug)]
pub struct Adaptive {
    end: f64,
    tol: Tolerance,
    h: f64,
    /// The shortest step of all, and at the present time.
    floor: f64,
    least: f64,
    max_steps: u64,
    order: f64,
    gains: Option<PidGains>,
    /// The last two errors.
    errors: [f64; 2],
    proposed: f64,
    rejected: bool,
}

/// The shortest step, as a share of the solve: near time 0 steps shrink with the time.
const LEAST: f64 = 1e-100;

impl Adaptive {
    /// Control of a solve from `start` to `end`, in either direction.
    ///
    /// # Errors
    /// [`SolveError::Setup`] unless the times are finite and differ and the tolerances are finite,
    /// not negative and not both zero.
    pub fn new(start: f64, end: f64, tol: Tolerance) -> Result<Self> {
        check_range(start, end, tol)?;
        let span = end - start;
        Ok(Self {
            end,
            tol,
            h: 0.01 * span,
            floor: LEAST * span.abs(),
            least: LEAST * span.abs(),
            max_steps: 100_000,
            order: 1.0,
            gains: None,
            errors: [1e-4, 1.0],
            proposed: 0.0,
            rejected: false,
        })
    }

    /// The length of the first attempt (default: a hundredth of the interval).
    #[must_use]
    pub fn with_first_step(mut self, h: f64) -> Self {
        self.h = h.abs().max(self.floor).copysign(self.h);
        self
    }

    /// Other gains than those of Hairer and Wanner, `p = 0.04 q`, `i = 1 - 0.07 q`.
    #[must_use]
    pub fn with_gains(mut self, gains: PidGains) -> Self {
        (self.gains, self.errors) = (Some(gains), [1.0, 1.0]);
        self
    }

    /// The factor of the next step after an accepted error.
    fn factor(&self, error: f64) -> f64 {
        const BETA: f64 = 0.04;
        let q = self.order;
        let (a, b, c) = match self.gains {
            None => (1.0 / q - 0.75 * BETA, BETA, 0.0),
            Some(PidGains { p, i, d }) => ((p + i + d) / q, (p + 2.0 * d) / q, d / q),
        };
        0.9 * error.powf(-a) * self.errors[0].powf(b) * self.errors[1].powf(-c)
    }

    /// The number of steps allowed, rejected ones included (default: 100 000).
    #[must_use]
    pub fn with_max_steps(mut self, limit: u64) -> Self {
        self.max_steps = limit;
        self
    }
}

impl Controller for Adaptive {
    fn propose(&mut self, t: f64) -> Result<Option<f64>> {
        let left = self.end - t;
        if left == 0.0 || (left > 0.0) != (self.h > 0.0) {
            return Ok(None);
        }
        // A shorter one would hardly move the time.
        self.least = self.floor.max(4.0 * f64::EPSILON * t.abs());
        self.h = self.h.abs().max(self.least).copysign(self.h);
        // A remainder just above one step is halved rather than left as a sliver.
        let t1 = if left.abs() <= 1.000_001 * self.h.abs() {
            self.end
        } else if left.abs() < 2.0 * self.h.abs() {
            t + 0.5 * left
        } else {
            t + self.h
        };
        self.proposed = t1 - t;
        Ok(Some(t1))
    }

    fn judge(&mut self, error: Option<f64>) -> StepDecision {
        let h = self.proposed;
        let error = error.unwrap_or(f64::INFINITY);
        if error <= 1.0 {
            let error = error.max(1e-10);
            let factor = self.factor(error);
            let most = if self.rejected { 1.0 } else { 5.0 };
            // A step cut short by the end or halved says little about longer ones.
            let grown = h * factor.clamp(0.2, most);
            self.h = if grown.abs() < self.h.abs() && h.abs() < self.h.abs() && factor >= 1.0 {
                self.h
            } else {
                grown
            };
            self.errors = [error.max(1e-4), self.errors[0]];
            self.rejected = false;
            return StepDecision::Accept;
        }
        let factor = if error.is_finite() { 0.9 * error.powf(-1.0 / self.order) } else { 0.1 };
        self.h = h * factor.clamp(0.1, 0.9);
        self.rejected = true;
        if h.abs() <= 1.5 * self.least { StepDecision::TooSmall } else { StepDecision::Reject }
    }

    fn adaptive(&mut self, error_order: Option<f64>) -> Option<Tolerance> {
        self.order = error_order.unwrap_or(1.0);
        Some(self.tol)
    }

    fn max_steps(&self) -> u64 {
        self.max_steps
    }
}
