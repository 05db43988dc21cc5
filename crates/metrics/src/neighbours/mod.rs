//! Nearest neighbours, and what they say of two samples.

mod manifold;
mod search;

pub use manifold::{Manifolds, precision_recall};
pub(crate) use search::nearest;
