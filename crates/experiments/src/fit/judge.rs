//! A classifier of rows: what classes samples look like.

use anyhow::{Context as _, Result};
use faer::prelude::Solve as _;
use faer::{Mat, Side};
use metrics::Estimate;
use ndarray::{Array2, ArrayView2, s};

/// Rows that it learns from, at most: it solves a system of as many equations.
pub(super) const MOST: usize = 3000;

/// Weight of the squared coefficients, in units of the kernel's diagonal.
const RIDGE: f64 = 1e-3;

/// Ridge regression of the classes (one of `K` numbers is 1) in the space of the kernel `exp(-|x - y|^2 / (2 s^2))`, with
/// `s^2` the mean squared distance of two rows over 4.
///
/// # Reference
/// Rifkin, Yeo, Poggio 2003 (regularised least-squares classification).
pub(super) struct Judge {
    rows: Array2<f64>,
    /// `[N, K]`.
    coefficients: Array2<f64>,
    gamma: f64,
}

impl Judge {
    /// Learned from rows and their classes, the first [`MOST`] of them.
    pub(super) fn fit(rows: ArrayView2<'_, f64>, labels: &[u32], classes: usize) -> Result<Self> {
        let n = rows.nrows().min(MOST);
        let rows = rows.slice(s![..n, ..]).to_owned();
        let spread: f64 = rows.var_axis(ndarray::Axis(0), 0.0).sum();
        // Two rows are 2 * spread apart in the mean of squares.
        let gamma = 1.0 / (2.0 * (2.0 * spread / 4.0).max(f64::MIN_POSITIVE));
        let kernel = kernel(rows.view(), rows.view(), gamma);
        let system = Mat::from_fn(n, n, |i, j| kernel[[i, j]] + if i == j { RIDGE } else { 0.0 });
        let targets = Mat::from_fn(n, classes, |i, k| f64::from(labels[i] as usize == k));
        let solved = system.llt(Side::Lower).ok().context("the classifier's system is singular")?;
        let found = solved.solve(&targets);
        let coefficients = Array2::from_shape_fn((n, classes), |(i, k)| found[(i, k)]);
        Ok(Self { rows, coefficients, gamma })
    }

    /// The class of every row.
    pub(super) fn classes(&self, rows: ArrayView2<'_, f64>) -> Vec<u32> {
        let mut classes = Vec::with_capacity(rows.nrows());
        for piece in rows.axis_chunks_iter(ndarray::Axis(0), 256) {
            let values = kernel(piece, self.rows.view(), self.gamma).dot(&self.coefficients);
            classes.extend(values.rows().into_iter().map(|row| {
                let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                best.map_or(0, |b| b.0 as u32)
            }));
        }
        classes
    }

    /// Share of the rows whose class it names.
    pub(super) fn accuracy(&self, rows: ArrayView2<'_, f64>, labels: &[u32]) -> Estimate {
        let classes = self.classes(rows);
        let right = classes.iter().zip(labels).map(|(a, b)| f64::from(a == b));
        Estimate::of_mean(&right.collect::<Vec<_>>())
    }
}

fn kernel(x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>, gamma: f64) -> Array2<f64> {
    let square =
        |z: ArrayView2<'_, f64>| z.rows().into_iter().map(|r| r.dot(&r)).collect::<Vec<_>>();
    let (xx, yy) = (square(x), square(y));
    let mut products = x.dot(&y.t());
    for ((i, j), p) in products.indexed_iter_mut() {
        *p = (-gamma * (xx[i] + yy[j] - 2.0 * *p).max(0.0)).exp();
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;
    use sde_core::Key;

    /// Two interleaved rings, which no plane parts.
    #[test]
    fn rings_are_told_apart() {
        let rows = |key: Key, n: usize| {
            let mut z = Array2::zeros((n, 2));
            key.fill_normals(0, z.as_slice_mut().expect("in one piece"));
            for (i, mut row) in z.rows_mut().into_iter().enumerate() {
                let length = row.dot(&row).sqrt();
                let radius = if i % 2 == 0 { 1.0 } else { 2.0 };
                row.mapv_inplace(|v| v * radius / length);
            }
            (z, (0..n as u32).map(|i| i % 2).collect::<Vec<_>>())
        };
        let (x, labels) = rows(Key::root(1), 300);
        let judge = Judge::fit(x.view(), &labels, 2).expect("a classifier");
        let (test, truth) = rows(Key::root(2), 200);
        assert!(judge.accuracy(test.view(), &truth).value > 0.99);
        // Wrong labels are wrong.
        let wrong: Vec<u32> = truth.iter().map(|l| 1 - l).collect();
        assert!(judge.accuracy(test.view(), &wrong).value < 0.01);
    }
}
