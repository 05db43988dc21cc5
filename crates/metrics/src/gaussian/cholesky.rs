//! Factors of covariances that are given as matrices.

use faer::Mat;
use ndarray::{Array1, Array2, ArrayView2};

use super::twofold::Twofold;
use crate::error::{Error, Result};
use crate::scale::Unit;

/// What a pivot may fall below zero, relative to its variance, before the matrix is no covariance: one
/// computed in single precision has that much rounding.
const INDEFINITE: f64 = 1e-5;

/// Entry i, j of the matrix whose upper triangle counts.
fn entry(c: ArrayView2<f64>, i: usize, j: usize) -> f64 {
    c[[i.min(j), i.max(j)]]
}

/// L, `[D, R]`, with $C = L L^\top$ by Cholesky with complete pivoting; R is the rank.
///
/// A pivot that is but rounding of its own variance is zero: scaling a coordinate changes nothing, so
/// small variances are kept to all digits beside large ones.
pub(super) fn cholesky(what: &'static str, c: ArrayView2<f64>) -> Result<Mat<f64>> {
    let d = c.nrows();
    let mut rest = Array2::from_shape_fn((d, d), |(i, j)| entry(c, i, j));
    let variances = rest.diag().to_owned();
    let rounding = 8.0 * d as f64 * f64::EPSILON;
    let mut open: Vec<usize> = (0..d).collect();
    let mut columns: Vec<Array1<f64>> = Vec::new();
    loop {
        let left = open.iter().enumerate().filter(|(_, i)| {
            let pivot = rest[[**i, **i]];
            pivot > 0.0 && pivot > rounding * variances[**i]
        });
        let Some((at, &pivot)) =
            left.max_by(|(_, i), (_, j)| rest[[**i, **i]].total_cmp(&rest[[**j, **j]]))
        else {
            break;
        };
        open.swap_remove(at);
        let root = rest[[pivot, pivot]].sqrt();
        let mut column = Array1::zeros(d);
        column[pivot] = root;
        for &i in &open {
            column[i] = rest[[i, pivot]] / root;
        }
        for &i in &open {
            for &j in &open {
                rest[[i, j]] -= column[i] * column[j];
            }
        }
        columns.push(column);
    }
    // Nothing may be left over where no variance is.
    for &i in &open {
        for &j in &open {
            let deviation = |k: usize| variances[k].max(0.0).sqrt();
            let (left, size) = (rest[[i, j]], deviation(i) * deviation(j));
            if left.abs() > INDEFINITE * size {
                let expected =
                    "zero where the variance is spent: the covariance is not positive semidefinite";
                return Err(Error::InvalidParameter { name: what, expected, value: left });
            }
        }
    }
    Ok(Mat::from_fn(d, columns.len(), |i, k| columns[k][i]))
}

/// A covariance that is not singular as $C = D L L^\top D$, with D of powers of two and L lower
/// triangular, of rows of length about one.
pub(super) struct Scaled {
    /// Of each coordinate its power of two, near its standard deviation.
    pub(super) units: Vec<Unit>,
    /// L, row by row, in twice the precision: what is left of a variance may be small beside it.
    pub(super) l: Vec<Vec<Twofold>>,
}

impl Scaled {
    /// `None` of a singular covariance: one of which a pivot is but rounding of its variance.
    pub(super) fn new(what: &'static str, c: ArrayView2<f64>) -> Result<Option<Self>> {
        // Whether it is a covariance at all.
        cholesky(what, c)?;
        let d = c.nrows();
        let units: Vec<Unit> = (0..d).map(|i| Unit::of(entry(c, i, i).sqrt(), 0)).collect();
        let scaled = |i: usize, j: usize| units[i].measure(units[j].measure(entry(c, i, j)));
        let matrix = Array2::from_shape_fn((d, d), |(i, j)| scaled(i, j));
        let mut l: Vec<Vec<Twofold>> = Vec::with_capacity(d);
        for i in 0..d {
            let mut row: Vec<Twofold> = Vec::with_capacity(i + 1);
            for j in 0..i {
                let done = dot(&row[..j], &l[j][..j]);
                row.push((Twofold::from(matrix[[i, j]]) - done) / l[j][j]);
            }
            let pivot = Twofold::from(matrix[[i, i]]) - dot(&row, &row);
            if pivot.value() <= d as f64 * f64::EPSILON * matrix[[i, i]] {
                return Ok(None);
            }
            row.push(pivot.sqrt());
            l.push(row);
        }
        Ok(Some(Self { units, l }))
    }

    /// $\log \det C$
    pub(super) fn log_det(&self) -> f64 {
        let of = |i: usize| self.l[i][i].value().ln() + self.units[i].ln();
        2.0 * (0..self.l.len()).map(of).sum::<f64>()
    }

    /// $L^{-1} b$ of a vector in place.
    pub(super) fn solve(&self, b: &mut [Twofold]) {
        for i in 0..b.len() {
            let done = dot(&self.l[i][..i], &b[..i]);
            b[i] = (b[i] - done) / self.l[i][i];
        }
    }

    /// $L^{-\top} b$ of a vector in place.
    pub(super) fn solve_transposed(&self, b: &mut [Twofold]) {
        for i in (0..b.len()).rev() {
            b[i] = b[i] / self.l[i][i];
            for j in 0..i {
                b[j] = b[j] - self.l[i][j] * b[i];
            }
        }
    }
}

fn dot(p: &[Twofold], q: &[Twofold]) -> Twofold {
    p.iter().zip(q).fold(Twofold::ZERO, |sum, (p, q)| sum + *p * *q)
}
