//! Error bars: closed forms, resamples, noise floors.

mod draw;
mod floor;
mod frechet;
mod influence;
mod resample;
mod sliced;
mod transport;

use sde_core::counts::{in_memory, in_time};

use crate::error::{Error, Result};

pub use floor::NoiseFloor;
pub use frechet::frechet_standard_error;
pub use resample::{Interval, Resampled, Resampling};
pub(crate) use sliced::sliced_error;

/// Refuses more values over samples of so many draws than memory and years allow.
pub(crate) fn check_repeats(name: &str, repeats: usize, draws: usize) -> Result<()> {
    in_memory(&[(name, repeats as u64)], 32).map_err(Error::Excess)?;
    in_time(&[(name, repeats as u64), ("draws", draws as u64)]).map_err(Error::Excess)?;
    Ok(())
}
