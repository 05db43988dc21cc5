//! How particles are proposed and weighted.

use ndarray::Array2;
use sde_core::{Result, State};
use solvers::density::Augmented;

/// Particles with what is known of each.
pub(super) type Particles = Augmented<Array2<f64>>;

/// What a move found at the particles and needs for the next one, a row a particle.
pub(super) type Kept = Vec<Particles>;

/// Particles after a move.
pub(super) struct Moved {
    pub(super) x: Array2<f64>,
    /// The logarithms of the factors of their weights.
    pub(super) log_factors: Vec<f64>,
    /// What the move has found out at the new place.
    pub(super) kept: Kept,
}

/// A proposal with its weights: a product of all factors makes the particles a properly weighted sample.
pub(super) trait Move: Send + Sync {
    /// Particles at the first time, from normals, with the logarithms of their weights.
    fn start(&self, z: &Array2<f64>, t: f64) -> Result<(Array2<f64>, Vec<f64>)>;

    /// What the next move needs to know at `x`.
    fn arrive(&self, x: &Array2<f64>, t: f64) -> Result<Kept>;

    /// A step from `t0` to `t1` with the normals `z`, and what is known at `x`.
    fn advance(
        &self,
        x: &Array2<f64>,
        kept: &Kept,
        times: (f64, f64),
        z: &Array2<f64>,
    ) -> Result<Moved>;

    /// The score that particles are moved by, in continuous time.
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>>;
}

/// Row by row dot products.
pub(super) fn dot(a: &Array2<f64>, b: &Array2<f64>) -> Result<Vec<f64>> {
    a.row_dot(b)
}
