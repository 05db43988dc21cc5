//! The standard error of the Frechet distance of two samples.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::influence::variance_of_mean;
use crate::error::Result;
use crate::gaussian::symmetric_eigen;
use crate::input::check_pair;

/// Standard error of [`crate::frechet_distance`], by the delta method.
///
/// The derivative of the squared distance by the first mean and covariance is the quadratic
/// $u(x) = 2 (m_1 - m_2) \cdot (x - m_1) + (x - m_1)^\top (1 - T) (x - m_1)$, the potential of the
/// optimal map between the Gaussians, whose slope is $T = C_1^{-1/2} (C_1^{1/2} C_2
/// C_1^{1/2})^{1/2} C_1^{-1/2}$; and so for the second. The variance is that of the two potentials
/// over their samples, which need not be Gaussian. It holds where the moments differ, and says nothing
/// of the bias, of order $D^2 / N$.
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`, N, M >= 2.
///
/// # Errors
/// As [`crate::frechet_distance`].
///
/// # Reference
/// T. Rippl, A. Munk, A. Sturm, *Limit laws of the empirical Wasserstein distance: Gaussian
/// distributions*, J. Multivariate Analysis 151, 2016, arXiv:1507.04090.
///
/// ```
/// use ndarray::array;
/// // Two points a side: means 1 and 2, the same spread. d(m1 - m2)^2 = 2 (m1 - m2) d(m1 - m2).
/// let (x, y) = (array![[0.0], [2.0]], array![[1.0], [3.0]]);
/// let error = metrics::frechet_standard_error(x.view(), y.view())?;
/// assert!((error - 2.0 * 2.0_f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn frechet_standard_error(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<f64> {
    check_pair(x, y, 2)?;
    let ((m1, x), (m2, y)) = (centred(x), centred(y));
    let covariance = |cloud: &Array2<f64>| cloud.t().dot(cloud) / (cloud.nrows() as f64 - 1.0);
    let (c1, c2) = (covariance(&x), covariance(&y));
    let shift = &m1 - &m2;
    let first = potential(&x, &shift, &slope(&c1, &c2));
    let second = potential(&y, &-shift, &slope(&c2, &c1));
    let variance = |values: ArrayView1<f64>| variance_of_mean(values, None);
    Ok((variance(first.view()) + variance(second.view())).sqrt())
}

fn centred(cloud: ArrayView2<f64>) -> (Array1<f64>, Array2<f64>) {
    let mean = cloud.sum_axis(Axis(0)) / cloud.nrows() as f64;
    let rows = &cloud - &mean;
    (mean, rows)
}

/// The matrix of the optimal map from `N(0, from)` to `N(0, to)`, on the range of `from`.
fn slope(from: &Array2<f64>, to: &Array2<f64>) -> Array2<f64> {
    let (values, vectors) = symmetric_eigen(from.clone());
    // What is below the rounding of the largest is zero, and has no inverse.
    let floor = f64::EPSILON * from.nrows() as f64 * values.iter().fold(0.0_f64, |a, b| a.max(*b));
    let of = |f: fn(f64) -> f64| {
        let scaled = values.mapv(|value| if value > floor { f(value) } else { 0.0 });
        (&vectors * &scaled).dot(&vectors.t())
    };
    let (root, inverse) = (of(f64::sqrt), of(|value| value.sqrt().recip()));
    let (values, vectors) = symmetric_eigen(root.dot(to).dot(&root));
    let roots = values.mapv(|value| value.max(0.0).sqrt());
    inverse.dot(&(&vectors * &roots).dot(&vectors.t())).dot(&inverse)
}

fn potential(centred: &Array2<f64>, shift: &Array1<f64>, slope: &Array2<f64>) -> Array1<f64> {
    let stretched = centred - &centred.dot(slope);
    centred.dot(shift) * 2.0 + (&stretched * centred).sum_axis(Axis(1))
}
