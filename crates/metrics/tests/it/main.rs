//! Tests of the crate as its users see it: reference numbers, laws, errors.

mod support;

mod classifier;
mod entropic;
mod errors;
mod gaussians;
mod grid;
mod gridded;
mod histogram_divergences;
mod kernel_estimates;
mod kernels;
mod laws;
mod limits;
mod log_likelihoods;
mod masses;
mod memorisation;
mod metric_laws;
mod neighbours;
mod other_distances;
mod random_convolution;
mod registry;
mod scales;
mod sliced;
mod transport;
mod transport_hard;
mod transport_laws;
mod transport_scales;
mod uncertainty;
