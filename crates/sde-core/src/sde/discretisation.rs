//! The forward process in discrete time, as ancestral and reverse-diffusion samplers see it.

use super::Sde;
use crate::{Error, Result};

/// One step `X_t | X_s ~ N(alpha X_s, variance I)` of a forward process in discrete time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Discretisation {
    /// Scale of the mean.
    pub alpha: f64,
    /// `G^2`, the variance of the noise.
    pub variance: f64,
    /// The variance of the noise in an ancestral step back.
    pub ancestral_variance: f64,
}

/// The length of a step back from `t` to `s`.
///
/// # Errors
/// [`Error::Parameter`] unless `s < t`.
pub(super) fn step_back(t: f64, s: f64) -> Result<f64> {
    if t - s > 0.0 {
        return Ok(t - s);
    }
    let reason = format!("a discrete-time sampler steps back in time, not from {t}");
    Err(Error::Parameter { name: "t".into(), value: s.to_string(), reason })
}

/// The Euler-Maruyama discretisation, `alpha = 1 + a h`, `G^2 = g^2 h` at `t`: that of Song et al.
/// for processes without one of their own.
///
/// # Errors
/// [`Error::Parameter`] unless `s < t` and the step is short enough for `alpha > 0`.
pub(super) fn euler(sde: &(impl Sde + ?Sized), t: f64, s: f64) -> Result<Discretisation> {
    let h = step_back(t, s)?;
    let (alpha, variance) = (1.0 + sde.drift_coef(t) * h, sde.diffusion_squared(t) * h);
    if alpha > 0.0 {
        return Ok(Discretisation { alpha, variance, ancestral_variance: variance });
    }
    let reason = format!("1 + a(t) h must be positive: the step h = {h} at t = {t} is too long");
    Err(Error::Parameter { name: "alpha".into(), value: alpha.to_string(), reason })
}

/// The step of the process itself, its transition kernel, with the variance of `X_s | X_t, X_0` for an ancestral
/// step back.
///
/// # Errors
/// [`Error::Parameter`] unless `s < t`, and where `t` has no signal left: no step back is made of that one.
pub(super) fn exact(sde: &(impl Sde + ?Sized), t: f64, s: f64) -> Result<Discretisation> {
    step_back(t, s)?;
    let kernel = sde.transition(s, t);
    if kernel.alpha > 0.0 {
        let shrink = sde.marginal(s).sigma / sde.marginal(t).sigma;
        let variance = kernel.sigma * kernel.sigma;
        let ancestral_variance = shrink * shrink * variance;
        return Ok(Discretisation { alpha: kernel.alpha, variance, ancestral_variance });
    }
    let reason = format!(
        "no signal is left at t = {t}: begin a discrete-time sampler, or a corrector of its kind, where there is some"
    );
    Err(Error::Parameter { name: "alpha".into(), value: kernel.alpha.to_string(), reason })
}
