//! From two samples to a [`super::Measured`]: one function an entry of the registry.

pub(super) mod cells;
pub(super) mod gaussian;
pub(super) mod kernels;
pub(super) mod slices;
pub(super) mod transport;
