//! Error bars: closed forms, resamples, noise floors.

mod draw;
mod floor;
mod frechet;
mod influence;
mod resample;
mod sliced;
mod transport;

pub use floor::NoiseFloor;
pub use frechet::frechet_standard_error;
pub use resample::{Interval, Resampled, Resampling};
pub(crate) use sliced::sliced_error;
