//! The trait of linear measurements, with their singular value decomposition.

mod blur;
mod dense;
mod groups;
mod masks;
mod svd;

use ndarray::{Array2, Axis};
use sde_core::{Error, Result};

pub use blur::{Boundary, SeparableBlur};
pub use dense::Dense;
pub use groups::{Grey, Groups};
pub use masks::{box_mask, random_mask};

/// A linear map `A` from `D` numbers to `M`, and its thin singular value decomposition `A = U diag(d) V^T` with `R`
/// positive singular values.
///
/// Images are rows of `C H W` numbers, channels first. A map of one's own says its products; what it does to the rows of an
/// array follows.
///
/// ```
/// use control::{Groups, Linear};
/// use ndarray::array;
/// // The mean of the first two of three numbers.
/// let a = Groups::new(3, &[vec![(0, 0.5), (1, 0.5)]])?;
/// let x = array![[1.0, 3.0, 7.0]];
/// assert_eq!(a.apply(&x)?, array![[2.0]]);
/// assert_eq!(a.apply_adjoint(&array![[2.0]])?, array![[1.0, 1.0, 0.0]]);
/// // The shortest row that gives it.
/// let back = a.pseudo_inverse(&array![[2.0]])?;
/// assert!((back - array![[2.0, 2.0, 0.0]]).iter().all(|e| e.abs() < 1e-14));
/// # Ok::<(), sde_core::Error>(())
/// ```
pub trait Linear: Send + Sync {
    /// `D`, the length of what is measured.
    fn input_len(&self) -> usize;

    /// `M`, the length of a measurement.
    fn output_len(&self) -> usize;

    /// `y = A x`.
    fn forward(&self, x: &[f64], y: &mut [f64]);

    /// `x = A^T y`.
    fn adjoint(&self, y: &[f64], x: &mut [f64]);

    /// The `R` positive singular values `d`, in any order.
    fn singular_values(&self) -> &[f64];

    /// `c = V^T x`, `R` numbers.
    fn right_coefficients(&self, x: &[f64], c: &mut [f64]);

    /// `x = V c`.
    fn expand_right(&self, c: &[f64], x: &mut [f64]);

    /// `c = U^T y`.
    fn left_coefficients(&self, y: &[f64], c: &mut [f64]);

    /// `y = U c`.
    fn expand_left(&self, c: &[f64], y: &mut [f64]);

    /// `A x` of every row.
    ///
    /// # Shapes
    /// `[B, D]` to `[B, M]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another length.
    fn apply(&self, x: &Array2<f64>) -> Result<Array2<f64>> {
        rows(x, self.input_len(), self.output_len(), |x, y| self.forward(x, y))
    }

    /// `A^T y` of every row, `[B, M]` to `[B, D]`.
    ///
    /// # Errors
    /// As [`Linear::apply`].
    fn apply_adjoint(&self, y: &Array2<f64>) -> Result<Array2<f64>> {
        rows(y, self.output_len(), self.input_len(), |y, x| self.adjoint(y, x))
    }

    /// `A^+ y = V diag(1/d) U^T y` of every row, `[B, M]` to `[B, D]`.
    ///
    /// # Errors
    /// As [`Linear::apply`].
    fn pseudo_inverse(&self, y: &Array2<f64>) -> Result<Array2<f64>> {
        let c = self.coefficients(y)?;
        rows(&c, c.ncols(), self.input_len(), |c, x| self.expand_right(c, x))
    }

    /// `V^T x` of every row, `[B, D]` to `[B, R]`.
    ///
    /// # Errors
    /// As [`Linear::apply`].
    fn project(&self, x: &Array2<f64>) -> Result<Array2<f64>> {
        let rank = self.singular_values().len();
        rows(x, self.input_len(), rank, |x, c| self.right_coefficients(x, c))
    }

    /// `V c` of every row, `[B, R]` to `[B, D]`.
    ///
    /// # Errors
    /// As [`Linear::apply`].
    fn expand(&self, c: &Array2<f64>) -> Result<Array2<f64>> {
        let rank = self.singular_values().len();
        rows(c, rank, self.input_len(), |c, x| self.expand_right(c, x))
    }

    /// `diag(1/d) U^T y` of every row, `[B, M]` to `[B, R]`: what a measurement says of `V^T x`.
    ///
    /// # Errors
    /// As [`Linear::apply`].
    fn coefficients(&self, y: &Array2<f64>) -> Result<Array2<f64>> {
        let d = self.singular_values();
        rows(y, self.output_len(), d.len(), |y, c| {
            self.left_coefficients(y, c);
            c.iter_mut().zip(d).for_each(|(c, d)| *c /= d);
        })
    }

    /// `(r^2 A A^T + s^2 I)^{-1} y` of every row; of `y` in the range of `A` alone where `s` is zero.
    ///
    /// # Shapes
    /// `[B, M]` to `[B, M]`.
    ///
    /// # Errors
    /// As [`Linear::apply`].
    fn solve(&self, r2: f64, s2: f64, y: &Array2<f64>) -> Result<Array2<f64>> {
        let d = self.singular_values();
        let m = self.output_len();
        let (mut c, mut inside) = (vec![0.0; d.len()], vec![0.0; m]);
        rows(y, m, m, |y, out| {
            self.left_coefficients(y, &mut c);
            out.fill(0.0);
            if d.len() < m && s2 > 0.0 {
                self.expand_left(&c, &mut inside);
                let rest = y.iter().zip(&inside).map(|(y, i)| (y - i) / s2);
                out.iter_mut().zip(rest).for_each(|(o, r)| *o = r);
            }
            c.iter_mut().zip(d).for_each(|(c, d)| *c /= r2 * d * d + s2);
            self.expand_left(&c, &mut inside);
            out.iter_mut().zip(&inside).for_each(|(o, i)| *o += i);
        })
    }
}

impl<T: Linear + ?Sized> Linear for std::sync::Arc<T> {
    fn input_len(&self) -> usize {
        (**self).input_len()
    }

    fn output_len(&self) -> usize {
        (**self).output_len()
    }

    fn forward(&self, x: &[f64], y: &mut [f64]) {
        (**self).forward(x, y);
    }

    fn adjoint(&self, y: &[f64], x: &mut [f64]) {
        (**self).adjoint(y, x);
    }

    fn singular_values(&self) -> &[f64] {
        (**self).singular_values()
    }

    fn right_coefficients(&self, x: &[f64], c: &mut [f64]) {
        (**self).right_coefficients(x, c);
    }

    fn expand_right(&self, c: &[f64], x: &mut [f64]) {
        (**self).expand_right(c, x);
    }

    fn left_coefficients(&self, y: &[f64], c: &mut [f64]) {
        (**self).left_coefficients(y, c);
    }

    fn expand_left(&self, c: &[f64], y: &mut [f64]) {
        (**self).expand_left(c, y);
    }
}

/// A function of rows of `from` numbers to rows of `to`.
fn rows(
    x: &Array2<f64>,
    from: usize,
    to: usize,
    mut f: impl FnMut(&[f64], &mut [f64]),
) -> Result<Array2<f64>> {
    if x.ncols() != from {
        return Err(Error::Shape { expected: vec![x.nrows(), from], found: x.shape().to_vec() });
    }
    let x = x.as_standard_layout();
    let mut out = Array2::zeros((x.nrows(), to));
    for (x, mut out) in x.axis_iter(Axis(0)).zip(out.axis_iter_mut(Axis(0))) {
        f(x.as_slice().expect("a row"), out.as_slice_mut().expect("a row"));
    }
    Ok(out)
}

/// The error of a constant.
fn refuse<T>(name: &str, value: impl std::fmt::Display, reason: impl Into<String>) -> Result<T> {
    Err(Error::Parameter { name: name.into(), value: value.to_string(), reason: reason.into() })
}
