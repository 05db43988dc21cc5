//! Random directions.

use crate::{Key, Result, State};

/// The law of a probe `v`, `E v v^T = I`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probe {
    /// Random signs: the least variance of all independent coordinates.
    #[default]
    Rademacher,
    /// Standard normals.
    Gaussian,
}

impl Probe {
    /// A probe in the shape of `like`; row `b` belongs to particle `first_row + b` of the key.
    ///
    /// # Errors
    /// Whatever the state fails with.
    pub fn draw<S: State>(self, like: &S, key: Key, first_row: u64) -> Result<S> {
        match self {
            Self::Rademacher => like.signs_like(key, first_row),
            Self::Gaussian => like.normals_like(key, first_row),
        }
    }
}
