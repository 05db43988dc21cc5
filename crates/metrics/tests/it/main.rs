//! Tests of the crate as its users see it: reference numbers, laws, errors.

mod support;

mod errors;
mod grid;
mod kernels;
mod laws;
mod other_distances;
mod references;
mod transport;
mod transport_hard;
mod transport_laws;
