//! How the rows of a batch are drawn together.

use serde::{Deserialize, Serialize};

/// How the rows of a batch are drawn together. Every row has the law the loss asks for either way, so
/// the loss and its gradient are the same in expectation; what changes is their noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draws {
    /// Every row on its own.
    #[default]
    Independent,
    /// Quasi-Monte Carlo with antithetic pairs: times from a randomly shifted [`sde_core::KroneckerSequence`]
    /// (collocation points in a box too), and rows of denoising score matching in pairs with the same `x_0` and `t` and
    /// opposite noise.
    ///
    /// The target `-z / sigma` of a row has a variance that grows like `1 / sigma^2` as `t -> 0`; in
    /// the gradient of a pair it meets the *difference* of the network's derivatives at
    /// `alpha x_0 +- sigma z`, which is of the order of `sigma`, so the divergence is gone.
    #[serde(alias = "stratified")]
    QuasiMonteCarlo,
}
