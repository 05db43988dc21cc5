//! The trait of states that solvers work on: linear combinations, norms, keyed noise, rows.

mod array;
mod slices;
#[cfg(feature = "candle")]
mod tensor;

use crate::{Key, Result, Short};

/// Absolute and relative tolerance of an adaptive solve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Absolute part, in units of the state.
    pub abs: f64,
    /// Relative part, of the larger of the two states a step connects.
    pub rel: f64,
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "abs {}, rel {}", Short(self.abs), Short(self.rel))
    }
}

/// How the parts of a tolerance make the unit an error is measured in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// `abs + rel * max(|a|, |b|)`.
    #[default]
    Sum,
    /// `max(abs, rel * max(|a|, |b|))`.
    Max,
}

impl Unit {
    /// The unit of one element between two states that have `a` and `b` there.
    pub fn of(self, tol: Tolerance, a: f64, b: f64) -> f64 {
        let size = tol.rel * larger(a.abs(), b.abs());
        match self {
            Self::Sum => tol.abs + size,
            Self::Max => larger(size, tol.abs),
        }
    }
}

/// The larger of two numbers; unlike `f64::max` it keeps a NaN of either side.
fn larger(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() { a } else { b }
}

/// A batch of particles: `B` rows of equal shape, on which solvers need linear combinations, one
/// weighted norm, row-wise dot products and noise, and nothing else.
///
/// Time and every coefficient are `f64` on the host, whatever the element type.
///
/// # Shapes
/// The first dimension counts particles (`[B, D]`, `[B, C, H, W]`); all others belong to one
/// particle.
pub trait State: Clone + Send + Sync + Sized {
    /// Number of particles `B`.
    fn rows(&self) -> usize;

    /// Number of elements of a particle, `D`.
    fn row_len(&self) -> usize;

    /// The linear combination `sum_i a_i x_i`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when the terms differ in shape.
    ///
    /// # Panics
    /// When `terms` is empty.
    fn lincomb(terms: &[(f64, &Self)]) -> Result<Self>;

    /// Scales each row by its own factor: `y_b = c_b x_b`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] unless `factors` has one entry a row.
    fn scale_rows(&self, factors: &[f64]) -> Result<Self>;

    /// The error norm of step-size control: the largest over rows of the root mean square, over the
    /// elements `e` of a row, of `e / (abs + rel * max(|a|, |b|))`. Rows share their steps, and the
    /// worst decides.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when the states differ in shape.
    fn weighted_rms(&self, a: &Self, b: &Self, tol: Tolerance) -> Result<f64> {
        self.weighted_rms_in(a, b, tol, Unit::Sum)
    }

    /// [`State::weighted_rms`] in another unit.
    ///
    /// # Errors
    /// As [`State::weighted_rms`].
    fn weighted_rms_in(&self, a: &Self, b: &Self, tol: Tolerance, unit: Unit) -> Result<f64>;

    /// Dot product of each row with the same row of `other`, accumulated in `f64`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when the states differ in shape.
    fn row_dot(&self, other: &Self) -> Result<Vec<f64>>;

    /// Standard normals in the shape of `self`; row `b` holds the numbers of particle
    /// `first_row + b` under `key`, whatever the batch it is computed in.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    fn normals_like(&self, key: Key, first_row: u64) -> Result<Self>;

    /// Random signs (+1 or -1, Rademacher), keyed as [`State::normals_like`].
    ///
    /// # Errors
    /// Whatever the backend fails with.
    fn signs_like(&self, key: Key, first_row: u64) -> Result<Self>;

    /// Rows `start .. start + len` as a state of their own.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when there are not that many rows.
    fn slice_rows(&self, start: usize, len: usize) -> Result<Self>;

    /// All rows of `parts`, in order.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when the parts' rows differ in shape.
    ///
    /// # Panics
    /// When `parts` is empty.
    fn concat_rows(parts: &[Self]) -> Result<Self>;

    /// The rounding unit of an element: the distance from 1 to the next larger number.
    fn resolution(&self) -> f64 {
        f64::EPSILON
    }

    /// Whether every element is finite.
    ///
    /// # Errors
    /// Whatever the backend fails with.
    fn all_finite(&self) -> Result<bool>;
}
