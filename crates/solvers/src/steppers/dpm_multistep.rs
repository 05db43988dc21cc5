//! DPM-Solver and DPM-Solver++, multistep.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::expansion::{Expansion, LambdaStep, LowerOrderFinal, Prediction, half_log_snr};
use super::limit;
use crate::phi::phi;
use crate::{Noise, Past, Step, Stepper};

/// Multistep DPM-Solver: an exponential integrator of the flow ODE in `lambda = log(alpha / sigma)`
/// with the predictions of earlier steps. In units of the step `h`, with `m_k` the prediction `k`
/// steps ago, `r_0 = (lambda_0 - lambda_{-1}) / h`, `r_1 = (lambda_{-1} - lambda_{-2}) / h`,
/// `D_0 = (m_0 - m_1) / r_0`, `D_1 = (m_1 - m_2) / r_1` and `q = D_0 - D_1`,
///
/// - order 1: `m_0` held, which is DDIM for either prediction;
/// - order 2: the slope `D_0` weighted `phi_1 / 2` or `phi_2`; ++(2M) for predicted data;
/// - order 3: the slope `D_0 + r_0/(r_0+r_1) q` weighted `phi_2`, the curvature `q/(r_0+r_1)`
///   weighted `phi_3`; ++(3M) for predicted data.
///
/// Published code takes that curvature for the second derivative, of which it is half: the third
/// formula converges with order 2, with a smaller error than the second.
///
/// The first step has order 1, the second at most 2, and a step to or from `sigma = 0` order 1, whose
/// limit is `alpha1` times the predicted data. Where `alpha` is too small for the predicted noise the
/// step is DDIM's on the predicted data.
///
/// # Reference
/// Lu et al. 2022, arXiv 2211.01095, algorithm 2 and appendix A; their public code for order 3.
#[derive(Clone, Copy, Debug)]
pub struct DpmMultistep {
    /// What is extrapolated.
    pub prediction: Prediction,
    /// The order of a step with enough history: 1, 2 or 3 (more is 3).
    pub order: usize,
    /// The weight of the slope at order 2.
    pub expansion: Expansion,
    /// Where the orders fall again (the authors do so with fewer than ten steps).
    pub lower_order_final: Option<LowerOrderFinal>,
}

impl DpmMultistep {
    /// DPM-Solver++, orders 1 (DDIM), 2 (2M) and 3 (3M).
    pub const fn data(order: usize) -> Self {
        let (prediction, expansion) = (Prediction::Data, Expansion::DpmSolver);
        Self { prediction, order, expansion, lower_order_final: None }
    }

    /// DPM-Solver on the predicted noise.
    pub const fn noise(order: usize) -> Self {
        Self { prediction: Prediction::Noise, ..Self::data(order) }
    }
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for DpmMultistep {
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
        if self.prediction == Prediction::Noise && limit::lost(x.resolution(), start, end) {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let m0 = self.prediction.at(problem, x, t0, end)?;
        let step = LambdaStep::new(self.prediction, start, end);
        let most = self.lower_order_final.map_or(usize::MAX, |l| l.most(t1)).min(self.order);
        // In units of h; a prediction made at a limit is infinitely far away.
        let gap = |from: f64, to: f64| {
            let change = half_log_snr(problem.marginal(to)) - half_log_snr(problem.marginal(from));
            change.is_finite().then_some(change / step.h)
        };
        let one = past.get(0).filter(|_| !step.at_limit() && most > 1);
        let one = one.and_then(|(t, m)| Some((t, m, gap(t, t0)?)));
        let two = past.get(1).filter(|_| most > 2).zip(one);
        let two = two.and_then(|((t, m), (newer, ..))| Some((m, gap(t, newer)?)));
        let x1 = match (one, two) {
            (None, _) => step.end(x, &m0, &[])?,
            (Some((_, m1, r0)), None) => {
                step.end(x, &m0, &[(-self.expansion.second(step.z) / r0, m1)])?
            }
            (Some((_, m1, r0)), Some((m2, r1))) => {
                let (slope, curvature) = (phi(2, step.z), phi(3, step.z));
                let q = (slope * r0 + curvature) / (r0 + r1);
                step.end(x, &m0, &[(-(slope + q) / r0 - q / r1, m1), (q / r1, m2)])?
            }
        };
        let mut kept = vec![(t0, m0)];
        if let (true, Some((t, m))) = (self.order > 2, past.get(0)) {
            kept.push((t, m.clone()));
        }
        Ok(Step { x: x1, error: None, past: Past::new(kept), nfe: 1 })
    }
}
