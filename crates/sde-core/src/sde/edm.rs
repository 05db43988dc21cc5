//! The process of Karras et al.: noise level as time.

use super::{Marginal, Sde, inverse_in_range, positive};
use crate::{Result, Short};

/// The process `dX = sqrt(2 t) dW` on `[0, sigma_max]`, whose time is its noise level.
///
/// `alpha = 1`, `sigma(t) = t`; the prior is `N(0, sigma_max^2 I)`.
///
/// # Reference
/// Karras et al. 2022, arXiv 2206.00364, table 1 and equation 1 with `sigma(t) = t`, `s(t) = 1`.
///
/// ```
/// use sde_core::{Edm, Sde};
/// assert_eq!(Edm::default().marginal(3.0).sigma, 3.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edm {
    sigma_max: f64,
}

impl Edm {
    /// The process up to noise `sigma_max`.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] unless `sigma_max` is finite and positive.
    pub fn new(sigma_max: f64) -> Result<Self> {
        Ok(Self { sigma_max: positive("sigma-max", sigma_max)? })
    }
}

impl Default for Edm {
    fn default() -> Self {
        Self { sigma_max: 80.0 }
    }
}

impl Sde for Edm {
    fn name(&self) -> String {
        format!("edm:sigma-max={}", Short(self.sigma_max))
    }

    fn horizon(&self) -> f64 {
        self.sigma_max
    }

    fn drift_coef(&self, _t: f64) -> f64 {
        0.0
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        2.0 * t
    }

    fn marginal(&self, t: f64) -> Marginal {
        Marginal { alpha: 1.0, sigma: t }
    }

    fn marginal_rate(&self, _t: f64) -> Marginal {
        Marginal { alpha: 0.0, sigma: 1.0 }
    }

    fn transition(&self, s: f64, t: f64) -> Marginal {
        Marginal { alpha: 1.0, sigma: ((t - s) * (t + s)).sqrt() }
    }

    fn half_log_snr(&self, t: f64) -> f64 {
        -t.ln()
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        inverse_in_range(lambda, (-lambda).exp(), self.sigma_max)
    }

    fn prior_std(&self) -> f64 {
        self.sigma_max
    }
}
