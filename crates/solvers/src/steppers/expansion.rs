//! What the exponential integrators in `lambda = log(alpha / sigma)` share.

use sde_core::{Marginal, Result, Semilinear, State};

use super::exponential::LONGEST;
pub(super) use super::exponential::half_log_snr;
use super::predicted_data;
use crate::phi::phi;

/// What an exponential integrator holds or extrapolates over a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prediction {
    /// The predicted noise `eps` (DPM-Solver).
    Noise,
    /// The predicted data `(x - sigma eps) / alpha` (DPM-Solver++).
    #[default]
    Data,
}

impl Prediction {
    /// The prediction at `x` and `t` for a step to `to`: one evaluation.
    pub(super) fn at<S: State, P: Semilinear<S> + ?Sized>(
        self,
        problem: &P,
        x: &S,
        t: f64,
        to: Marginal,
    ) -> Result<S> {
        match self {
            Self::Noise => problem.eps(x, t),
            Self::Data => predicted_data::data(problem, x, t, to),
        }
    }
}

/// How the second-order term of a DPM-Solver is weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expansion {
    /// `phi_1(z) / 2`, as in the papers' algorithms.
    #[default]
    DpmSolver,
    /// `phi_2(z)`, the exact weight of a linear prediction.
    Taylor,
}

impl Expansion {
    pub(super) fn second(self, z: f64) -> f64 {
        match self {
            Self::DpmSolver => 0.5 * phi(1, z),
            Self::Taylor => phi(2, z),
        }
    }
}

/// A step of the flow ODE from `lambda0` to `lambda1 = lambda0 + h`: with predictions `m_0` at its
/// start and `m_k` elsewhere,
///
/// `x1 = A x0 - B (e^z - 1) m_0 - B z sum_k w_k (m_k - m_0)`,
///
/// `A = sigma1/sigma0, B = alpha1, z = -h` for predicted data and
/// `A = alpha1/alpha0, B = sigma1, z = h` for predicted noise. A derivative `h^j d^j m/d lambda^j`
/// enters with the weight `phi_{j+1}(z)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LambdaStep {
    /// The change of `lambda`; infinite, or not a number, at a limit.
    pub(super) h: f64,
    /// The argument of the phi functions.
    pub(super) z: f64,
    decay: f64,
    first: f64,
    scale: f64,
}

impl LambdaStep {
    pub(super) fn new(prediction: Prediction, m0: Marginal, m1: Marginal) -> Self {
        let h = half_log_snr(m1) - half_log_snr(m0);
        match prediction {
            Prediction::Data => {
                // To and from sigma = 0 what is left is alpha1 D.
                let decay = if m0.sigma == 0.0 { 0.0 } else { m1.sigma / m0.sigma };
                let first = if h > -LONGEST {
                    -m1.alpha * (-h).exp_m1()
                } else {
                    m1.alpha - decay * m0.alpha
                };
                Self { h, z: -h, decay, first, scale: m1.alpha * h }
            }
            Prediction::Noise => {
                let decay = m1.alpha / m0.alpha;
                // The same number twice: for short steps without cancellation, for long ones
                // without overflow.
                let first =
                    if h < 1.0 { -m1.sigma * h.exp_m1() } else { m1.sigma - decay * m0.sigma };
                Self { h, z: h, decay, first, scale: -m1.sigma * h }
            }
        }
    }

    /// Whether the step begins or ends at a limit, where there is no polynomial in `lambda`.
    pub(super) fn at_limit(&self) -> bool {
        self.h.is_nan() || self.h.abs() >= LONGEST
    }

    /// `x1`, given `m_0` and the pairs of `w_k` and `m_k`.
    pub(super) fn end<S: State>(&self, x: &S, m0: &S, others: &[(f64, &S)]) -> Result<S> {
        let mut terms = vec![(self.decay, x), (self.first, m0)];
        for (w, m) in others {
            terms[1].0 -= self.scale * w;
            terms.push((self.scale * w, *m));
        }
        S::lincomb(&terms)
    }
}

/// The last steps of a grid, where multistep methods may fall back to lower orders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LowerOrderFinal {
    end: f64,
    before: Option<f64>,
}

impl LowerOrderFinal {
    /// The last step of `times` has order 1, the one before order 2 at most (the authors'
    /// `lower_order_final`); `None` for a grid without times.
    pub fn of(times: &[f64]) -> Option<Self> {
        let (&end, rest) = times.split_last()?;
        Some(Self { end, before: rest.last().copied() })
    }

    /// The highest order of a step that ends at `t1`.
    pub(super) fn most(self, t1: f64) -> usize {
        if t1 == self.end {
            1
        } else if Some(t1) == self.before {
            2
        } else {
            usize::MAX
        }
    }
}
