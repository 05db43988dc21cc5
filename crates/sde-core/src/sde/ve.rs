//! The variance-exploding process.

use super::discretisation::{Discretisation, step_back};
use super::{Marginal, Sde, inverse_in_range, positive};
use crate::{Error, Result, Short};

/// The variance-exploding process `dX = sigma(t) sqrt(2 log(sigma_max / sigma_min)) dW` on `[0, 1]`.
///
/// `alpha = 1`, `sigma(t) = sigma_min (sigma_max / sigma_min)^t`: the data carry noise of
/// `sigma_min` already at `t = 0`.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, equations 9 and 30.
///
/// ```
/// use sde_core::{Sde, Ve};
/// assert_eq!(Ve::default().marginal(0.0).sigma, 0.01);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ve {
    sigma_min: f64,
    sigma_max: f64,
}

impl Ve {
    /// The process from noise `sigma_min` at `t = 0` to `sigma_max` at `t = 1`.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `0 < sigma_min < sigma_max < infinity`.
    pub fn new(sigma_min: f64, sigma_max: f64) -> Result<Self> {
        let sde = Self {
            sigma_min: positive("sigma-min", sigma_min)?,
            sigma_max: positive("sigma-max", sigma_max)?,
        };
        if sigma_max <= sigma_min {
            return Err(Error::Parameter {
                name: "sigma-max".into(),
                value: sigma_max.to_string(),
                reason: format!("must be above sigma-min = {sigma_min}"),
            });
        }
        Ok(sde)
    }

    fn log_ratio(&self) -> f64 {
        (self.sigma_max / self.sigma_min).ln()
    }
}

impl Default for Ve {
    fn default() -> Self {
        Self { sigma_min: 0.01, sigma_max: 50.0 }
    }
}

impl Sde for Ve {
    fn name(&self) -> String {
        format!("ve:sigma-min={},sigma-max={}", Short(self.sigma_min), Short(self.sigma_max))
    }

    fn horizon(&self) -> f64 {
        1.0
    }

    fn drift_coef(&self, _t: f64) -> f64 {
        0.0
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        let sigma = self.marginal(t).sigma;
        2.0 * self.log_ratio() * sigma * sigma
    }

    fn marginal(&self, t: f64) -> Marginal {
        Marginal { alpha: 1.0, sigma: self.sigma_min * (t * self.log_ratio()).exp() }
    }

    fn marginal_rate(&self, t: f64) -> Marginal {
        Marginal { alpha: 0.0, sigma: self.log_ratio() * self.marginal(t).sigma }
    }

    fn transition(&self, s: f64, t: f64) -> Marginal {
        let grow = (2.0 * (t - s) * self.log_ratio()).exp_m1();
        Marginal { alpha: 1.0, sigma: self.marginal(s).sigma * grow.sqrt() }
    }

    fn half_log_snr(&self, t: f64) -> f64 {
        -self.sigma_min.ln() - t * self.log_ratio()
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        inverse_in_range(lambda, (-lambda - self.sigma_min.ln()) / self.log_ratio(), 1.0)
    }

    fn prior_std(&self) -> f64 {
        self.sigma_max
    }

    /// That of Song et al. 2021, arXiv 2011.13456, appendix C.
    fn usual_end(&self) -> f64 {
        1e-5
    }

    /// That of score matching with Langevin dynamics, `alpha = 1` and
    /// `G^2 = sigma(t)^2 - sigma(s)^2`; the variance of an ancestral step is that of `X_s | X_t, X_0`,
    /// `sigma(s)^2 G^2 / sigma(t)^2`.
    ///
    /// # Reference
    /// Song et al. 2021, arXiv 2011.13456, equation 8 and appendix F.
    fn discretise(&self, t: f64, s: f64) -> Result<Discretisation> {
        step_back(t, s)?;
        let kernel = self.transition(s, t).sigma;
        let shrink = self.marginal(s).sigma / self.marginal(t).sigma;
        let variance = kernel * kernel;
        Ok(Discretisation { alpha: 1.0, variance, ancestral_variance: shrink * shrink * variance })
    }
}
