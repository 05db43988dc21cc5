//! What a density that is a sum of components is made of.

use crate::sde::check_time;
use crate::{Result, Sde};

/// The scalars of an SDE at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct At {
    pub(super) t: f64,
    pub(super) alpha: f64,
    pub(super) var: f64,
    /// The drift coefficient `a = alpha' / alpha`.
    pub(super) a: f64,
    /// `g^2`, so that `(sigma^2)' = 2 a sigma^2 + g^2`.
    pub(super) g2: f64,
}

impl At {
    pub(super) fn new(sde: &dyn Sde, t: f64) -> Result<Self> {
        let t = check_time(sde, t)?;
        let m = sde.marginal(t);
        let (a, g2) = (sde.drift_coef(t), sde.diffusion_squared(t));
        Ok(Self { t, alpha: m.alpha, var: m.sigma * m.sigma, a, g2 })
    }
}

/// What each component says at one point: logarithms of its weighted density, gradients of that.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// `[K]`, `log(w_k p_k)`.
    pub(super) log: Vec<f64>,
    /// `[K, D]`, `grad log p_k`.
    pub(super) grad: Vec<f64>,
    /// `[K]`, the trace of the Hessian of `log p_k`.
    pub(super) trace: Vec<f64>,
    /// `[K]`, `d log p_k / dt`.
    pub(super) d_t: Vec<f64>,
    /// `[K, D]`, the Hessian of `log p_k` times the direction asked for.
    pub(super) hv: Vec<f64>,
}

/// How much of [`Parts`] is wanted.
#[derive(Clone, Copy)]
pub(super) enum Want<'a> {
    Score,
    Jvp(&'a [f64]),
    Everything,
}

/// A density that is a sum of components with known derivatives.
pub(super) trait Components: Send + Sync {
    /// What depends on the time only.
    type Prepared;
    fn dim(&self) -> usize;
    fn count(&self) -> usize;
    fn prepare(&self, at: At) -> Result<Self::Prepared>;
    fn parts(&self, prepared: &Self::Prepared, x: &[f64], want: Want<'_>, out: &mut Parts);
    /// `[K, D]`, the expected data given `x` of each component, without cancellation.
    fn data(&self, prepared: &Self::Prepared, x: &[f64], out: &mut [f64]);
}
