//! DPM-Solver and DPM-Solver++, singlestep.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::expansion::{Expansion, LambdaStep, Prediction, half_log_snr};
use super::limit;
use crate::phi::phi;
use crate::{Noise, Past, Step, Stepper};

/// Singlestep DPM-Solver: an exponential Runge-Kutta method of the flow ODE in
/// `lambda = log(alpha / sigma)`, with predictions `m_0` at the start of a step of length `h`, `m_1`
/// at `lambda0 + r1 h` and `m_2` at `lambda0 + r2 h`.
///
/// - order 1: `m_0` held, which is DDIM for either prediction;
/// - order 2: the slope `(m_1 - m_0) / r1` weighted `phi_1 / 2` or `phi_2`; ++(2S) for predicted
///   data;
/// - order 3: the slope `(m_2 - m_0) / r2` weighted `phi_2`, or with [`Expansion::Taylor`] the
///   parabola through all three; ++(3S) for predicted data.
///
/// It estimates its error by the distance to the method of one order less, as DPM-Solver-12 and
/// DPM-Solver-23 do; the order 2 within order 3 has its point at `r1`. A step to `sigma = 0` has
/// order 1, whose limit is `alpha1` times the predicted data; one from there, and one where `alpha` is
/// zero or too small for the predicted noise, is the midpoint rule in `sigma / alpha` or
/// `alpha / sigma`, where the flow is regular; so is one too long for a point in the middle of it in
/// `lambda` to see any of the data.
///
/// # Reference
/// Lu et al. 2022, arXiv 2206.00927, algorithms 1, 2, appendix C; arXiv 2211.01095, algorithm 1.
#[derive(Clone, Copy, Debug)]
pub struct DpmSinglestep {
    /// What is expanded.
    pub prediction: Prediction,
    /// The order: 1, 2 or 3 (more is 3).
    pub order: usize,
    /// The weights of slope and curvature.
    pub expansion: Expansion,
    /// Where in the step `m_1` lies, in units of `h`; 1/2 at order 2, 1/3 at order 3.
    pub r1: f64,
    /// Where in the step `m_2` lies; 2/3.
    pub r2: f64,
}

/// Steps in `lambda` longer than this have their middle in the noise.
const BLIND: f64 = 20.0;

impl DpmSinglestep {
    /// DPM-Solver++ of an order: 2S and 3S.
    pub const fn data(order: usize) -> Self {
        let (prediction, expansion) = (Prediction::Data, Expansion::DpmSolver);
        let r1 = if order > 2 { 1.0 / 3.0 } else { 0.5 };
        Self { prediction, order, expansion, r1, r2: 2.0 / 3.0 }
    }

    /// DPM-Solver-1, -2, -3, on the predicted noise.
    pub const fn noise(order: usize) -> Self {
        Self { prediction: Prediction::Noise, ..Self::data(order) }
    }
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for DpmSinglestep {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (start, end) = (problem.marginal(t0), problem.marginal(t1));
        let step = LambdaStep::new(self.prediction, start, end);
        let noisy = self.prediction == Prediction::Noise && limit::lost(x.resolution(), start, end);
        if noisy && self.order < 2 {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let long = step.at_limit() || step.h > BLIND;
        if noisy || (long && end.sigma != 0.0 && self.order > 1) {
            return limit::step(problem, x, (t0, t1), noise);
        }
        let m0 = self.prediction.at(problem, x, t0, end)?;
        let first = step.end(x, &m0, &[])?;
        let done =
            |x1: S, error: Option<S>, nfe| Ok(Step { x: x1, error, past: Past::default(), nfe });
        if self.order < 2 {
            return done(first, None, 1);
        }
        if step.at_limit() {
            // To the trapezoid in sigma / alpha with a slope that vanishes with sigma: what a smooth
            // density has, and more than any other is off.
            let half = 0.5 * end.alpha / start.alpha;
            let error = S::lincomb(&[(half, x), (-0.5, &first)])?;
            return done(first, Some(error), 1);
        }
        let part = |r: f64| -> Result<(f64, LambdaStep)> {
            let t = problem.time_of_half_log_snr(half_log_snr(start) + r * step.h)?;
            Ok((t, LambdaStep::new(self.prediction, start, problem.marginal(t))))
        };
        let (t, inner) = part(self.r1)?;
        let m1 = self.prediction.at(problem, &inner.end(x, &m0, &[])?, t, end)?;
        let second = step.end(x, &m0, &[(self.expansion.second(step.z) / self.r1, &m1)])?;
        if self.order < 3 {
            let error = S::lincomb(&[(1.0, &second), (-1.0, &first)])?;
            return done(second, Some(error), 2);
        }
        let (r1, r2) = (self.r1, self.r2);
        let (t, inner) = part(r2)?;
        let y = inner.end(x, &m0, &[(phi(2, inner.z) * r2 / r1, &m1)])?;
        let m2 = self.prediction.at(problem, &y, t, end)?;
        let (slope, curvature) = (phi(2, step.z), 2.0 * phi(3, step.z));
        let third = match self.expansion {
            Expansion::DpmSolver => step.end(x, &m0, &[(slope / r2, &m2)])?,
            Expansion::Taylor => {
                let w1 = (slope * r2 - curvature) / (r1 * (r2 - r1));
                let w2 = (curvature - slope * r1) / (r2 * (r2 - r1));
                step.end(x, &m0, &[(w1, &m1), (w2, &m2)])?
            }
        };
        let error = S::lincomb(&[(1.0, &third), (-1.0, &second)])?;
        done(third, Some(error), 3)
    }

    fn error_order(&self) -> Option<f64> {
        (self.order > 1).then(|| self.order.min(3) as f64)
    }
}
