//! The standard error of the Frechet distance of two samples.

use faer::Mat;
use ndarray::{Array1, ArrayView2, Axis};

use super::influence::standard_error;
use crate::error::Result;
use crate::gaussian::{Spread, fit, shift};
use crate::input::check_pair;
use crate::scale::{WIDE, finite, framed};

/// Standard error of [`crate::frechet_distance`], by the delta method.
///
/// The derivative of the squared distance by the first mean and covariance is the quadratic
/// $u(x) = 2 (m_1 - m_2) \cdot (x - m_1) + (x - m_1)^\top (1 - T) (x - m_1)$, the potential of the
/// optimal map between the Gaussians, whose slope is $T = C_1^{-1/2} (C_1^{1/2} C_2
/// C_1^{1/2})^{1/2} C_1^{-1/2}$; and so for the second. The variance is that of the two potentials
/// over their samples, which need not be Gaussian. It holds where the moments differ, and says nothing
/// of the bias, of order $D^2 / N$. What rounding may change is part of it.
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
    let pair = framed(x, y, WIDE);
    let (x, y) = (Spread::new(pair.x.view()), Spread::new(pair.y.view()));
    let shift = shift(&x, &y);
    let fit = fit(&x.l, &y.l)?;
    let (u, v) = (potential(&x, &shift, &fit.first), potential(&y, &-&shift, &fit.second));
    let error = standard_error([(u.view(), None), (v.view(), None)]).hypot(fit.rounding);
    finite("standard error of the squared Frechet distance", pair.unit.back(error, 2.0))
}

/// $2 \delta \cdot x + x \cdot (x - T x)$ of every centred row x, where T takes $L_1$ to $L_2 U$.
fn potential(of: &Spread, shift: &Array1<f64>, left: &Mat<f64>) -> Array1<f64> {
    of.centred.dot(shift) * 2.0 + (&of.centred * &of.mapped(left)).sum_axis(Axis(1))
}
