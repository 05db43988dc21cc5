//! Tests of the crate as its users see it: reference numbers, laws, errors.

mod support;

mod entropic;
mod errors;
mod grid;
mod kernels;
mod laws;
mod other_distances;
mod references;
mod registry;
mod transport;
mod uncertainty;
