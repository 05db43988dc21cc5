//! Nearest-node binning of samples.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use sde_core::counts::in_memory;

use super::transport::{GridTransport, histogram_w2};
use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::input::{check_rows, check_weights};

/// Counts two-dimensional samples on the nodes of a square grid, chunk by chunk.
///
/// The nodes are `linspace(-L, L, n)` on both axes; a sample (x, y) belongs to the nearest node,
/// row i of y and column j of x. Samples outside $[-L, L]^2$ are dropped and counted.
///
/// ```
/// use metrics::HistogramBuilder;
/// use ndarray::array;
/// let mut builder = HistogramBuilder::new(1.0, 3)?;
/// builder.add(array![[0.9, -0.2], [0.1, 0.1]].view())?;
/// builder.add(array![[0.0, 7.0], [0.4, 0.4]].view())?;
/// let histogram = builder.finish()?;
/// assert_eq!(histogram.weights()[[1, 2]], 1.0 / 3.0);
/// assert_eq!(histogram.discarded_share(), 0.25);
/// # Ok::<(), metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct HistogramBuilder {
    half_width: f64,
    pub(super) counts: Array2<u64>,
    pub(super) n_seen: u64,
    pub(super) n_kept: u64,
}

/// A normalised histogram on a square grid, `[n, n]`, row i at y, column j at x.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram2d {
    half_width: f64,
    weights: Array2<f64>,
    mass: f64,
    n_seen: u64,
    discarded_share: f64,
    /// Whether some cell has mass, but a share of zero: the mass of all is too large beside it.
    lost_cells: bool,
}

impl HistogramBuilder {
    /// An empty histogram on `n` x `n` nodes of $[-L, L]^2$.
    ///
    /// # Errors
    /// A half-width that is not positive and finite, fewer than two nodes, more than memory holds.
    pub fn new(half_width: f64, n: usize) -> Result<Self> {
        check_half_width(half_width)?;
        if n < 2 {
            let value = n as f64;
            return Err(Error::InvalidParameter {
                name: "nodes per axis",
                expected: ">= 2",
                value,
            });
        }
        // Counts, weights, and those of the other side.
        in_memory(&[("nodes", n as u64), ("nodes", n as u64)], 32).map_err(Error::Excess)?;
        Ok(Self { half_width, counts: Array2::zeros((n, n)), n_seen: 0, n_kept: 0 })
    }

    /// What an earlier builder had counted: `counts` of the samples on the grid, of `n_seen` in all.
    ///
    /// # Shapes
    /// `counts: [n, n]`, row i at y = node i, column j at x = node j.
    ///
    /// # Errors
    /// As [`HistogramBuilder::new`]; a table that is not square, fewer samples than were counted.
    ///
    /// ```
    /// use metrics::HistogramBuilder;
    /// use ndarray::array;
    /// let found = HistogramBuilder::from_counts(1.0, array![[3, 0], [0, 5]], 10)?.finish()?;
    /// assert_eq!((found.n_kept(), found.discarded_share()), (Some(8), 0.2));
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn from_counts(half_width: f64, counts: Array2<u64>, n_seen: u64) -> Result<Self> {
        let (rows, columns) = counts.dim();
        if rows != columns {
            let (expected, found) = (vec![rows, rows], vec![rows, columns]);
            return Err(Error::ShapeMismatch { what: "counts", expected, found });
        }
        let empty = Self::new(half_width, rows)?;
        let n_kept = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        if n_kept > n_seen {
            let (name, expected) = ("samples seen", "at least as many as were counted");
            return Err(Error::InvalidParameter { name, expected, value: n_seen as f64 });
        }
        Ok(Self { counts, n_seen, n_kept, ..empty })
    }

    /// Adds samples.
    ///
    /// # Shapes
    /// `samples: [N, 2]`; N may be zero.
    ///
    /// # Errors
    /// Other than two columns; NaN or infinite coordinates (nothing is added then).
    pub fn add(&mut self, samples: ArrayView2<f64>) -> Result<()> {
        let (rows, n) = (samples.nrows(), self.counts.nrows());
        if samples.ncols() != 2 {
            let (expected, found) = (vec![rows, 2], samples.shape().to_vec());
            return Err(Error::ShapeMismatch { what: "samples", expected, found });
        }
        check_rows("samples", samples, 0)?;
        let (limit, per_unit) = (self.half_width, (n - 1) as f64 / (2.0 * self.half_width));
        // Within the grid the quotient rounds to 0..n; the minimum guards against its rounding.
        let node = |value: f64| (((value + limit) * per_unit).round() as usize).min(n - 1);
        for sample in samples.rows() {
            let (x, y) = (sample[0], sample[1]);
            if x.abs() <= limit && y.abs() <= limit {
                self.counts[[node(y), node(x)]] += 1;
                self.n_kept += 1;
            }
        }
        self.n_seen += rows as u64;
        Ok(())
    }

    /// Adds what another builder has counted on the same grid.
    ///
    /// # Errors
    /// Another half-width or number of nodes.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.counts.shape() != self.counts.shape() {
            let (expected, found) = (self.counts.shape().to_vec(), other.counts.shape().to_vec());
            return Err(Error::ShapeMismatch { what: "histogram to merge", expected, found });
        }
        if other.half_width != self.half_width {
            return Err(Error::InvalidParameter {
                name: "half-width",
                expected: "that of the other histogram",
                value: other.half_width,
            });
        }
        self.counts += &other.counts;
        self.n_seen += other.n_seen;
        self.n_kept += other.n_kept;
        Ok(())
    }

    /// The counts, `[n, n]`, row i at y = node i, column j at x = node j.
    #[must_use]
    pub fn counts(&self) -> ArrayView2<'_, u64> {
        self.counts.view()
    }

    /// Samples counted so far, those outside included.
    #[must_use]
    pub fn n_seen(&self) -> u64 {
        self.n_seen
    }

    /// Samples counted so far that lay on the grid.
    #[must_use]
    pub fn n_kept(&self) -> u64 {
        self.n_kept
    }

    /// Normalises the counts that were kept.
    ///
    /// # Errors
    /// [`Error::NoMass`] if no sample lay on the grid.
    pub fn finish(&self) -> Result<Histogram2d> {
        if self.n_kept == 0 {
            return Err(Error::NoMass { what: "histogram", total: 0.0 });
        }
        Ok(Histogram2d {
            half_width: self.half_width,
            weights: self.counts.mapv(|count| count as f64 / self.n_kept as f64),
            mass: 1.0,
            n_seen: self.n_seen,
            discarded_share: (self.n_seen - self.n_kept) as f64 / self.n_seen as f64,
            lost_cells: false,
        })
    }
}

impl Histogram2d {
    /// A histogram from given masses, which are normalised to one.
    ///
    /// # Shapes
    /// `weights: [n, n]`, row i at y = node i, column j at x = node j.
    ///
    /// # Errors
    /// A table that is not square, weights that are negative, not finite or all zero.
    pub fn from_weights(half_width: f64, weights: Array2<f64>) -> Result<Self> {
        check_half_width(half_width)?;
        let n = weights.nrows();
        if weights.ncols() != n {
            let (expected, found) = (vec![n, n], weights.shape().to_vec());
            return Err(Error::ShapeMismatch { what: "histogram", expected, found });
        }
        let total = check_weights("histogram", weights.iter())?;
        let with_mass = |of: &Array2<f64>| of.iter().filter(|mass| **mass > 0.0).count();
        let before = with_mass(&weights);
        let weights = weights / total;
        let lost_cells = with_mass(&weights) < before;
        Ok(Self { half_width, weights, mass: total, n_seen: 0, discarded_share: 0.0, lost_cells })
    }

    /// This histogram as one of `n` independent samples, which is what its error bars need; none of
    /// them is taken to have been dropped.
    ///
    /// # Errors
    /// Zero samples.
    pub fn with_samples(self, n: u64) -> Result<Self> {
        if n == 0 {
            return Err(Error::InvalidParameter { name: "samples", expected: ">= 1", value: 0.0 });
        }
        Ok(Self { n_seen: n, discarded_share: 0.0, ..self })
    }

    /// The same masses on a grid of another half-width.
    pub(crate) fn on_grid(&self, half_width: f64) -> Self {
        Self { half_width, ..self.clone() }
    }

    /// Share of the mass at each node, `[n, n]`; sums to one.
    #[must_use]
    pub fn weights(&self) -> ArrayView2<'_, f64> {
        self.weights.view()
    }

    /// Node positions on either axis, `linspace(-L, L, n)`.
    #[must_use]
    pub fn nodes(&self) -> Array1<f64> {
        Array1::linspace(-self.half_width, self.half_width, self.weights.nrows())
    }

    /// Half-width L of the grid.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        self.half_width
    }

    /// Samples that were offered, those outside included; zero if built from weights.
    #[must_use]
    pub fn n_seen(&self) -> u64 {
        self.n_seen
    }

    /// Share of the samples that lay outside the grid and is missing from the weights.
    #[must_use]
    pub fn discarded_share(&self) -> f64 {
        self.discarded_share
    }

    /// Total mass it was given, before it was normalised; one for counted samples.
    #[must_use]
    pub fn mass(&self) -> f64 {
        self.mass
    }

    pub(super) fn has_lost_cells(&self) -> bool {
        self.lost_cells
    }

    /// Samples in its cells; `None` if nobody said how many there were.
    #[must_use]
    pub fn n_kept(&self) -> Option<u64> {
        let kept = self.n_seen as f64 * (1.0 - self.discarded_share);
        (self.n_seen > 0).then_some(kept.round() as u64)
    }

    /// Exact $W_2$ to another histogram, on this histogram's nodes.
    ///
    /// # Errors
    /// Another number of nodes.
    pub fn w2(&self, other: &Self) -> Result<GridTransport> {
        self.w2_on(other, self.nodes().view())
    }

    /// Exact $W_2^2$ to another histogram with its standard error, NaN where nobody said how many samples
    /// the two hold.
    ///
    /// # Errors
    /// As [`Histogram2d::w2`].
    pub fn squared_w2(&self, other: &Self) -> Result<Estimate> {
        let transport = self.w2(other)?;
        let error = transport.standard_error(self, other)?;
        Ok(Estimate { value: transport.squared, standard_error: error.unwrap_or(f64::NAN) })
    }

    /// Exact $W_2$ with the nodes placed at `nodes` on both axes, wherever the samples were binned.
    ///
    /// Stretching the nodes by a factor k multiplies $W_2^2$ by k^2.
    ///
    /// # Errors
    /// Another number of nodes.
    pub fn w2_on(&self, other: &Self, nodes: ArrayView1<f64>) -> Result<GridTransport> {
        histogram_w2(self.weights(), other.weights(), nodes, nodes)
    }

    /// Total variation $\frac12 \sum_i |a_i - b_i|$, between 0 and 1.
    ///
    /// # Errors
    /// Another number of nodes.
    pub fn total_variation(&self, other: &Self) -> Result<f64> {
        if self.weights.shape() != other.weights.shape() {
            let (expected, found) = (self.weights.shape().to_vec(), other.weights.shape().to_vec());
            return Err(Error::ShapeMismatch { what: "second histogram", expected, found });
        }
        Ok(0.5 * self.weights.iter().zip(&other.weights).map(|(a, b)| (a - b).abs()).sum::<f64>())
    }
}

fn check_half_width(value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::InvalidParameter { name: "half-width", expected: "positive and finite", value })
}
