//! Any matrix.

use ndarray::{Array2, ArrayView1, ArrayViewMut1, Axis};
use sde_core::Result;

use super::svd::{least, svd};
use super::{Linear, refuse};

/// A matrix `A`, `[M, D]`, of any rank but zero.
///
/// ```
/// use control::{Dense, Linear};
/// use ndarray::array;
/// let a = Dense::new(array![[1.0, 1.0], [2.0, 2.0]])?;
/// assert_eq!(a.singular_values().len(), 1);
/// assert_eq!(a.apply(&array![[1.0, 2.0]])?, array![[3.0, 6.0]]);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dense {
    matrix: Array2<f64>,
    /// `[M, R]`.
    left: Array2<f64>,
    values: Vec<f64>,
    /// `[D, R]`.
    right: Array2<f64>,
}

impl Dense {
    /// The operator of a matrix. Singular values that are rounding of the largest are zero.
    ///
    /// # Errors
    /// [`sde_core::Error::Parameter`] for an entry that is not finite, or a matrix that is zero.
    pub fn new(matrix: Array2<f64>) -> Result<Self> {
        let found = svd(&matrix)?;
        let least = least(&found.values, matrix.nrows().max(matrix.ncols()));
        let kept: Vec<usize> =
            (0..found.values.len()).filter(|k| found.values[*k] > least).collect();
        if kept.is_empty() {
            return refuse(
                "operator",
                format!("{:?}", matrix.dim()),
                "is zero: it measures nothing",
            );
        }
        Ok(Self {
            left: found.left.select(Axis(1), &kept),
            values: kept.iter().map(|k| found.values[*k]).collect(),
            right: found.right.select(Axis(1), &kept),
            matrix,
        })
    }

    /// The matrix.
    pub fn matrix(&self) -> &Array2<f64> {
        &self.matrix
    }
}

/// `out = A x`.
fn times(a: &Array2<f64>, x: &[f64], out: &mut [f64]) {
    for (o, row) in out.iter_mut().zip(a.rows()) {
        *o = row.dot(&ArrayView1::from(x));
    }
}

/// `out = A^T x`.
fn transposed(a: &Array2<f64>, x: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    let mut out = ArrayViewMut1::from(out);
    for (row, x) in a.rows().into_iter().zip(x) {
        out.scaled_add(*x, &row);
    }
}

impl Linear for Dense {
    fn input_len(&self) -> usize {
        self.matrix.ncols()
    }

    fn output_len(&self) -> usize {
        self.matrix.nrows()
    }

    fn forward(&self, x: &[f64], y: &mut [f64]) {
        times(&self.matrix, x, y);
    }

    fn adjoint(&self, y: &[f64], x: &mut [f64]) {
        transposed(&self.matrix, y, x);
    }

    fn singular_values(&self) -> &[f64] {
        &self.values
    }

    fn right_coefficients(&self, x: &[f64], c: &mut [f64]) {
        transposed(&self.right, x, c);
    }

    fn expand_right(&self, c: &[f64], x: &mut [f64]) {
        times(&self.right, c, x);
    }

    fn left_coefficients(&self, y: &[f64], c: &mut [f64]) {
        transposed(&self.left, y, c);
    }

    fn expand_left(&self, c: &[f64], y: &mut [f64]) {
        times(&self.left, c, y);
    }
}
