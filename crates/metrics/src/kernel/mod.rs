//! Kernel two-sample statistics.

mod estimate;
mod function;

pub use estimate::{Mmd2, energy_distance, mmd2, mmd2_with_error};
pub use function::Kernel;
