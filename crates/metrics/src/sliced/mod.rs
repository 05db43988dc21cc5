//! Sliced and max-sliced Wasserstein distances.

mod ascent;
mod given;
mod length;
mod maximum;
mod monotone;
mod ridge;

pub(crate) use given::present;
pub use given::{SlicedDistance, sliced_w, sliced_w_keyed};
pub(crate) use length::Length;
pub use maximum::{MaxSliced, max_sliced_w};
