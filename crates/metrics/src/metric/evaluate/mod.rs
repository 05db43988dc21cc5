//! From two samples to a [`super::Measured`]: one function an entry of the registry.

pub(super) mod cells;
pub(super) mod kernels;
pub(super) mod likelihood;
pub(super) mod moments;
pub(super) mod neighbours;
pub(super) mod slices;
pub(super) mod transport;
