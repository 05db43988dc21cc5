//! The straight path from data to noise: rectified flow, flow matching.

use super::discretisation::{Discretisation, exact};
use super::{Marginal, Sde, inverse_in_range};
use crate::Result;

/// The process with `X_t = (1 - t) x_0 + t eps` in law, `dX = -1/(1 - t) X dt + sqrt(2t/(1 - t)) dW` on
/// `[0, 1]`.
///
/// `alpha = 1 - t`, `sigma = t`; the prior is `N(0, I)`. At `t = 1` the coefficients are infinite and the flow is
/// not: its velocity there is `eps - D` ([`crate::flow_velocity`]), `D` the expected data. Along data of one point
/// the flow is a straight line.
///
/// # Reference
/// Liu, Gong, Liu 2023, arXiv 2209.03003, equation 1; Lipman et al. 2023, arXiv 2210.02747, equation 20 with
/// `sigma_min = 0` (both with time in the other direction).
///
/// ```
/// use sde_core::{Rectified, Sde};
/// let m = Rectified.marginal(0.25);
/// assert_eq!((m.alpha, m.sigma), (0.75, 0.25));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rectified;

impl Sde for Rectified {
    fn name(&self) -> String {
        "rectified".into()
    }

    fn horizon(&self) -> f64 {
        1.0
    }

    fn drift_coef(&self, t: f64) -> f64 {
        -1.0 / (1.0 - t)
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        2.0 * t / (1.0 - t)
    }

    fn marginal(&self, t: f64) -> Marginal {
        Marginal { alpha: 1.0 - t, sigma: t }
    }

    fn marginal_rate(&self, _t: f64) -> Marginal {
        Marginal { alpha: -1.0, sigma: 1.0 }
    }

    fn transition(&self, s: f64, t: f64) -> Marginal {
        if s == t {
            return Marginal { alpha: 1.0, sigma: 0.0 };
        }
        // t^2 - alpha^2 s^2 = (t - alpha s) (t + alpha s)
        let (u, v) = (1.0 - s, 1.0 - t);
        Marginal { alpha: v / u, sigma: ((t - s) * (t * u + s * v)).sqrt() / u }
    }

    fn half_log_snr(&self, t: f64) -> f64 {
        ((1.0 - t) / t).ln()
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        inverse_in_range(lambda, 1.0 / (1.0 + lambda.exp()), 1.0)
    }

    fn prior_std(&self) -> f64 {
        1.0
    }

    fn usual_end(&self) -> f64 {
        1e-3
    }

    /// The kernel itself, [`Sde::transition`].
    fn discretise(&self, t: f64, s: f64) -> Result<Discretisation> {
        exact(self, t, s)
    }
}
