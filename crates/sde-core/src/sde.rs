//! Linear forward processes `dX = a(t) X dt + g(t) dW`: everything about them is scalars in `t`.

use crate::{Error, Result};

/// The Gaussian `X_t | X_s ~ N(alpha X_s, sigma^2 I)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marginal {
    /// Scale of the mean.
    pub alpha: f64,
    /// Standard deviation of the noise.
    pub sigma: f64,
}

/// A linear forward SDE `dX = a(t) X dt + g(t) dW` on `[0, T]`, data at `t = 0`, noise at `t = T`.
pub trait Sde: Send + Sync {
    /// The name it is constructed by, with its constants (`vp:beta0=0.1,beta1=20`).
    fn name(&self) -> String;

    /// The horizon `T`.
    fn horizon(&self) -> f64;

    /// The drift coefficient `a(t)`.
    fn drift_coef(&self, t: f64) -> f64;

    /// `g(t)^2`.
    fn diffusion_squared(&self, t: f64) -> f64;

    /// The noise amplitude `g(t)`.
    fn diffusion(&self, t: f64) -> f64 {
        self.diffusion_squared(t).sqrt()
    }

    /// `alpha(t)` and `sigma(t)` of `X_t | X_0`.
    fn marginal(&self, t: f64) -> Marginal;

    /// The transition kernel `X_t | X_s` for `s <= t`.
    fn transition(&self, s: f64, t: f64) -> Marginal {
        let (a, b) = (self.marginal(s), self.marginal(t));
        let alpha = b.alpha / a.alpha;
        let var = b.sigma * b.sigma - alpha * alpha * a.sigma * a.sigma;
        Marginal { alpha, sigma: var.max(0.0).sqrt() }
    }

    /// Half the log signal-to-noise ratio, `lambda(t) = log(alpha / sigma)`.
    fn half_log_snr(&self, t: f64) -> f64 {
        let m = self.marginal(t);
        (m.alpha / m.sigma).ln()
    }

    /// The time at which [`Sde::half_log_snr`] has the value `lambda`.
    ///
    /// # Errors
    /// [`Error::Parameter`] when no time in `[0, T]` has it.
    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64>;

    /// Standard deviation of the prior `N(0, prior_std^2 I)` that samplers start from at `T`.
    fn prior_std(&self) -> f64;
}

/// Checks that a time lies in `[0, T]`.
///
/// # Errors
/// [`Error::Time`] when it does not, or is not a number.
pub fn check_time(sde: &dyn Sde, t: f64) -> Result<()> {
    let horizon = sde.horizon();
    if t >= 0.0 && t <= horizon { Ok(()) } else { Err(Error::Time { t, horizon }) }
}
