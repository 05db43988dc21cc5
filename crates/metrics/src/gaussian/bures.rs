//! The Wasserstein-2 distance of Gaussians, and of samples taken for Gaussian.

use faer::Mat;
use ndarray::{ArrayView1, ArrayView2};

use super::cholesky::cholesky;
use super::divergence::check;
use super::polar::fit;
use super::spread::{Spread, shift};
use crate::error::Result;
use crate::input::check_pair;
use crate::scale::{Unit, WIDE, finite, framed};

/// Squared Wasserstein-2 distance between $N(m_1, C_1)$ and $N(m_2, C_2)$.
///
/// $$W_2^2 = \lVert m_1 - m_2 \rVert^2 + \mathrm{tr}\left(C_1 + C_2 - 2 (C_1^{1/2} C_2
/// C_1^{1/2})^{1/2}\right)$$
///
/// The second part is $\min_U \lVert L_1 - L_2 U \rVert_F^2$ over orthogonal U, with $C = L L^\top$ by
/// pivoted Cholesky: a sum of squares, in which a small difference of large covariances keeps its digits.
/// Covariances may be singular. Cost is O(D^3).
///
/// # Shapes
/// `m1, m2: [D]`, `c1, c2: [D, D]` symmetric (the upper triangle counts).
///
/// # Errors
/// Shapes that disagree, values that are not finite, a covariance that is not positive semidefinite, a
/// result that no double holds.
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
    let shift = m1.iter().zip(m2).map(|(p, q)| finite("difference of the means", p - q));
    let shift = shift.collect::<Result<Vec<f64>>>()?;
    let deviations = c1.diag().into_iter().chain(c2.diag()).map(|variance| variance.abs().sqrt());
    let unit = Unit::of_largest(deviations.chain(shift.iter().copied()));
    let measured = |l: Mat<f64>| Mat::from_fn(l.nrows(), l.ncols(), |i, j| unit.measure(l[(i, j)]));
    let l1 = measured(cholesky("first covariance", c1)?);
    let l2 = measured(cholesky("second covariance", c2)?);
    let moved: f64 = shift.iter().map(|d| unit.measure(*d).powi(2)).sum();
    finite("squared W2", unit.back(moved + fit(&l1, &l2)?.squared, 2.0))
}

/// Squared Frechet distance of two samples: [`gaussian_w2`] of their means and covariances.
///
/// Covariances divide by n - 1 and are never formed: triangular factors of the centred samples say all,
/// so fewer rows than columns, or columns that depend on each other, lose no digits, and no variance is
/// subtracted from another.
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`, N, M >= 2.
///
/// # Errors
/// Fewer than two rows, different dimensions, values that are not finite, a result that no double holds.
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
    let pair = framed(x, y, WIDE);
    let (x, y) = (Spread::new(pair.x.view()), Spread::new(pair.y.view()));
    let moved = shift(&x, &y).mapv(|d| d * d).sum();
    let squared = moved + fit(&x.l, &y.l)?.squared;
    finite("squared Frechet distance", pair.unit.back(squared, 2.0))
}
