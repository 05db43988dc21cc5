//! Distances between samples and densities.
//!
//! Everything here works on plain `ndarray` views in double precision and knows nothing of where
//! samples come from. Each metric either is exact and proves it, or says how uncertain it is.
//!
//! | question | use | cost |
//! |---|---|---|
//! | how far apart are two clouds, exactly | [`w2`], [`w1`], [`ExactTransport`] (weights, plan) | in the plane n^1.3: 2000 points in some 20 ms, 100 000 in some seconds |
//! | the same for densities on a grid | [`Histogram2d::w2`], [`histogram_w2`] | 64 x 64 nodes in less than a tenth of a second |
//! | the same, smoothed | [`sinkhorn_divergence`], [`entropic_transport`] | O(n^2) time a step, O(n) memory |
//! | do two large samples differ | [`mmd2_with_error`], [`energy_distance`] | O(n^2) time, O(n) memory |
//! | the same for huge samples | [`mmd2_linear`], [`mmd2_blocks`], [`kid`] | O(n) to O(n^1.5) |
//! | the same in high dimension, cheaply | [`sliced_w`], [`sliced_w_keyed`], [`frechet_distance`] | O(n log n), O(n D^2) |
//! | along which direction do they differ most | [`max_sliced_w`] | O(n log n + n D) a step |
//! | can a classifier tell them apart | [`classifier_test`], with a p-value | O(n^2 D) or less |
//! | do samples look right, and are all kinds there | [`precision_recall`], density, coverage | O(n^2 D) |
//! | does a model copy what it was trained on | [`authenticity`], [`near_training`] | O(n^2 D) |
//! | features of images without a trained network | [`RandomConvolution`] | some million operations an image |
//! | how far apart are two densities, bin by bin | [`HistogramDivergence`]: TV, KL, JS, Hellinger | O(bins) |
//! | two laws given on a grid, without samples | [`CellMasses`]: TV, KL, Fisher; a bracket of $W_2^2$ | O(cells); some seconds for 64 x 64 cells |
//! | two Gaussians | [`gaussian_w2`], [`gaussian_kl`] | O(D^3) |
//! | how likely is what was held out | [`log_likelihood`]: mean, quantiles, bits | O(n log n) |
//! | what would no difference look like | [`Metric::noise_floor`], [`Metric::noise_floor_of`] | that of the metric |
//! | is this a change | [`Difference`], a test with a level | none |
//! | how sure is that | [`Measured::standard_error`], [`Metric::resample`] | little; that of the metric |
//! | any of these by its name | [`Metric`], [`Sample`] | |
//!
//! Empirical $W_2$ between n samples of one law decays like $n^{-1/D}$, so values in high
//! dimension mean little without their [`Metric::noise_floor`].
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

mod classifier;
mod copies;
mod entropic;
mod error;
mod estimate;
mod gaussian;
mod gridded;
mod histogram;
mod input;
mod kernel;
mod keyed;
mod log_likelihood;
mod metric;
mod neighbours;
mod pairwise;
mod random_convolution;
mod scale;
mod sliced;
mod standard_error;
mod transport;
mod uncertainty;

pub use classifier::{Classifier, TwoSampleTest, classifier_test};
pub use entropic::{
    EntropicTransport, Sinkhorn, SinkhornDivergence, entropic_transport, sinkhorn_divergence,
};
pub use error::{Error, Result};
pub use estimate::Estimate;
pub use gaussian::{
    frechet_distance, gaussian_entropy, gaussian_fisher_divergence, gaussian_kl, gaussian_w2,
};
pub use gridded::{BracketOptions, CellDivergences, CellMasses, OnCells, W2Bracket};
pub use histogram::{
    GridTransport, Histogram2d, HistogramBuilder, HistogramDivergence, histogram_w2,
};
pub use kernel::{
    BandwidthSource, Bandwidths, Kernel, Mmd2, SubsetMmd2, energy_distance,
    energy_distance_with_error, kid, mmd2, mmd2_blocks, mmd2_linear, mmd2_on_subsets,
    mmd2_with_error,
};
pub use keyed::random_directions;
pub use log_likelihood::{LogLikelihood, log_likelihood};
pub use metric::{
    Certificate, Cloud, Details, Info, Kind, Measured, Metric, Options, Parameter, Sample, Scheme,
    SinkhornDetails,
};
pub use neighbours::{
    Manifolds, NearestRow, authenticity, near_training, nearest_rows, precision_recall,
};
pub use random_convolution::RandomConvolution;
pub use sliced::{MaxSliced, SlicedDistance, max_sliced_w, sliced_w, sliced_w_keyed};
pub use standard_error::frechet_standard_error;
pub use transport::{ExactTransport, GroundCost, Transport, TransportPlan, w1, w2};
pub use uncertainty::{
    Change, Difference, Interval, NoiseFloor, Resampled, Resampling, precision_recall_with_errors,
};
