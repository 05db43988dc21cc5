//! Nearest neighbours, and what they say of two samples.

mod manifold;
mod search;

pub(crate) use manifold::check_neighbours;
pub use manifold::{Manifolds, precision_recall};
pub(crate) use search::{Neighbour, nearest};
