//! [`State`] for `ndarray::Array2<f64>`: analytic scores, order tests, metrics.

use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2, s};

use super::{State, Tolerance, slices};
use crate::{Error, Key, Result};

fn standard(x: &Array2<f64>) -> CowArray<'_, f64, Ix2> {
    x.as_standard_layout()
}

fn flat<'a>(x: &'a CowArray<'_, f64, Ix2>) -> &'a [f64] {
    x.as_slice().expect("standard layout")
}

fn shaped(shape: (usize, usize), data: Vec<f64>) -> Array2<f64> {
    Array2::from_shape_vec(shape, data).expect("as many elements as the shape has")
}

impl State for Array2<f64> {
    fn rows(&self) -> usize {
        self.nrows()
    }

    fn row_len(&self) -> usize {
        self.ncols()
    }

    fn lincomb(terms: &[(f64, &Self)]) -> Result<Self> {
        let first = terms[0].1;
        for (_, x) in terms {
            slices::same_shape(first.shape(), x.shape())?;
        }
        let held: Vec<_> = terms.iter().map(|(a, x)| (*a, standard(x))).collect();
        let flats: Vec<_> = held.iter().map(|(a, x)| (*a, flat(x))).collect();
        Ok(shaped(first.dim(), slices::lincomb(&flats)))
    }

    fn scale_rows(&self, factors: &[f64]) -> Result<Self> {
        slices::same_shape(&[self.nrows()], &[factors.len()])?;
        let x = standard(self);
        Ok(shaped(self.dim(), slices::scale_rows(flat(&x), self.ncols(), factors)))
    }

    fn weighted_rms(&self, a: &Self, b: &Self, tol: Tolerance) -> Result<f64> {
        slices::same_shape(self.shape(), a.shape())?;
        slices::same_shape(self.shape(), b.shape())?;
        let (e, a, b) = (standard(self), standard(a), standard(b));
        Ok(slices::weighted_rms(flat(&e), flat(&a), flat(&b), tol))
    }

    fn row_dot(&self, other: &Self) -> Result<Vec<f64>> {
        slices::same_shape(self.shape(), other.shape())?;
        let (x, y) = (standard(self), standard(other));
        Ok(slices::row_dot(flat(&x), flat(&y), self.nrows(), self.ncols()))
    }

    fn normals_like(&self, key: Key, first_row: u64) -> Result<Self> {
        let mut out = vec![0.0; self.len()];
        key.fill_normals(first_row * self.ncols() as u64, &mut out);
        Ok(shaped(self.dim(), out))
    }

    fn signs_like(&self, key: Key, first_row: u64) -> Result<Self> {
        let mut out = vec![0.0; self.len()];
        key.fill_signs(first_row * self.ncols() as u64, &mut out);
        Ok(shaped(self.dim(), out))
    }

    fn slice_rows(&self, start: usize, len: usize) -> Result<Self> {
        if start.checked_add(len).is_none_or(|end| end > self.nrows()) {
            let expected = vec![start.saturating_add(len), self.ncols()];
            return Err(Error::Shape { expected, found: self.shape().to_vec() });
        }
        Ok(self.slice(s![start..start + len, ..]).to_owned())
    }

    fn concat_rows(parts: &[Self]) -> Result<Self> {
        let width = parts[0].ncols();
        for part in parts {
            slices::same_shape(&[part.nrows(), width], part.shape())?;
        }
        let views: Vec<ArrayView2<'_, f64>> = parts.iter().map(|part| part.view()).collect();
        Ok(ndarray::concatenate(Axis(0), &views).expect("equal widths"))
    }

    fn all_finite(&self) -> Result<bool> {
        Ok(slices::all_finite(flat(&standard(self))))
    }
}
