//! Kernel two-sample statistics.

mod bandwidths;
mod energy;
mod estimate;
mod function;
mod linear;
mod median;
mod posed;
mod subsets;
mod sums;

pub use bandwidths::Bandwidths;
pub use energy::{energy_distance, energy_distance_with_error};
pub use estimate::{Mmd2, mmd2, mmd2_with_error};
pub use function::Kernel;
pub use linear::{mmd2_blocks, mmd2_linear};
pub use median::BandwidthSource;
pub(crate) use median::median_distance;
pub use subsets::{SubsetMmd2, kid, mmd2_on_subsets};
