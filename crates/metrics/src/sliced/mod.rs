//! Sliced and max-sliced Wasserstein distances.

mod given;
mod maximum;
mod monotone;
mod ridge;

pub use given::{SlicedDistance, sliced_w, sliced_w_keyed};
pub use maximum::{MaxSliced, max_sliced_w};
