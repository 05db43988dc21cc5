//! The trait of scores that come with an approximate likelihood.

use sde_core::Result;

/// A score with an approximation of `log p(y | x_t)`, the twist.
#[derive(Clone, Debug)]
pub struct Twisted<S> {
    /// The score without guidance, of the law that is sampled from; it may be zero where `sigma` is.
    pub score: S,
    /// `log p(y | x_t)` of every row; a term that depends on `t` alone may be missing before `t = 0`.
    pub log_likelihood: Vec<f64>,
    /// Its gradient in `x`, in the shape of `x`; it may be approximate too.
    pub gradient: S,
}

/// A score that knows an approximation of `log p(y | x_t)`: what [`crate::TwistedSmc`] corrects to the exact posterior.
///
/// [`crate::ReconstructionGuidance`] and [`crate::ClassifierGuidance`] are some.
pub trait Twist<S>: Send + Sync {
    /// Score, likelihood and its gradient of every row of `x` at the common time `t`.
    ///
    /// # Errors
    /// [`sde_core::Error::Shape`] when `x` does not fit; whatever the models fail with.
    fn twist(&self, x: &S, t: f64) -> Result<Twisted<S>>;

    /// The twist of a block of particles, see [`sde_core::Score::for_rows`].
    ///
    /// # Errors
    /// As [`sde_core::Score::for_rows`].
    fn twist_for_rows(&self, rows: &[u64]) -> Result<Box<dyn Twist<S> + '_>>;
}
