//! Brownian motion.

use super::{Marginal, Sde, inverse_in_range, positive};
use crate::{Result, Short};

/// The process `dX = dW` on `[0, T]`: noise whose variance is the time.
///
/// `alpha = 1`, `sigma(t) = sqrt(t)`; the prior is `N(0, T I)`. It is the variance-exploding
/// process with the clock in which its probability flow is the reversed heat equation.
///
/// # Reference
/// Karras et al. 2022, arXiv 2206.00364, table 1, column VE.
///
/// ```
/// use sde_core::{Brownian, Sde};
/// assert_eq!(Brownian::new(100.0)?.marginal(4.0).sigma, 2.0);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Brownian {
    horizon: f64,
}

impl Brownian {
    /// The process up to time `horizon`, the variance of its noise there.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] unless `horizon` is finite and positive.
    pub fn new(horizon: f64) -> Result<Self> {
        Ok(Self { horizon: positive("horizon", horizon)? })
    }
}

impl Default for Brownian {
    fn default() -> Self {
        Self { horizon: 10_000.0 }
    }
}

impl Sde for Brownian {
    fn name(&self) -> String {
        format!("brownian:horizon={}", Short(self.horizon))
    }

    fn horizon(&self) -> f64 {
        self.horizon
    }

    fn drift_coef(&self, _t: f64) -> f64 {
        0.0
    }

    fn diffusion_squared(&self, _t: f64) -> f64 {
        1.0
    }

    fn marginal(&self, t: f64) -> Marginal {
        Marginal { alpha: 1.0, sigma: t.sqrt() }
    }

    fn transition(&self, s: f64, t: f64) -> Marginal {
        Marginal { alpha: 1.0, sigma: (t - s).sqrt() }
    }

    fn half_log_snr(&self, t: f64) -> f64 {
        -0.5 * t.ln()
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        inverse_in_range(lambda, (-2.0 * lambda).exp(), self.horizon)
    }

    fn prior_std(&self) -> f64 {
        self.horizon.sqrt()
    }
}
