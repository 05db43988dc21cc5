//! Maximum mean discrepancy: V-statistic, U-statistic and the standard error of the latter.

use ndarray::ArrayView2;

use super::function::Kernel;
use super::sums::{centred_square, diagonal, own_row_sums, own_sum, row_sums};
use crate::error::Result;
use crate::input::check_pair;
use crate::pairwise::{Points, sum};

/// Squared maximum mean discrepancy, estimated in two ways.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Mmd2 {
    /// V-statistic, all pairs: never negative, biased upward by O(1/n).
    pub biased: f64,
    /// U-statistic, pairs of different samples only: unbiased, may be negative.
    pub unbiased: f64,
    /// Standard error of `unbiased`; only [`mmd2_with_error`] fills it.
    pub standard_error: Option<f64>,
}

impl Mmd2 {
    /// The root of the V-statistic, which is a distance: the square-root form of the energy distance
    /// as much as the MMD itself.
    #[must_use]
    pub fn distance(&self) -> f64 {
        // Rounding may leave a zero below zero.
        self.biased.max(0.0).sqrt()
    }
}

/// Squared maximum mean discrepancy between two samples.
///
/// $$\mathrm{MMD}^2 = \mathbb{E}k(X, X') + \mathbb{E}k(Y, Y') - 2\,\mathbb{E}k(X, Y)$$
///
/// Streams over the pairs: memory is O(N + M). Row sums are added in a fixed order, so the result
/// does not depend on the number of threads.
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`, N, M >= 2.
///
/// # Errors
/// Fewer than two rows, different dimensions, values that are not finite, a kernel parameter that
/// is not positive.
///
/// # Reference
/// A. Gretton et al., *A kernel two-sample test*, JMLR 13, 2012, equations 3 and 5.
///
/// ```
/// use metrics::{Kernel, mmd2};
/// use ndarray::array;
/// let (x, y) = (array![[0.0], [0.0]], array![[1.0], [1.0]]);
/// let mmd = mmd2(x.view(), y.view(), Kernel::Rbf { bandwidth: 1.0 })?;
/// assert!((mmd.biased - (2.0 - 2.0 * (-0.5_f64).exp())).abs() < 1e-15);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn mmd2(x: ArrayView2<f64>, y: ArrayView2<f64>, kernel: Kernel) -> Result<Mmd2> {
    check_pair(x, y, 2)?;
    kernel.check()?;
    let (x, y) = (Points::new(x), Points::new(y));
    let cross = sum(&row_sums(kernel, &x, &y));
    Ok(combine(&x, &y, kernel, own_sum(kernel, &x), own_sum(kernel, &y), cross))
}

/// As [`mmd2`], with the standard error of the unbiased estimate, at about four times the cost.
///
/// The variance is that of the Hoeffding decomposition of the two-sample U-statistic, its
/// second-order terms included: it holds where the distributions differ (errors of order
/// $n^{-1/2}$) and where they agree (order $n^{-1}$), as in a noise floor.
///
/// # Errors
/// As [`mmd2`].
///
/// # Reference
/// R. J. Serfling, *Approximation Theorems of Mathematical Statistics*, 1980, section 5.3.
///
/// ```
/// use metrics::{Kernel, mmd2_with_error};
/// use ndarray::array;
/// let x = array![[0.0], [1.0], [2.0], [3.0]];
/// let mmd = mmd2_with_error(x.view(), x.view(), Kernel::Rbf { bandwidth: 1.0 })?;
/// assert!(mmd.standard_error.is_some_and(|error| error > 0.0));
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn mmd2_with_error(x: ArrayView2<f64>, y: ArrayView2<f64>, kernel: Kernel) -> Result<Mmd2> {
    check_pair(x, y, 2)?;
    kernel.check()?;
    let (x, y) = (Points::new(x), Points::new(y));
    let (n, m) = (x.len() as f64, y.len() as f64);
    let means = |rows: Vec<f64>, count: f64| rows.iter().map(|sum| sum / count).collect::<Vec<_>>();
    let own = |s: &Points| means(own_row_sums(kernel, s), s.len() as f64 - 1.0);
    let (xx, yy) = (own(&x), own(&y));
    let xy = means(row_sums(kernel, &x, &y), m);
    let yx = means(row_sums(kernel, &y, &x), n);
    let sums = (sum(&xx) * (n - 1.0), sum(&yy) * (m - 1.0));
    let mut mmd = combine(&x, &y, kernel, sums.0, sums.1, sum(&xy) * m);

    // Variances of the doubly centred kernels, the second-order terms.
    let second_xx = centred_square(kernel, (&x, &xx), (&x, &xx), true);
    let second_yy = centred_square(kernel, (&y, &yy), (&y, &yy), true);
    let second_xy = centred_square(kernel, (&x, &xy), (&y, &yx), false);
    // Variances of the projections, less what the noise of the row means adds to them.
    let first = |own: &[f64], cross: &[f64], noise: f64| {
        let projection: Vec<f64> = own.iter().zip(cross).map(|(p, q)| p - q).collect();
        variance(&projection) - noise
    };
    let first_x = first(&xx, &xy, second_xx / (n - 1.0) + second_xy / m);
    let first_y = first(&yy, &yx, second_yy / (m - 1.0) + second_xy / n);
    let linear = 4.0 * first_x / n + 4.0 * first_y / m;
    let degenerate = 2.0 * second_xx / (n * (n - 1.0))
        + 2.0 * second_yy / (m * (m - 1.0))
        + 4.0 * second_xy / (n * m);
    // Where the distributions agree `linear` only scatters about zero: cutting its negative values
    // off would bias the sum, so they are kept as long as most of the other part remains.
    mmd.standard_error = Some((linear + degenerate).max(0.25 * degenerate).sqrt());
    Ok(mmd)
}

/// Both statistics from the off-diagonal sums of the two samples and the sum over all cross pairs.
fn combine(x: &Points, y: &Points, kernel: Kernel, xx: f64, yy: f64, xy: f64) -> Mmd2 {
    let (n, m) = (x.len() as f64, y.len() as f64);
    let cross = 2.0 * xy / (n * m);
    Mmd2 {
        biased: (xx + diagonal(kernel, x)) / (n * n) + (yy + diagonal(kernel, y)) / (m * m) - cross,
        unbiased: xx / (n * (n - 1.0)) + yy / (m * (m - 1.0)) - cross,
        standard_error: None,
    }
}

/// Sample variance, divided by n - 1.
pub(super) fn variance(values: &[f64]) -> f64 {
    let mean = sum(values) / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    squares / (values.len() as f64 - 1.0)
}
