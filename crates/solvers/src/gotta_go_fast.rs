//! The adaptive steps of "Gotta Go Fast".

use sde_core::Tolerance;

use crate::control::{ErrorRule, check_range};
use crate::{Controller, Result, StepDecision};

/// Steps as long as a tolerance allows, by the rule of Jolicoeur-Martineau et al. With
/// [`crate::steppers::Heun`] on a [`crate::BrownianTree`] it is their solver: from the
/// Euler-Maruyama step `x'` and the stochastic improved Euler step `x''`, the error
///
/// `E = |(x' - x'') / delta| / sqrt(D)`, `delta = max(abs, rel max(|x'|, |x'_before|))`
///
/// ([`ErrorRule::Lower`]); `x''` is accepted if `E <= 1`, and in either case
///
/// `h <- min(what is left, 0.9 h E^{-r})`, `r = 0.9`.
///
/// Their code draws noise anew after a rejection, which favours small noise; here it is that of one
/// path. Nothing but the end bounds the growth of a step. One that is rejected at `1e-12` of the
/// interval ends the solve.
///
/// # Reference
/// Jolicoeur-Martineau, Li, Piche-Taillefer, Kachman, Mitliagkas 2021, arXiv 2105.14080,
/// algorithms 1 and 2; constants of their public code.
///
/// ```
/// use sde_core::{Key, Reverse, State, Vp, analytic::DataSet};
/// use solvers::{BrownianTree, GottaGoFast, Method, solve};
///
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let x = ndarray::Array2::zeros((1, 2)).normals_like(Key::root(1), 0)?;
/// let path = BrownianTree::new(Key::root(2), 0, 1.0, 1e-3, 40)?;
/// let mut control = GottaGoFast::new(1.0, 1e-3, GottaGoFast::TOLERANCE)?;
/// let (problem, stepper) = (Reverse::sde(&vp, &score), Method::Heun.stepper());
/// let done = solve(&*stepper, &problem, x, 1.0, &mut control, &path, &mut ())?;
/// assert_eq!(done.t, 1e-3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GottaGoFast {
    end: f64,
    tol: Tolerance,
    h: f64,
    h_min: f64,
    max_steps: u64,
    proposed: f64,
}

impl GottaGoFast {
    /// Their tolerance for data in `[-1, 1]`, the absolute part a step of 8-bit colours.
    pub const TOLERANCE: Tolerance = Tolerance { abs: 0.0078, rel: 0.01 };

    /// Control of a solve from `start` to `end`, in either direction, with a first step of 0.01 (or
    /// of all there is).
    ///
    /// # Errors
    /// [`SolveError::Setup`] unless the times are finite and differ and the tolerances are finite,
    /// not negative and not both zero.
    pub fn new(start: f64, end: f64, tol: Tolerance) -> Result<Self> {
        check_range(start, end, tol)?;
        // Shorter steps would not move the time, or not be seen by a tree of 40 levels.
        let resolution = 4.0 * f64::EPSILON * start.abs().max(end.abs());
        let h_min = (1e-12 * (end - start).abs()).max(resolution);
        Ok(Self { end, tol, h: 0.01, h_min, max_steps: 100_000, proposed: 0.0 })
    }

    /// The length of the first attempt.
    #[must_use]
    pub fn with_first_step(mut self, h: f64) -> Self {
        self.h = h.abs().max(self.h_min);
        self
    }

    /// The number of steps allowed, rejected ones included (default: 100 000).
    #[must_use]
    pub fn with_max_steps(mut self, limit: u64) -> Self {
        self.max_steps = limit;
        self
    }
}

impl Controller for GottaGoFast {
    fn propose(&mut self, t: f64) -> Result<Option<f64>> {
        let left = self.end - t;
        if left == 0.0 {
            return Ok(None);
        }
        // What is too short for a step of its own goes with the one before.
        let t1 =
            if self.h >= left.abs() - self.h_min { self.end } else { t + self.h.copysign(left) };
        self.proposed = (t1 - t).abs();
        Ok(Some(t1))
    }

    fn judge(&mut self, error: Option<f64>) -> StepDecision {
        const SAFETY: f64 = 0.9;
        const EXPONENT: f64 = 0.9;
        let error = error.unwrap_or(f64::NAN);
        // A step that left the domain says nothing of how far.
        let factor = if error.is_finite() { SAFETY * error.powf(-EXPONENT) } else { 0.1 };
        let tried = self.proposed;
        self.h = (tried * factor).max(self.h_min);
        StepDecision::of(error, tried, self.h_min)
    }

    fn adaptive(&mut self, _: Option<f64>) -> Option<Tolerance> {
        Some(self.tol)
    }

    fn error_rule(&self) -> ErrorRule {
        ErrorRule::Lower
    }

    fn max_steps(&self) -> u64 {
        self.max_steps
    }
}
