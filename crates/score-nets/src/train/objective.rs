//! What a loss must be able to do.

use candle_core::backprop::GradStore;
use sde_core::Key;

use crate::{Result, ScoreNet};

/// A term of the training loss.
pub trait Objective: Send + Sync {
    /// The name its values are logged under.
    fn name(&self) -> &str;

    /// Loss and gradients of `net` at training step `step`.
    ///
    /// Everything random comes from `key`, which the trainer derives from its seed, the term and
    /// the step: nothing has to be saved to resume.
    ///
    /// # Errors
    /// Whatever data, network or arithmetic fail with.
    fn loss_and_grad(&self, net: &ScoreNet, step: u64, key: Key) -> Result<(f64, GradStore)>;
}
