//! Wasserstein-2 distance between Gaussians, and its use on samples (the Frechet distance).

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::error::{Error, Result};
use crate::input::{check_pair, check_rows};

/// Squared Wasserstein-2 distance between $N(m_1, C_1)$ and $N(m_2, C_2)$.
///
/// $$W_2^2 = \lVert m_1 - m_2 \rVert^2 + \mathrm{tr}\left(C_1 + C_2 - 2 (C_1^{1/2} C_2
/// C_1^{1/2})^{1/2}\right)$$
///
/// Covariances may be singular. Cost is O(D^3) times the sweeps of a Jacobi eigensolver: meant for
/// D up to a few hundred.
///
/// # Shapes
/// `m1, m2: [D]`, `c1, c2: [D, D]` symmetric (the upper triangle counts).
///
/// # Errors
/// Shapes that disagree, values that are not finite.
///
/// # Reference
/// D. C. Dowson and B. V. Landau, *The Frechet distance between multivariate normal
/// distributions*, J. Multivariate Analysis 12, 1982.
///
/// ```
/// use ndarray::array;
/// let (m, c1, c2) = (array![0.0, 1.0], array![[4.0, 0.0], [0.0, 1.0]], array![[1.0, 0.0], [0.0, 1.0]]);
/// let squared = metrics::gaussian_w2(m.view(), c1.view(), m.view(), c2.view())?;
/// assert!((squared - 1.0).abs() < 1e-14);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn gaussian_w2(
    m1: ArrayView1<f64>,
    c1: ArrayView2<f64>,
    m2: ArrayView1<f64>,
    c2: ArrayView2<f64>,
) -> Result<f64> {
    let dim = m1.len();
    if m2.len() != dim {
        return Err(Error::DimensionMismatch { left: dim, right: m2.len() });
    }
    for (what, covariance) in [("first covariance", c1), ("second covariance", c2)] {
        if covariance.shape() != [dim, dim] {
            let (expected, found) = (vec![dim, dim], covariance.shape().to_vec());
            return Err(Error::ShapeMismatch { what, expected, found });
        }
        check_rows(what, covariance, 1)?;
    }
    for (what, mean) in [("first mean", m1), ("second mean", m2)] {
        check_rows(what, mean.insert_axis(Axis(0)), 1)?;
    }
    let (values, vectors) = symmetric_eigen(c1.to_owned());
    // Rounding may push a zero eigenvalue below zero.
    let roots = values.mapv(|value| value.max(0.0).sqrt());
    let root = (&vectors * &roots).dot(&vectors.t());
    let (products, _) = symmetric_eigen(root.dot(&c2).dot(&root));
    let overlap: f64 = products.iter().map(|value| value.max(0.0).sqrt()).sum();
    let shift = (&m1 - &m2).mapv(|d| d * d).sum();
    Ok((shift + c1.diag().sum() + c2.diag().sum() - 2.0 * overlap).max(0.0))
}

/// Squared Frechet distance of two samples: [`gaussian_w2`] of their means and covariances.
///
/// Covariances divide by n - 1.
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`, N, M >= 2.
///
/// # Errors
/// Fewer than two rows, different dimensions, values that are not finite.
///
/// # Reference
/// M. Heusel et al., *GANs trained by a two time-scale update rule*, 2017, arXiv:1706.08500, eq. 6.
///
/// ```
/// use ndarray::array;
/// let x = array![[0.0], [2.0]];
/// let y = array![[1.0], [3.0]];
/// assert!((metrics::frechet_distance(x.view(), y.view())? - 1.0).abs() < 1e-14);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn frechet_distance(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<f64> {
    check_pair(x, y, 2)?;
    let moments = |cloud: ArrayView2<f64>| {
        let count = cloud.nrows() as f64;
        let mean: Array1<f64> = cloud.sum_axis(Axis(0)) / count;
        let centred = &cloud - &mean;
        let covariance = centred.t().dot(&centred) / (count - 1.0);
        (mean, covariance)
    };
    let ((m1, c1), (m2, c2)) = (moments(x), moments(y));
    gaussian_w2(m1.view(), c1.view(), m2.view(), c2.view())
}

/// Eigenvalues and eigenvectors (columns) of a symmetric matrix, by cyclic Jacobi rotations.
///
/// Small eigenvalues come out with small absolute error relative to the largest, which is all a
/// trace of square roots needs.
fn symmetric_eigen(mut a: Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    let n = a.nrows();
    let mut vectors = Array2::eye(n);
    for i in 0..n {
        for j in 0..i {
            a[[i, j]] = a[[j, i]];
        }
    }
    let size = a.iter().map(|value| value * value).sum::<f64>();
    // Convergence is quadratic: a handful of sweeps; the bound only guards the loop.
    for _sweep in 0..60 {
        let off: f64 = a.indexed_iter().filter(|((i, j), _)| i < j).map(|(_, v)| v * v).sum();
        if off <= 1e-32 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    (a.diag().to_owned(), vectors)
}

/// The Jacobi rotation that makes `a[p, q]` vanish.
fn rotate(a: &mut Array2<f64>, vectors: &mut Array2<f64>, p: usize, q: usize) {
    let off = a[[p, q]];
    if off == 0.0 {
        return;
    }
    let theta = (a[[q, q]] - a[[p, p]]) / (2.0 * off);
    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cosine = tangent.hypot(1.0).recip();
    let sine = tangent * cosine;
    for k in 0..a.nrows() {
        let (left, right) = (a[[k, p]], a[[k, q]]);
        a[[k, p]] = cosine * left - sine * right;
        a[[k, q]] = sine * left + cosine * right;
    }
    for k in 0..a.nrows() {
        let (upper, lower) = (a[[p, k]], a[[q, k]]);
        a[[p, k]] = cosine * upper - sine * lower;
        a[[q, k]] = sine * upper + cosine * lower;
        let (left, right) = (vectors[[k, p]], vectors[[k, q]]);
        vectors[[k, p]] = cosine * left - sine * right;
        vectors[[k, q]] = sine * left + cosine * right;
    }
}
