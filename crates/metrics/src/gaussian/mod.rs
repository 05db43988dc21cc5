//! Distances, divergences and entropy of Gaussians, and the Frechet distance of samples.

mod bures;
mod cholesky;
mod divergence;
mod polar;
mod spread;
mod twofold;

pub use bures::{frechet_distance, gaussian_w2};
pub use divergence::{gaussian_entropy, gaussian_fisher_divergence, gaussian_kl};
pub(crate) use polar::fit;
pub(crate) use spread::{Spread, shift};
