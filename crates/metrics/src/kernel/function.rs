//! Kernel functions and the median heuristic.

use ndarray::{ArrayView2, Axis, concatenate};

use crate::error::{Error, Result};
use crate::input::check_pair;

/// Points the median heuristic looks at: half a million distances.
const MEDIAN_POINTS: usize = 1000;

/// A (conditionally) positive definite kernel k(x, y).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Kernel {
    /// $k = \exp(-\lVert x-y \rVert^2 / (2 s^2))$ with bandwidth s.
    Rbf {
        /// The bandwidth s, in the units of x.
        bandwidth: f64,
    },
    /// $k = (c^2 + \lVert x-y \rVert^2)^{-1/2}$.
    InverseMultiquadric {
        /// The offset c, in the units of x.
        offset: f64,
    },
    /// $k = (x \cdot y / D + 1)^3$, the kernel of the kernel inception distance (Binkowski et
    /// al. 2018, arXiv:1801.01401).
    Cubic,
    /// $k = -\lVert x-y \rVert$: its MMD squared is the energy distance.
    Distance,
}

impl Kernel {
    /// RBF kernel whose bandwidth is the median distance between points of the pooled sample.
    ///
    /// Of pools with more than 1000 points, 1000 at equal strides are used, so that memory stays
    /// bounded; the result does not depend on anything random.
    ///
    /// # Shapes
    /// `x: [N, D]`, `y: [M, D]`.
    ///
    /// # Errors
    /// Empty clouds, different dimensions, values that are not finite, and a median of zero (more
    /// than half of the pairs coincide).
    ///
    /// # Reference
    /// A. Gretton et al., *A kernel two-sample test*, JMLR 13, 2012, section 8.
    ///
    /// ```
    /// use ndarray::array;
    /// let (x, y) = (array![[0.0], [1.0]], array![[3.0]]);
    /// let kernel = metrics::Kernel::rbf_median(x.view(), y.view())?;
    /// assert_eq!(kernel, metrics::Kernel::Rbf { bandwidth: 2.0 });
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn rbf_median(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<Self> {
        check_pair(x, y, 1)?;
        let total = x.nrows() + y.nrows();
        let kept = total.min(MEDIAN_POINTS);
        let rows: Vec<usize> = (0..kept).map(|k| k * total / kept).collect();
        let in_x: Vec<usize> = rows.iter().copied().filter(|&row| row < x.nrows()).collect();
        let in_y: Vec<usize> = rows[in_x.len()..].iter().map(|row| row - x.nrows()).collect();
        let parts = [x.select(Axis(0), &in_x), y.select(Axis(0), &in_y)];
        let Ok(pool) = concatenate(Axis(0), &[parts[0].view(), parts[1].view()]) else {
            return Err(Error::DimensionMismatch { left: x.ncols(), right: y.ncols() });
        };
        let mut distances = Vec::with_capacity(kept * (kept - 1) / 2);
        for i in 0..kept {
            for j in 0..i {
                let terms = pool.row(i).into_iter().zip(pool.row(j));
                distances.push(terms.map(|(p, q)| (p - q) * (p - q)).sum::<f64>().sqrt());
            }
        }
        let middle = distances.len() / 2;
        let bandwidth = if distances.is_empty() {
            0.0
        } else {
            *distances.select_nth_unstable_by(middle, f64::total_cmp).1
        };
        let kernel = Self::Rbf { bandwidth };
        kernel.check()?;
        Ok(kernel)
    }

    /// The kernel at a pair of points of equal dimension.
    #[must_use]
    pub fn at(self, x: &[f64], y: &[f64]) -> f64 {
        let terms = x.iter().zip(y);
        match self {
            Self::Cubic => {
                let inner: f64 = terms.map(|(p, q)| p * q).sum();
                let base = inner / x.len() as f64 + 1.0;
                base * base * base
            }
            Self::Rbf { bandwidth } => (-0.5 * squared(terms) / (bandwidth * bandwidth)).exp(),
            Self::InverseMultiquadric { offset } => {
                (offset * offset + squared(terms)).sqrt().recip()
            }
            Self::Distance => -squared(terms).sqrt(),
        }
    }

    pub(crate) fn check(self) -> Result<()> {
        let (name, value) = match self {
            Self::Rbf { bandwidth } => ("bandwidth", bandwidth),
            Self::InverseMultiquadric { offset } => ("offset", offset),
            Self::Cubic | Self::Distance => return Ok(()),
        };
        if value > 0.0 && value.is_finite() {
            return Ok(());
        }
        Err(Error::InvalidParameter { name, expected: "positive and finite", value })
    }
}

fn squared<'a>(terms: impl Iterator<Item = (&'a f64, &'a f64)>) -> f64 {
    terms.map(|(p, q)| (p - q) * (p - q)).sum()
}
