//! The samples that a metric compares.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use crate::error::Result;
use crate::histogram::Histogram2d;
use crate::input::{check_rows, check_weights};

/// One side of a comparison.
///
/// ```
/// use metrics::Sample;
/// use ndarray::array;
/// let cloud = Sample::cloud(array![[0.0, 0.0], [1.0, 0.0]]);
/// assert_eq!((cloud.size(), cloud.mass()), (2, 1.0));
/// let weighted = Sample::weighted(array![[0.0], [1.0]], array![3.0, 1.0]);
/// assert_eq!((weighted.kind(), weighted.mass()), (metrics::Kind::Cloud, 4.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Sample {
    /// Independent points.
    Cloud(Cloud),
    /// Counts on a grid.
    Histogram(Histogram2d),
    /// Log-densities of independent points under a model, in nats, `[N]`.
    LogDensities(Array1<f64>),
}

/// What a [`Sample`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// [`Sample::Cloud`].
    Cloud,
    /// [`Sample::Histogram`].
    Histogram,
    /// [`Sample::LogDensities`].
    LogDensities,
}

impl Kind {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cloud => "clouds",
            Self::Histogram => "histograms",
            Self::LogDensities => "log-densities",
        }
    }
}

/// Independent points, each with the same weight or with its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud {
    /// One point a row, `[N, D]`.
    pub points: Array2<f64>,
    /// `[N]`; importance weights of independent draws. `None`: all alike, adding up to whatever the
    /// other side holds.
    pub weights: Option<Array1<f64>>,
}

impl Cloud {
    /// A view of the points.
    #[must_use]
    pub fn view(&self) -> ArrayView2<'_, f64> {
        self.points.view()
    }

    /// A view of the weights.
    #[must_use]
    pub fn weights(&self) -> Option<ArrayView1<'_, f64>> {
        self.weights.as_ref().map(|w| w.view())
    }

    /// Sum of the weights, one where there are none.
    #[must_use]
    pub fn mass(&self) -> f64 {
        self.weights.as_ref().map_or(1.0, |w| w.sum())
    }

    /// Weights of two clouds for a metric that takes them, `None` for clouds of equal weights: beside
    /// a weighted one they have its mass in equal parts.
    pub(crate) fn balanced(&self, other: &Self) -> (Option<Array1<f64>>, Option<Array1<f64>>) {
        let parts = |of: &Self, mass: &Array1<f64>| {
            let rows = of.points.nrows();
            Array1::from_elem(rows, mass.sum() / rows as f64)
        };
        match (&self.weights, &other.weights) {
            (None, None) => (None, None),
            (Some(a), None) => (Some(a.clone()), Some(parts(other, a))),
            (None, Some(b)) => (Some(parts(self, b)), Some(b.clone())),
            (Some(a), Some(b)) => (Some(a.clone()), Some(b.clone())),
        }
    }

    pub(crate) fn check(&self, what: &'static str) -> Result<()> {
        check_rows(what, self.view(), 1)?;
        let Some(weights) = &self.weights else { return Ok(()) };
        if weights.len() != self.points.nrows() {
            let (expected, found) = (vec![self.points.nrows()], vec![weights.len()]);
            return Err(crate::Error::ShapeMismatch { what, expected, found });
        }
        check_weights(what, weights.iter()).map(|_| ())
    }
}

impl Sample {
    /// Points of equal weight, one a row.
    #[must_use]
    pub fn cloud(points: Array2<f64>) -> Self {
        Self::Cloud(Cloud { points, weights: None })
    }

    /// Points with weights.
    #[must_use]
    pub fn weighted(points: Array2<f64>, weights: Array1<f64>) -> Self {
        Self::Cloud(Cloud { points, weights: Some(weights) })
    }

    /// What it is made of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Cloud(_) => Kind::Cloud,
            Self::Histogram(_) => Kind::Histogram,
            Self::LogDensities(_) => Kind::LogDensities,
        }
    }

    /// Independent draws in it; of a histogram those inside and outside its grid, zero if nobody
    /// said how many there were.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Cloud(cloud) => cloud.points.nrows(),
            Self::Histogram(histogram) => histogram.n_seen() as usize,
            Self::LogDensities(values) => values.len(),
        }
    }

    /// Its total mass as it was given: the sum of the weights, one where there are none.
    #[must_use]
    pub fn mass(&self) -> f64 {
        match self {
            Self::Cloud(cloud) => cloud.mass(),
            Self::Histogram(histogram) => histogram.mass(),
            Self::LogDensities(_) => 1.0,
        }
    }
}
