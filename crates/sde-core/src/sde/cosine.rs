//! The variance-preserving process of the cosine schedule: `(alpha, sigma)` on a quarter of the unit circle.

use std::f64::consts::FRAC_PI_2;

use super::discretisation::{Discretisation, exact};
use super::{Marginal, Sde, inverse_in_range};
use crate::Result;

/// The variance-preserving process `dX = -beta/2 X dt + sqrt(beta) dW`, `beta = pi tan(pi t / 2)`, on `[0, 1]`.
///
/// `alpha = cos(pi t / 2)`, `sigma = sin(pi t / 2)`; the prior is `N(0, I)`. At `t = 1` there is no signal (zero
/// terminal signal-to-noise) and `beta` is infinite; the flow is finite, with velocity `-pi/2 D`
/// ([`crate::flow_velocity`]). Everywhere it is `pi/2 v`, `v = alpha eps - sigma D`. The schedule with an offset,
/// which stops short of `t = 1`, is [`crate::schedule::Cosine`].
///
/// # Reference
/// Nichol, Dhariwal 2021, arXiv 2102.09672, equation 17 with `s = 0`; Salimans, Ho 2022, arXiv 2202.00512,
/// section 4 and appendix D (the angle as time).
///
/// ```
/// use sde_core::{CosineVp, Sde};
/// let m = CosineVp.marginal(1.0);
/// assert_eq!((m.alpha, m.sigma), (0.0, 1.0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CosineVp;

/// `cos(pi t / 2)`, accurate near `t = 1` and zero there.
fn cos(t: f64) -> f64 {
    if t < 0.5 { (FRAC_PI_2 * t).cos() } else { (FRAC_PI_2 * (1.0 - t)).sin() }
}

/// `sin(pi t / 2)`.
fn sin(t: f64) -> f64 {
    (FRAC_PI_2 * t).sin()
}

impl Sde for CosineVp {
    fn name(&self) -> String {
        "cosine".into()
    }

    fn horizon(&self) -> f64 {
        1.0
    }

    fn drift_coef(&self, t: f64) -> f64 {
        -FRAC_PI_2 * sin(t) / cos(t)
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        2.0 * FRAC_PI_2 * sin(t) / cos(t)
    }

    fn marginal(&self, t: f64) -> Marginal {
        Marginal { alpha: cos(t), sigma: sin(t) }
    }

    fn marginal_rate(&self, t: f64) -> Marginal {
        Marginal { alpha: -FRAC_PI_2 * sin(t), sigma: FRAC_PI_2 * cos(t) }
    }

    fn transition(&self, s: f64, t: f64) -> Marginal {
        if s == t {
            return Marginal { alpha: 1.0, sigma: 0.0 };
        }
        // sin^2 t cos^2 s - cos^2 t sin^2 s = sin(t - s) sin(t + s), here of the halves of pi t and pi s.
        let c = cos(s);
        let both = if s + t <= 1.0 { sin(s + t) } else { sin((1.0 - s) + (1.0 - t)) };
        Marginal { alpha: cos(t) / c, sigma: (sin(t - s) * both).sqrt() / c }
    }

    fn half_log_snr(&self, t: f64) -> f64 {
        (cos(t) / sin(t)).ln()
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        let t = if lambda < 0.0 {
            1.0 - lambda.exp().atan() / FRAC_PI_2
        } else {
            (-lambda).exp().atan() / FRAC_PI_2
        };
        inverse_in_range(lambda, t, 1.0)
    }

    fn prior_std(&self) -> f64 {
        1.0
    }

    fn usual_end(&self) -> f64 {
        1e-3
    }

    /// The kernel itself, [`Sde::transition`]: DDPM's step with `b = 1 - alpha(t)^2 / alpha(s)^2`.
    fn discretise(&self, t: f64, s: f64) -> Result<Discretisation> {
        exact(self, t, s)
    }
}
