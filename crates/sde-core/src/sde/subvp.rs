//! The sub-variance-preserving process.

use super::vp::Linear;
use super::{Marginal, Sde, inverse_in_range};
use crate::{Result, Short};

/// The sub-VP process `dX = -beta/2 X dt + sqrt(beta (1 - e^{-2B})) dW` on `[0, 1]`.
///
/// `alpha = e^{-B/2}`, `sigma = 1 - e^{-B}`, with `beta` and `B` as in [`super::Vp`].
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, section 3.4 and equation 29.
///
/// ```
/// use sde_core::{Sde, SubVp, Vp};
/// let (sub, vp) = (SubVp::default().marginal(0.3), Vp::default().marginal(0.3));
/// assert!(sub.sigma < vp.sigma && sub.alpha == vp.alpha);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SubVp {
    linear: Linear,
}

impl SubVp {
    /// The process with noise rates `beta0` at `t = 0` and `beta1` at `t = 1`.
    ///
    /// # Errors
    /// [`crate::Error::Parameter`] unless both are finite and positive.
    pub fn new(beta0: f64, beta1: f64) -> Result<Self> {
        Ok(Self { linear: Linear::new(beta0, beta1)? })
    }
}

impl Sde for SubVp {
    fn name(&self) -> String {
        format!("sub-vp:beta0={},beta1={}", Short(self.linear.beta0), Short(self.linear.beta1))
    }

    fn horizon(&self) -> f64 {
        1.0
    }

    fn drift_coef(&self, t: f64) -> f64 {
        -0.5 * self.linear.beta(t)
    }

    fn diffusion_squared(&self, t: f64) -> f64 {
        -self.linear.beta(t) * (-2.0 * self.linear.integral(0.0, t)).exp_m1()
    }

    fn marginal(&self, t: f64) -> Marginal {
        let b = self.linear.integral(0.0, t);
        Marginal { alpha: (-0.5 * b).exp(), sigma: -(-b).exp_m1() }
    }

    fn marginal_rate(&self, t: f64) -> Marginal {
        let (m, beta) = (self.marginal(t), self.linear.beta(t));
        Marginal { alpha: -0.5 * beta * m.alpha, sigma: beta * m.alpha * m.alpha }
    }

    fn transition(&self, s: f64, t: f64) -> Marginal {
        // sigma_t^2 - e^{-b} sigma_s^2 = (1 - e^{-b}) (1 - e^{-(2 B_s + b)})
        let (b, bs) = (self.linear.integral(s, t), self.linear.integral(0.0, s));
        let var = (-b).exp_m1() * (-(2.0 * bs + b)).exp_m1();
        let sigma = if b < 0.0 { f64::NAN } else { var.sqrt() };
        Marginal { alpha: (-0.5 * b).exp(), sigma }
    }

    fn half_log_snr(&self, t: f64) -> f64 {
        let b = self.linear.integral(0.0, t);
        -0.5 * b - (-(-b).exp_m1()).ln()
    }

    fn time_of_half_log_snr(&self, lambda: f64) -> Result<f64> {
        // With w = e^{-B/2}: w / (1 - w^2) = e^lambda, that is 2 sinh(B/2) = e^-lambda.
        let b = 2.0 * (0.5 * (-lambda).exp()).asinh();
        inverse_in_range(lambda, self.linear.time_of_integral(b), 1.0)
    }

    fn prior_std(&self) -> f64 {
        1.0
    }

    /// That of Song et al. 2021, arXiv 2011.13456, appendix C.
    fn usual_end(&self) -> f64 {
        1e-3
    }
}
