//! The orthogonal matrix that brings one factor of a covariance nearest to another.

use faer::{Mat, MatRef};

use crate::error::{Error, Result};

/// Sweeps of Jacobi rotations; convergence is quadratic, so that ten are many.
const MAX_SWEEPS: usize = 40;

/// How the factors of two covariances lie to each other.
pub(crate) struct Fit {
    /// $L_1 - L_2 U$, whose columns belong to those of $L_1$.
    pub(crate) first: Mat<f64>,
    /// $L_2 - L_1 U^\top$
    pub(crate) second: Mat<f64>,
    /// $\min_U \lVert L_1 - L_2 U \rVert_F^2$
    pub(crate) squared: f64,
    /// How far rounding may take `squared`, to first order.
    pub(crate) rounding: f64,
}

/// The nearest factor $L_2 U$ to $L_1$, with U the polar factor of $L_2^\top L_1$.
///
/// The squared distance is a sum of squares, so that no large variances are subtracted from each other
/// where the covariances differ little. Entries that are but rounding of their terms count as zero.
pub(crate) fn fit(l1: &Mat<f64>, l2: &Mat<f64>) -> Result<Fit> {
    let quick = polar(l1, l2)?;
    let found = Fit::new(l1, l2, &quick.u);
    let floor = 64.0 * f64::EPSILON.powi(2) * (l1.squared_norm_l2() + l2.squared_norm_l2());
    if quick.loss <= floor.max(1e-10 * found.squared) {
        return Ok(found);
    }
    // Small variances beside large ones: U is needed to all digits where both are small.
    let ((g1, q1), (g2, q2)) = (graded(l1), graded(l2));
    let careful = q2 * accurate_polar(g2.transpose() * g1) * q1.transpose();
    Ok(Fit::new(l1, l2, &careful))
}

impl Fit {
    fn new(l1: &Mat<f64>, l2: &Mat<f64>, u: &Mat<f64>) -> Self {
        let (first, lost) = difference(l1, l2, u.as_ref());
        let (second, _) = difference(l2, l1, u.transpose());
        // Where U has fewer columns than rows, what of L_2 it does not reach.
        let (unreached, also_lost) = difference(l2, &(l2 * u), u.transpose());
        Self {
            squared: first.squared_norm_l2() + unreached.squared_norm_l2(),
            rounding: lost + also_lost,
            first,
            second,
        }
    }
}

/// $A - B U$ without what is but rounding, and twice its inner product with rounding errors at worst.
fn difference(a: &Mat<f64>, b: &Mat<f64>, u: MatRef<f64>) -> (Mat<f64>, f64) {
    let moved = b * u;
    let mut found: Mat<f64> = Mat::zeros(a.nrows(), a.ncols());
    let mut lost = 0.0;
    for i in 0..a.nrows() {
        let length = |of: &Mat<f64>| -> f64 { (0..of.ncols()).map(|k| of[(i, k)].powi(2)).sum() };
        // The factors themselves are right to some roundings of a row, and so is the product.
        let tolerance = 16.0 * f64::EPSILON * (length(a) + length(b)).sqrt();
        for j in 0..a.ncols() {
            let entry = a[(i, j)] - moved[(i, j)];
            if entry.abs() > tolerance {
                found[(i, j)] = entry;
                lost += (tolerance * entry).powi(2);
            }
        }
    }
    (found, 2.0 * lost.sqrt())
}

struct Polar {
    /// `[R_2, R_1]`, with orthonormal rows or columns but for singular values of zero.
    u: Mat<f64>,
    /// What the squared distance may lose by rounding in U.
    loss: f64,
}

/// The polar factor of $L_2^\top L_1$ by a singular value decomposition that is right to rounding of the
/// largest singular value.
fn polar(l1: &Mat<f64>, l2: &Mat<f64>) -> Result<Polar> {
    if l1.ncols() == 0 || l2.ncols() == 0 {
        return Ok(Polar { u: Mat::zeros(l2.ncols(), l1.ncols()), loss: 0.0 });
    }
    let svd = (l2.transpose() * l1).thin_svd().map_err(|_| Error::InvalidParameter {
        name: "overlap of the covariances",
        expected: "a matrix whose singular values converge",
        value: f64::NAN,
    })?;
    let values: Vec<f64> = svd.S().column_vector().iter().copied().collect();
    // An error e turns planes of singular values s, t by e / (s + t) at most, which costs e^2 / (s + t).
    let error = 8.0 * f64::EPSILON * values.iter().copied().fold(0.0, f64::max);
    let cost = |sum: f64| if sum > 0.0 { (error * error / sum).min(sum) } else { 0.0 };
    let loss = values.iter().flat_map(|s| values.iter().map(move |t| s + t)).map(cost).sum();
    Ok(Polar { u: svd.U() * svd.V().transpose(), loss })
}

/// A factor times an orthogonal matrix, and that matrix: its columns fall in size from left to right, and
/// what is small in a row stays so.
fn graded(l: &Mat<f64>) -> (Mat<f64>, Mat<f64>) {
    let qr = l.transpose().to_owned().col_piv_qr();
    let (r, order) = (qr.thin_R(), qr.P());
    let mut graded: Mat<f64> = Mat::zeros(l.nrows(), r.nrows());
    for (j, &row) in order.arrays().0.iter().enumerate() {
        for k in 0..r.nrows() {
            graded[(row, k)] = if k <= j { r[(k, j)] } else { 0.0 };
        }
    }
    (graded, qr.compute_thin_Q())
}

/// The polar factor of a graded matrix by one-sided Jacobi rotations after a pivoted QR decomposition,
/// which find small singular values and their vectors beside large ones.
///
/// # Reference
/// Z. Drmac and K. Veselic, *New fast and accurate Jacobi SVD algorithm*, SIAM J. Matrix Analysis 29, 2008.
fn accurate_polar(m: Mat<f64>) -> Mat<f64> {
    if m.nrows() < m.ncols() {
        return accurate_polar(m.transpose().to_owned()).transpose().to_owned();
    }
    let (lower, q) = graded(&m.transpose().to_owned());
    // lower = W S V^T is m^T q.
    let n = lower.ncols();
    let column =
        |of: &Mat<f64>, k: usize| -> Vec<f64> { (0..of.nrows()).map(|i| of[(i, k)]).collect() };
    let mut a: Vec<Vec<f64>> = (0..n).map(|k| column(&lower, k)).collect();
    let mut v: Vec<Vec<f64>> = (0..n).map(|k| column(&Mat::identity(n, n), k)).collect();
    for _ in 0..MAX_SWEEPS {
        let mut still = true;
        for p in 0..n {
            for k in p + 1..n {
                if let Some((cosine, sine)) = rotation(&a[p], &a[k]) {
                    still = false;
                    rotate(&mut a, p, k, cosine, sine);
                    rotate(&mut v, p, k, cosine, sine);
                }
            }
        }
        if still {
            break;
        }
    }
    let mut u: Mat<f64> = Mat::zeros(n, m.ncols());
    for (a, v) in a.iter().zip(&v) {
        let size = dot(a, a).sqrt();
        if size > 0.0 {
            for i in 0..n {
                for j in 0..m.ncols() {
                    u[(i, j)] += v[i] * (a[j] / size);
                }
            }
        }
    }
    q * u
}

fn dot(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| p * q).sum()
}

/// Cosine and sine of the rotation that makes two vectors orthogonal, if they are not.
fn rotation(p: &[f64], q: &[f64]) -> Option<(f64, f64)> {
    let (own, other, both) = (dot(p, p), dot(q, q), dot(p, q));
    if both.abs() <= f64::EPSILON * own.sqrt() * other.sqrt() {
        return None;
    }
    let zeta = (other - own) / (2.0 * both);
    let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let cosine = tangent.hypot(1.0).recip();
    Some((cosine, cosine * tangent))
}

fn rotate(vectors: &mut [Vec<f64>], p: usize, q: usize, cosine: f64, sine: f64) {
    let (left, right) = vectors.split_at_mut(q);
    for (x, y) in left[p].iter_mut().zip(&mut right[0]) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
}
