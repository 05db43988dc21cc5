//! Adaptive steps in the log signal-to-noise ratio.

use sde_core::{Error, Sde, Tolerance};

use crate::control::ErrorRule;
use crate::{Controller, Result, SolveError, StepDecision};

/// Steps in `lambda = log(alpha / sigma)` as long as a tolerance allows, as DPM-Solver-12 and -23
/// choose them: after an error `E` (in units of [`ErrorRule::Lower`]) a step `h` is followed, or
/// replaced if `E > 1`, by one of `0.9 h E^{-1/q}`, `q` the order of the error estimate. The solve
/// ends within 1e-5 of its end.
///
/// # Reference
/// Lu et al. 2022, arXiv 2206.00927, appendix C; the rule is that of Jolicoeur-Martineau et al.
/// 2021, arXiv 2105.14080, algorithm 1.
#[derive(Debug)]
pub struct LambdaAdaptive<'a> {
    sde: &'a dyn Sde,
    end: f64,
    lambda_end: f64,
    tol: Tolerance,
    h: f64,
    h_min: f64,
    order: f64,
    max_steps: u64,
    /// The last attempt: where it begins in `lambda`, and where it ends in `t`.
    from: f64,
    tried: f64,
}

/// How near the end is near enough, in `t`.
const NEAR: f64 = 1e-5;

impl<'a> LambdaAdaptive<'a> {
    /// The tolerance of the authors' code.
    pub const TOLERANCE: Tolerance = Tolerance { abs: 0.0078, rel: 0.05 };

    /// Control of a solve from `start` down to `end` with a first step of 0.05.
    ///
    /// # Errors
    /// [`SolveError::Setup`] unless `end < start`, `sigma > 0` at the end, and the tolerances are
    /// finite, not negative and not both zero; a time outside `[0, T]`.
    pub fn new(sde: &'a dyn Sde, start: f64, end: f64, tol: Tolerance) -> Result<Self> {
        let refuse = |name: &str, value: String, reason: String| {
            Err(SolveError::Setup(Error::Parameter { name: name.into(), value, reason }))
        };
        sde_core::sde::check_time(sde, start)?;
        sde_core::sde::check_time(sde, end)?;
        if end >= start {
            return refuse("end", end.to_string(), format!("must be below {start}"));
        }
        let (lambda_start, lambda_end) = (sde.half_log_snr(start), sde.half_log_snr(end));
        if !lambda_end.is_finite() {
            return refuse("end", end.to_string(), "steps in lambda need sigma > 0 there".into());
        }
        let fine = |x: f64| x.is_finite() && x >= 0.0;
        if !(fine(tol.abs) && fine(tol.rel) && tol.abs + tol.rel > 0.0) {
            let reason = "must be finite, not negative and not both zero".into();
            return refuse("tolerance", tol.to_string(), reason);
        }
        let span = lambda_end - lambda_start;
        let (h, h_min, order, max_steps) = (0.05_f64.min(span), 1e-12 * span, 1.0, 100_000);
        let (from, tried) = (lambda_start, start);
        Ok(Self { sde, end, lambda_end, tol, h, h_min, order, max_steps, from, tried })
    }

    /// The number of steps allowed, rejected ones included (default: 100 000).
    #[must_use]
    pub fn with_max_steps(mut self, limit: u64) -> Self {
        self.max_steps = limit;
        self
    }
}

impl Controller for LambdaAdaptive<'_> {
    fn propose(&mut self, t: f64) -> Result<Option<f64>> {
        if t - self.end <= NEAR {
            return Ok(None);
        }
        self.from = self.sde.half_log_snr(t);
        let left = self.lambda_end - self.from;
        self.tried = if self.h >= left {
            self.h = left;
            self.end
        } else {
            self.sde.time_of_half_log_snr(self.from + self.h)?
        };
        Ok(Some(self.tried))
    }

    fn judge(&mut self, error: Option<f64>) -> StepDecision {
        const SAFETY: f64 = 0.9;
        let error = error.unwrap_or(f64::NAN);
        let tried = self.h;
        let factor = if error.is_finite() { SAFETY * error.powf(-1.0 / self.order) } else { 0.1 };
        self.h = tried * factor;
        StepDecision::of(error, tried, self.h_min)
    }

    fn adaptive(&mut self, error_order: Option<f64>) -> Option<Tolerance> {
        self.order = error_order.unwrap_or(1.0);
        Some(self.tol)
    }

    fn error_rule(&self) -> ErrorRule {
        ErrorRule::Lower
    }

    fn max_steps(&self) -> u64 {
        self.max_steps
    }
}
