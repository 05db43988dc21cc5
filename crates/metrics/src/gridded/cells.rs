//! Cell masses of a law on a regular grid.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};

use crate::error::{Error, Result};
use crate::input::check_weights;

/// A law on a box as the masses of the cells of a regular grid, in one or two dimensions.
///
/// The law is read as piecewise constant: density $p_i / \prod_k h_k$ on cell $i$. It is conditioned on the
/// box, so that the shares used below sum to one; [`CellMasses::outside`] says what that left out.
///
/// ```
/// use metrics::CellMasses;
/// use ndarray::array;
/// // Cells [0, 0.5) and [0.5, 1); one percent of the mass lies elsewhere.
/// let law = CellMasses::line(0.0, 0.5, array![0.66, 0.33].view())?;
/// assert!((law.outside() - 0.01).abs() < 1e-15);
/// assert!((law.shares()[[0, 0]] - 2.0 / 3.0).abs() < 1e-15);
/// let error = CellMasses::line(0.0, 0.5, array![0.5, -0.1].view()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "cell masses holds the weight -0.1 at index 1, expected a finite value >= 0"
/// );
/// # Ok::<(), metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CellMasses {
    dimension: usize,
    origin: [f64; 2],
    spacing: [f64; 2],
    shares: Array2<f64>,
    mass: f64,
}

impl CellMasses {
    /// On the line: cell $i$ is $[o + i h, o + (i + 1) h)$.
    ///
    /// # Shapes
    /// `masses: [n]`.
    ///
    /// # Errors
    /// A spacing that is not finite and positive, an origin that is not finite, masses that are negative or
    /// not finite, or no mass at all.
    pub fn line(origin: f64, spacing: f64, masses: ArrayView1<f64>) -> Result<Self> {
        Self::new(1, [origin, 0.0], [spacing, 1.0], masses.insert_axis(Axis(1)))
    }

    /// In the plane: cell $(i, j)$ is $[o_x + i h_x, o_x + (i + 1) h_x) \times [o_y + j h_y, o_y + (j + 1) h_y)$.
    ///
    /// # Shapes
    /// `masses: [n, m]`, the first index along x.
    ///
    /// # Errors
    /// As [`CellMasses::line`].
    pub fn plane(origin: [f64; 2], spacing: [f64; 2], masses: ArrayView2<f64>) -> Result<Self> {
        Self::new(2, origin, spacing, masses)
    }

    fn new(
        dimension: usize,
        origin: [f64; 2],
        spacing: [f64; 2],
        masses: ArrayView2<f64>,
    ) -> Result<Self> {
        for value in spacing {
            if !(value.is_finite() && value > 0.0) {
                let (name, expected) = ("spacing", "finite and positive");
                return Err(Error::InvalidParameter { name, expected, value });
            }
        }
        for value in origin {
            if !value.is_finite() {
                let (name, expected) = ("origin", "finite");
                return Err(Error::InvalidParameter { name, expected, value });
            }
        }
        let mass = check_weights("cell masses", masses.iter())?;
        let shares = masses.mapv(|value| value / mass);
        Ok(Self { dimension, origin, spacing, shares, mass })
    }

    /// One or two.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Lower corner of the box; the second coordinate of a line is zero.
    #[must_use]
    pub fn origin(&self) -> [f64; 2] {
        self.origin
    }

    /// Sides of a cell; the second one of a line is one.
    #[must_use]
    pub fn spacing(&self) -> [f64; 2] {
        self.spacing
    }

    /// Total of the masses as given.
    #[must_use]
    pub fn mass(&self) -> f64 {
        self.mass
    }

    /// What is missing of one: the mass outside the box. Below zero where the masses were sums of a density
    /// whose quadrature exceeds one.
    #[must_use]
    pub fn outside(&self) -> f64 {
        1.0 - self.mass
    }

    /// Masses conditioned on the box, `[n, m]`, of a line `[n, 1]`; they sum to one.
    #[must_use]
    pub fn shares(&self) -> ArrayView2<'_, f64> {
        self.shares.view()
    }

    /// Shares in row-major order.
    pub(super) fn flat(&self) -> Vec<f64> {
        self.shares.iter().copied().collect()
    }

    /// Cells merged in twos along every axis; a last cell without a partner stays alone.
    pub(super) fn merged(&self) -> Self {
        let [n, m] = [self.shares.nrows(), self.shares.ncols()];
        let second = if self.dimension == 2 { 2 } else { 1 };
        let shape = (n.div_ceil(2), m.div_ceil(second));
        let shares = Array2::from_shape_fn(shape, |(i, j)| {
            let (rows, columns) = (2 * i..n.min(2 * i + 2), second * j..m.min(second * (j + 1)));
            self.shares.slice(s![rows, columns]).sum()
        });
        let spacing = [2.0 * self.spacing[0], second as f64 * self.spacing[1]];
        Self { shares, spacing, ..*self }
    }

    /// Refuses a partner on another grid.
    pub(super) fn check_same_grid(&self, other: &Self) -> Result<()> {
        let shape = |of: &Self| of.shares.shape()[..of.dimension].to_vec();
        if shape(self) != shape(other) {
            let what = "cells of the second law";
            return Err(Error::ShapeMismatch { what, expected: shape(self), found: shape(other) });
        }
        let expected = "that of the first law";
        for axis in 0..2 {
            let (ours, theirs) = (self.spacing[axis], other.spacing[axis]);
            if (ours - theirs).abs() > 1e-12 * ours {
                let name = "spacing of the second law";
                return Err(Error::InvalidParameter { name, expected, value: theirs });
            }
            if (self.origin[axis] - other.origin[axis]).abs() > 1e-9 * ours {
                let name = "origin of the second law";
                return Err(Error::InvalidParameter { name, expected, value: other.origin[axis] });
            }
        }
        Ok(())
    }
}
