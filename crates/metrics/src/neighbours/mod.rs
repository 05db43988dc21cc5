//! Nearest neighbours, and what they say of two samples.

mod manifold;
mod memorisation;
mod search;

pub(crate) use manifold::check_neighbours;
pub use manifold::{Manifolds, precision_recall};
pub use memorisation::{NearestRow, authenticity, near_training, nearest_rows};
pub(crate) use search::{Neighbour, nearest};
