//! Standard errors in closed form.

mod frechet;
mod influence;
mod sliced;
mod transport;

pub use frechet::frechet_standard_error;
pub(crate) use sliced::sliced_error;
