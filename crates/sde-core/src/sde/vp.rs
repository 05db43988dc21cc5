//! The variance-preserving process and the linear schedule it shares with sub-VP.

use super::discretisation::{Discretisation, step_back};
use super::{Marginal, Sde, inverse_in_range, positive, softplus};
use crate::{Error, Result, Short};

/// `beta(t) = beta0 + (beta1 - beta0) t` on `[0, 1]` and its integral `B(t)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Linear {
    pub(super) beta0: f64,
    pub(super) beta1: f64,
}

impl Linear {
    pub(super) fn new(beta0: f64, beta1: f64) -> Result<Self> {
        Ok(Self { beta0: positive("beta0", beta0)?, beta1: positive("beta1", beta1)? })
    }

    pub(super) fn beta(&self, t: f64) -> f64 {
        self.beta0 + t * (self.beta1 - self.beta0)
    }

    /// `B(t) - B(s)`, without cancellation.
    pub(super) fn integral(&self, s: f64, t: f64) -> f64 {
        (t - s) * (self.beta0 + 0.5 * (s + t) * (self.beta1 - self.beta0))
    }

    /// The time at which the integral from 0 is `b`; NaN beyond the reach of a falling `beta`.
    pub(super) fn time_of_integral(&self, b: f64) -> f64 {
        let slope = self.beta1 - self.beta0;
        2.0 * b / (self.beta0 + (self.beta0 * self.beta0 + 2.0 * slope * b).sqrt())
    }
}

impl Default for Linear {
    fn default() -> Self {
        Self { beta0: 0.1, beta1: 20.0 }
    }
}

/// The variance-preserving process `dX = -beta/2 X dt + sqrt(beta) dW` on `[0, 1]`.
///
/// `alpha = e^{-B/2}`, `sigma^2 = 1 - e^{-B}` with `B` the integral of
/// `beta(t) = beta0 + (beta1 - beta0) t`.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, equations 11 and 29.
///
/// ```
/// use sde_core::{Sde, Vp};
/// let sde = Vp::default();
/// let t = sde.time_of_half_log_snr(0.0)?;
/// assert!(sde.half_log_snr(t).abs() < 1e-13);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vp {
    linear: Linear,
}

impl Vp {
    /// The process with noise rates `beta0` at `t = 0` and `beta1` at `t = 1`.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] unless both are finite and positive.
    pub fn new(beta0: f64, beta1: f64) -> Result<Self> {
        Ok(Self { linear: Linear::new(beta0, beta1)? })
    }
}

impl Sde for Vp {
    fn name(&self) -> String {
        format!("vp:beta0={},beta1={}", Short(self.linear.beta0), Short(self.linear.beta1))
    }

    fn horizon(&self) -> f64 {
        1.0
    }

    fn drift_coef(&self, t: f64) -> f64 {
        -0.5 * self.linear.beta(t)
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        self.linear.beta(t)
    }

    fn marginal(&self, t: f64) -> Marginal {
        self.transition(0.0, t)
    }

    fn marginal_rate(&self, t: f64) -> Marginal {
        let (m, beta) = (self.marginal(t), self.linear.beta(t));
        let sigma = 0.5 * beta * m.alpha * m.alpha / m.sigma;
        Marginal { alpha: -0.5 * beta * m.alpha, sigma }
    }

    fn transition(&self, s: f64, t: f64) -> Marginal {
        let b = self.linear.integral(s, t);
        Marginal { alpha: (-0.5 * b).exp(), sigma: (-(-b).exp_m1()).sqrt() }
    }

    fn half_log_snr(&self, t: f64) -> f64 {
        let b = self.linear.integral(0.0, t);
        if b < 1.0 { -0.5 * b.exp_m1().ln() } else { -0.5 * (b + (-(-b).exp_m1()).ln()) }
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        let b = softplus(-2.0 * lambda);
        inverse_in_range(lambda, self.linear.time_of_integral(b), 1.0)
    }

    fn prior_std(&self) -> f64 {
        1.0
    }

    /// That of Song et al. 2021, arXiv 2011.13456, appendix C.
    fn usual_end(&self) -> f64 {
        1e-3
    }

    /// That of DDPM, `alpha = sqrt(1 - b)` and `G^2 = b` with `b = beta(t) (t - s)`.
    ///
    /// # Reference
    /// Ho et al. 2020, arXiv 2006.11239, equation 2; Song et al. 2021, equation 10.
    fn discretise(&self, t: f64, s: f64) -> Result<Discretisation> {
        let (h, beta) = (step_back(t, s)?, self.linear.beta(t));
        let b = beta * h;
        if b < 1.0 {
            return Ok(Discretisation {
                alpha: (1.0 - b).sqrt(),
                variance: b,
                ancestral_variance: b,
            });
        }
        let reason = format!(
            "beta(t) = {beta} at t = {t} with a step of {h} leaves no signal: it must be below 1, take more steps"
        );
        Err(Error::Parameter { name: "beta(t) h".into(), value: b.to_string(), reason })
    }
}
