//! The Wasserstein-2 distance of Gaussians, and of samples taken for Gaussian.

use faer::Mat;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::divergence::check;
use crate::error::{Error, Result};
use crate::input::check_pair;

/// Squared Wasserstein-2 distance between $N(m_1, C_1)$ and $N(m_2, C_2)$.
///
/// $$W_2^2 = \lVert m_1 - m_2 \rVert^2 + \mathrm{tr}\left(C_1 + C_2 - 2 (C_1^{1/2} C_2
/// C_1^{1/2})^{1/2}\right)$$
///
/// Covariances may be singular, and directions without variance count as exactly that: the trace of
/// the root is the sum of the singular values of $L_1^\top L_2$ with $C = L L^\top$ by pivoted Cholesky,
/// so no root is taken of what rounding leaves of a zero. Cost is O(D^3).
///
/// # Shapes
/// `m1, m2: [D]`, `c1, c2: [D, D]` symmetric (the upper triangle counts).
///
/// # Errors
/// Shapes that disagree, values that are not finite, a covariance that is not positive semidefinite.
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
    check((m1, c1), (m2, c2))?;
    let (l1, l2) = (cholesky("first covariance", c1)?, cholesky("second covariance", c2)?);
    let shift = (&m1 - &m2).mapv(|d| d * d).sum();
    Ok((shift + c1.diag().sum() + c2.diag().sum() - 2.0 * overlap(&l1, &l2)?).max(0.0))
}

/// Squared Frechet distance of two samples: [`gaussian_w2`] of their means and covariances.
///
/// Covariances divide by n - 1 and are never formed: the singular values of the centred samples say
/// all, so fewer rows than columns, or columns that depend on each other, lose no digits.
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
    let ((m1, v1, l1), (m2, v2, l2)) = (spread(x), spread(y));
    let shift = (&m1 - &m2).mapv(|d| d * d).sum();
    Ok((shift + v1 + v2 - 2.0 * overlap(&l1, &l2)?).max(0.0))
}

/// Mean, total variance and a factor L, `[D, R]` with $C = L L^\top$, of a sample.
fn spread(cloud: ArrayView2<f64>) -> (Array1<f64>, f64, Mat<f64>) {
    let (n, d) = cloud.dim();
    let mean = cloud.sum_axis(Axis(0)) / n as f64;
    let centred = (&cloud - &mean) / ((n - 1) as f64).sqrt();
    let variance = centred.iter().map(|value| value * value).sum();
    let factor = if n > d {
        let tall = Mat::from_fn(n, d, |i, j| centred[[i, j]]);
        tall.qr().thin_R().transpose().to_owned()
    } else {
        Mat::from_fn(d, n, |i, j| centred[[j, i]])
    };
    (mean, variance, factor)
}

/// $\mathrm{tr} (C_1^{1/2} C_2 C_1^{1/2})^{1/2}$: the sum of the singular values of $L_1^\top L_2$.
fn overlap(l1: &Mat<f64>, l2: &Mat<f64>) -> Result<f64> {
    if l1.ncols() == 0 || l2.ncols() == 0 {
        return Ok(0.0);
    }
    let values = (l1.transpose() * l2).singular_values().map_err(|_| Error::InvalidParameter {
        name: "overlap of the covariances",
        expected: "a matrix whose singular values converge",
        value: f64::NAN,
    })?;
    Ok(values.iter().sum())
}

/// What a pivot may fall below zero, relative to its variance, before the matrix is no covariance: one
/// computed in single precision has that much rounding.
const INDEFINITE: f64 = 1e-5;

/// L, `[D, R]`, with $C = L L^\top$ by Cholesky with complete pivoting; R is the rank.
///
/// A pivot that is but rounding of its own variance is zero: scaling a coordinate changes nothing, so
/// small variances are kept to all digits beside large ones.
fn cholesky(what: &'static str, c: ArrayView2<f64>) -> Result<Mat<f64>> {
    let d = c.nrows();
    let mut rest = Array2::from_shape_fn((d, d), |(i, j)| c[[i.min(j), i.max(j)]]);
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
            let (left, size) = (rest[[i, j]], (variances[i] * variances[j]).max(0.0).sqrt());
            if left.abs() > INDEFINITE * size {
                let expected =
                    "zero where the variance is spent: the covariance is not positive semidefinite";
                return Err(Error::InvalidParameter { name: what, expected, value: left });
            }
        }
    }
    Ok(Mat::from_fn(d, columns.len(), |i, k| columns[k][i]))
}
