//! How a metric scatters: resamples, noise floors.

mod draw;
mod floor;
mod resample;

pub use floor::NoiseFloor;
pub use resample::{Interval, Resampled, Resampling};
