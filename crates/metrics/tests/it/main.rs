//! Tests of the crate as its users see it: reference numbers, laws, errors.

mod support;

mod entropic;
mod errors;
mod gaussians;
mod grid;
mod kernel_estimates;
mod kernels;
mod laws;
mod other_distances;
mod references;
mod sliced;
mod transport;
