//! How a metric scatters: resamples, noise floors.

mod change;
mod draw;
mod floor;
mod resample;

pub use change::{Change, Difference};
pub use floor::NoiseFloor;
pub use resample::{Interval, Resampled, Resampling, precision_recall_with_errors};
