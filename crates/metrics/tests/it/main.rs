//! Tests of the crate as its users see it: reference numbers, laws, errors.

mod support;

mod classifier;
mod entropic;
mod errors;
mod gaussians;
mod grid;
mod histogram_divergences;
mod kernel_estimates;
mod kernels;
mod laws;
mod log_likelihoods;
mod metric_laws;
mod neighbours;
mod other_distances;
mod references;
mod registry;
mod sliced;
mod transport;
mod transport_hard;
mod transport_laws;
mod uncertainty;
