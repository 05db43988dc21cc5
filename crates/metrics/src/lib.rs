//! Distances between samples and densities.
//!
//! Everything here works on plain `ndarray` views in double precision and knows nothing of where
//! samples come from. Each metric either is exact and proves it, or says how uncertain it is.
//!
//! | question | use | cost |
//! |---|---|---|
//! | how far apart are two clouds, exactly | [`w2`], [`w1`], [`ExactTransport`] (weights, plan) | n = 2000 in well under a second |
//! | the same for densities on a grid | [`Histogram2d::w2`], [`histogram_w2`] | 64 x 64 nodes in a few tenths of a second |
//! | do two large samples differ | [`mmd2_with_error`], [`energy_distance`] | O(n^2) time, O(n) memory |
//! | the same in high dimension, cheaply | [`sliced_w`], [`frechet_distance`] | O(n log n), O(n D^2) |
//! | what would no difference look like | [`noise_floor`] | that of the metric |
//!
//! Empirical $W_2$ between n samples of one law decays like $n^{-1/D}$, so values in high
//! dimension mean little without their [`noise_floor`].
//!
//! # Example
//!
//! ```
//! use metrics::{HistogramBuilder, w2};
//! use ndarray::Array2;
//!
//! let x = Array2::from_shape_fn((100, 2), |(i, j)| ((7 * i + 3 * j) % 100) as f64 / 100.0);
//! let y = &x + 0.25;
//! let transport = w2(x.view(), y.view())?;
//! assert!((transport.primal - 0.125).abs() < 1e-12);
//! assert!(transport.gap().abs() < 1e-12); // proves that no plan is cheaper
//!
//! let mut builder = HistogramBuilder::new(2.0, 33)?;
//! builder.add(x.view())?;
//! let before = builder.finish()?;
//! let mut builder = HistogramBuilder::new(2.0, 33)?;
//! builder.add(y.view())?;
//! let after = builder.finish()?;
//! assert!((before.w2(&after)?.squared - 0.125).abs() < 0.01);
//! # Ok::<(), metrics::Error>(())
//! ```

mod error;
mod gaussian;
mod histogram;
mod input;
mod kernel;
mod metric;
mod noise_floor;
mod sliced;
mod transport;
mod uncertainty;

pub use error::{Error, Result};
pub use gaussian::{
    frechet_distance, gaussian_entropy, gaussian_fisher_divergence, gaussian_kl, gaussian_w2,
};
pub use histogram::{GridTransport, Histogram2d, HistogramBuilder, histogram_w2};
pub use kernel::{Kernel, Mmd2, energy_distance, mmd2, mmd2_with_error};
pub use metric::{Cloud, Info, Kind, Measured, Metric, Options, Parameter, Sample, Scheme};
pub use noise_floor::noise_floor;
pub use sliced::{SlicedDistance, sliced_w};
pub use transport::{ExactTransport, GroundCost, Transport, TransportPlan, w1, w2};
pub use uncertainty::{Interval, NoiseFloor, Resampled, Resampling, frechet_standard_error};
