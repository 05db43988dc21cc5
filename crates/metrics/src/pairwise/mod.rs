//! Loops over all pairs of two clouds, vectorised across the points of the second.
//!
//! Whatever runs here is a fixed sequence of correctly rounded operations: the clones for wider
//! vectors compute the same bits, and no sum depends on the number of threads.

mod points;
mod vector;

pub(crate) use points::{CHUNK, Points};
pub(crate) use vector::{dot, exp_scaled, gibbs, inverse_root, sum};
