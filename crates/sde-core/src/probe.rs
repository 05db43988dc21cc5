//! Random probe vectors of stochastic trace estimates.

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
    /// The fewest draws whose scatter is handed out as a standard error.
    ///
    /// Few draws often agree by chance: two probes of random signs in the plane are equal up to sign one time in
    /// two, and state no error beside an estimate that is wrong. From 12 draws on the truth was within
    /// four standard errors in 95 % of the cases for every Jacobian and law of the probe that was simulated.
    pub const FEWEST_FOR_ERROR: usize = 12;

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
