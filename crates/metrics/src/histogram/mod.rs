//! Histograms on a regular two-dimensional grid and their distances.

mod binning;
mod divergence;
mod grid;
mod redraw;
mod transport;

pub use binning::{Histogram2d, HistogramBuilder};
pub use divergence::HistogramDivergence;
pub use transport::{GridTransport, histogram_w2};
