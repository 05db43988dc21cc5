//! The standard error of the Frechet distance of two samples.

use faer::{Mat, MatRef};
use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::influence::variance_of_mean;
use crate::error::{Error, Result};
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
    let (first, second) = (Factors::new(&x), Factors::new(&y));
    let svd = (first.l.transpose() * &second.l).thin_svd().map_err(|_| {
        let (name, value) = ("overlap of the covariances", f64::NAN);
        let expected = "a matrix whose singular values converge";
        Error::InvalidParameter { name, expected, value }
    })?;
    let values: Vec<f64> = svd.S().column_vector().iter().copied().collect();
    let shift = &m1 - &m2;
    let u = potential(&x, &shift, &first.along(svd.U(), &values));
    let v = potential(&y, &-shift, &second.along(svd.V(), &values));
    Ok((variance_of_mean(u.view(), None) + variance_of_mean(v.view(), None)).sqrt())
}

fn centred(cloud: ArrayView2<f64>) -> (Array1<f64>, Array2<f64>) {
    let mean = cloud.sum_axis(Axis(0)) / cloud.nrows() as f64;
    let rows = &cloud - &mean;
    (mean, rows)
}

/// A centred sample as `rows = (N - 1)^(1/2) Q L^T`, so that its covariance is `L L^T`.
struct Factors {
    /// `[N, R]`; `None` is the identity.
    q: Option<Mat<f64>>,
    /// `[D, R]`
    l: Mat<f64>,
}

impl Factors {
    fn new(centred: &Array2<f64>) -> Self {
        let (n, d) = centred.dim();
        let scale = ((n - 1) as f64).sqrt();
        if n <= d {
            return Self { q: None, l: Mat::from_fn(d, n, |i, j| centred[[j, i]] / scale) };
        }
        let qr = Mat::from_fn(n, d, |i, j| centred[[i, j]] / scale).qr();
        Self { q: Some(qr.compute_thin_Q()), l: qr.thin_R().transpose().to_owned() }
    }

    /// `x^T T x` for every centred row x. Of `L_1^T L_2 = U S V^T` the root of `L_1^T C_2 L_1` is `U S
    /// U^T`, and `T = L_1^-T U S U^T L_1^-1`, so the form needs no inverse: `(N - 1) q^T U S U^T q`.
    fn along(&self, vectors: MatRef<f64>, values: &[f64]) -> Array1<f64> {
        let coordinates = match &self.q {
            Some(q) => q * vectors,
            None => vectors.to_owned(),
        };
        let n = coordinates.nrows();
        let square = |i: usize| -> f64 {
            values.iter().enumerate().map(|(k, s)| s * coordinates[(i, k)].powi(2)).sum()
        };
        Array1::from_shape_fn(n, |i| (n - 1) as f64 * square(i))
    }
}

fn potential(centred: &Array2<f64>, shift: &Array1<f64>, along: &Array1<f64>) -> Array1<f64> {
    centred.dot(shift) * 2.0 + (centred * centred).sum_axis(Axis(1)) - along
}
