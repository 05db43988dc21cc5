//! Divergences and entropy of Gaussians.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use crate::error::{Error, Result};
use crate::input::check_rows;

/// A mean and a covariance.
pub(super) type Moments<'a> = (ArrayView1<'a, f64>, ArrayView2<'a, f64>);

/// Whether two Gaussians are given by finite numbers of matching shapes.
pub(super) fn check((m1, c1): Moments, (m2, c2): Moments) -> Result<()> {
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
    Ok(())
}

/// The inverse of a covariance and the logarithm of its determinant; a singular one has minus
/// infinity there, and infinities in its inverse.
fn inverse(c: ArrayView2<f64>) -> (Array2<f64>, f64) {
    let (values, vectors) = symmetric_eigen(c.to_owned());
    let largest = values.iter().fold(0.0_f64, |a, b| a.max(*b));
    // What is below the rounding of the largest is zero.
    let floor = f64::EPSILON * c.nrows() as f64 * largest;
    let values = values.mapv(|v| if v > floor { v } else { 0.0 });
    let scaled = &vectors / &values;
    (scaled.dot(&vectors.t()), values.iter().map(|v| v.ln()).sum())
}

/// Kullback-Leibler divergence of $N(m_1, C_1)$ from $N(m_2, C_2)$, in nats.
///
/// $$\mathrm{KL}(N_1 \Vert N_2) = \tfrac12 \left(\mathrm{tr}(C_2^{-1} C_1) + (m_1 - m_2)^\top C_2^{-1}
/// (m_1 - m_2) - D + \log \frac{\det C_2}{\det C_1}\right)$$
///
/// Infinite when either covariance is singular.
///
/// # Shapes
/// `m1, m2: [D]`, `c1, c2: [D, D]` symmetric (the upper triangle counts).
///
/// # Errors
/// Shapes that disagree, values that are not finite.
///
/// # Reference
/// S. Kullback, *Information theory and statistics*, 1959, section 9.1.
///
/// ```
/// use ndarray::array;
/// let (m, c1, c2) = (array![0.0], array![[1.0]], array![[4.0]]);
/// let nats = metrics::gaussian_kl(m.view(), c1.view(), m.view(), c2.view())?;
/// assert!((nats - 0.5 * (0.25 - 1.0 + 4.0_f64.ln())).abs() < 1e-15);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn gaussian_kl(
    m1: ArrayView1<f64>,
    c1: ArrayView2<f64>,
    m2: ArrayView1<f64>,
    c2: ArrayView2<f64>,
) -> Result<f64> {
    check((m1, c1), (m2, c2))?;
    let ((_, log_det1), (inverse2, log_det2)) = (inverse(c1), inverse(c2));
    if log_det1 == f64::NEG_INFINITY || log_det2 == f64::NEG_INFINITY {
        return Ok(f64::INFINITY);
    }
    let shift = &m1 - &m2;
    let trace = (&inverse2 * &symmetric(c1)).sum();
    let quadratic = shift.dot(&inverse2.dot(&shift));
    Ok((0.5 * (trace + quadratic - m1.len() as f64 + log_det2 - log_det1)).max(0.0))
}

/// Fisher divergence of $N(m_1, C_1)$ from $N(m_2, C_2)$: the mean squared distance of the scores
/// under the first,
///
/// $$\mathbb{E}_{N_1} \lVert \nabla \log N_1 - \nabla \log N_2 \rVert^2 = \mathrm{tr}(A C_1 A) + \lVert
/// C_2^{-1} (m_1 - m_2) \rVert^2, \qquad A = C_2^{-1} - C_1^{-1}.$$
///
/// Infinite when either covariance is singular.
///
/// # Shapes
/// As [`gaussian_kl`].
///
/// # Errors
/// Shapes that disagree, values that are not finite.
///
/// # Reference
/// A. Hyvarinen, *Estimation of non-normalized statistical models by score matching*, 2005, eq. 2.
///
/// ```
/// use ndarray::array;
/// let (m1, m2, c) = (array![0.0], array![3.0], array![[1.0]]);
/// let squared = metrics::gaussian_fisher_divergence(m1.view(), c.view(), m2.view(), c.view())?;
/// assert_eq!(squared, 9.0);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn gaussian_fisher_divergence(
    m1: ArrayView1<f64>,
    c1: ArrayView2<f64>,
    m2: ArrayView1<f64>,
    c2: ArrayView2<f64>,
) -> Result<f64> {
    check((m1, c1), (m2, c2))?;
    let ((inverse1, log_det1), (inverse2, log_det2)) = (inverse(c1), inverse(c2));
    if log_det1 == f64::NEG_INFINITY || log_det2 == f64::NEG_INFINITY {
        return Ok(f64::INFINITY);
    }
    let a = &inverse2 - &inverse1;
    let spread = (&a.dot(&symmetric(c1)) * &a).sum();
    let push = inverse2.dot(&(&m1 - &m2));
    Ok(spread + push.dot(&push))
}

/// Differential entropy of a Gaussian with covariance $C$, in nats: $\tfrac12 \log\left((2 \pi e)^D
/// \det C\right)$; minus infinity when $C$ is singular.
///
/// # Shapes
/// `c: [D, D]` symmetric (the upper triangle counts).
///
/// # Errors
/// A matrix that is not square, values that are not finite.
///
/// # Reference
/// C. E. Shannon, *A mathematical theory of communication*, 1948, section 20.
///
/// ```
/// use ndarray::array;
/// let nats = metrics::gaussian_entropy(array![[1.0]].view())?;
/// assert!((nats - 1.418_938_533_204_672_7).abs() < 1e-15);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn gaussian_entropy(c: ArrayView2<f64>) -> Result<f64> {
    let mean = Array1::zeros(c.nrows());
    check((mean.view(), c), (mean.view(), c))?;
    let each = 1.0 + std::f64::consts::TAU.ln();
    Ok(0.5 * (c.nrows() as f64 * each + inverse(c).1))
}

/// The matrix whose upper triangle counts.
fn symmetric(c: ArrayView2<f64>) -> Array2<f64> {
    Array2::from_shape_fn(c.dim(), |(i, j)| c[[i.min(j), i.max(j)]])
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
