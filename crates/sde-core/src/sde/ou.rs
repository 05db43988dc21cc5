//! The Ornstein-Uhlenbeck process of unit rate.

use super::{Marginal, Sde, inverse_in_range, positive};
use crate::{Result, Short};

/// The Ornstein-Uhlenbeck process `dX = -X dt + dW` on `[0, T]`.
///
/// `alpha = e^-t`, `sigma^2 = (1 - e^-2t) / 2`; its prior is the stationary `N(0, I/2)`.
///
/// # Reference
/// Deveney, Stanczuk, Kreusser, Budd, Schonlieb 2025, arXiv 2311.15996, section 5.
///
/// ```
/// use sde_core::{Ou, Sde};
/// let m = Ou::default().marginal(1.0);
/// assert!((m.alpha - (-1.0_f64).exp()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ou {
    horizon: f64,
}

impl Ou {
    /// The process up to time `horizon`.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] unless `horizon` is finite and positive.
    pub fn new(horizon: f64) -> Result<Self> {
        Ok(Self { horizon: positive("horizon", horizon)? })
    }
}

impl Default for Ou {
    fn default() -> Self {
        Self { horizon: 10.0 }
    }
}

impl Sde for Ou {
    fn name(&self) -> String {
        format!("ou:horizon={}", Short(self.horizon))
    }

    fn horizon(&self) -> f64 {
        self.horizon
    }

    fn drift_coef(&self, _t: f64) -> f64 {
        -1.0
    }

    fn diffusion_squared(&self, _t: f64) -> f64 {
        1.0
    }

    fn marginal(&self, t: f64) -> Marginal {
        self.transition(0.0, t)
    }

    fn marginal_rate(&self, t: f64) -> Marginal {
        let m = self.marginal(t);
        Marginal { alpha: -m.alpha, sigma: 0.5 * m.alpha * m.alpha / m.sigma }
    }

    fn transition(&self, s: f64, t: f64) -> Marginal {
        let d = t - s;
        Marginal { alpha: (-d).exp(), sigma: (-0.5 * (-2.0 * d).exp_m1()).sqrt() }
    }

    fn half_log_snr(&self, t: f64) -> f64 {
        if t < 1.0 {
            -0.5 * (0.5 * (2.0 * t).exp_m1()).ln()
        } else {
            -t - 0.5 * (-0.5 * (-2.0 * t).exp_m1()).ln()
        }
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        // e^{2t} = 1 + 2 e^{-2 lambda}
        let y = std::f64::consts::LN_2 - 2.0 * lambda;
        inverse_in_range(lambda, 0.5 * super::softplus(y), self.horizon)
    }

    fn prior_std(&self) -> f64 {
        std::f64::consts::FRAC_1_SQRT_2
    }
}
