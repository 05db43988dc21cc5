//! Maximum mean discrepancy: V-statistic, U-statistic and the standard error of the latter.

use ndarray::ArrayView2;

use super::function::Kernel;
use super::posed::Posed;
use super::sums::{centred_square, diagonal, own_row_sums, own_sum, row_sums};
use crate::copies::same_draws;
use crate::error::Result;
use crate::input::check_pair;
use crate::pairwise::{Points, sum};
use crate::scale::finite;

/// Squared maximum mean discrepancy, estimated in two ways.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Mmd2 {
    /// V-statistic, all pairs: never negative, biased upward by O(1/n).
    pub biased: f64,
    /// U-statistic, pairs of different draws only: unbiased, may be negative. A row that both samples
    /// hold, where neither repeats a row, is one draw that was handed in twice: of identical samples
    /// it is zero.
    pub unbiased: f64,
    /// The root of `biased`, also where that is below the range of a double.
    root: f64,
    /// Standard error of `unbiased`; only [`mmd2_with_error`] fills it.
    pub standard_error: Option<f64>,
}

impl Mmd2 {
    /// The root of the V-statistic, which is a distance: the square-root form of the energy distance
    /// as much as the MMD itself.
    #[must_use]
    pub fn distance(&self) -> f64 {
        self.root
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
/// is not positive, a result that no double holds.
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
    let draws = same_draws(x, y);
    let posed = Posed::new(kernel, x, y);
    let cross = sum(&row_sums(&posed, &posed.x, &posed.y));
    let own = [own_sum(&posed, &posed.x), own_sum(&posed, &posed.y)];
    combine(&posed, own, cross, &draws).checked()
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
    let draws = same_draws(x, y);
    let mut back = vec![None; y.nrows()];
    draws.iter().enumerate().for_each(|(i, j)| j.iter().for_each(|&j| back[j] = Some(i)));
    let posed = Posed::new(kernel, x, y);
    let (x, y) = (&posed.x, &posed.y);
    let (n, m) = (x.len() as f64, y.len() as f64);
    let means = |rows: Vec<f64>, count: f64| rows.iter().map(|sum| sum / count).collect::<Vec<_>>();
    let own = |s: &Points| means(own_row_sums(&posed, s), s.len() as f64 - 1.0);
    let (xx, yy) = (own(x), own(y));
    let mut xy = means(row_sums(&posed, x, y), m);
    let mut yx = means(row_sums(&posed, y, x), n);
    let sums = [sum(&xx) * (n - 1.0), sum(&yy) * (m - 1.0)];
    let mut mmd = combine(&posed, sums, sum(&xy) * m, &draws);
    // What a draw has with itself says nothing of pairs.
    let without = |means: &mut [f64], of: &Points, same: &[Option<usize>], count: f64| {
        for (i, mean) in means.iter_mut().enumerate().filter(|(i, _)| same[*i].is_some()) {
            *mean = (*mean * count - posed.at(of.row(i), of.row(i))) / (count - 1.0);
        }
    };
    without(&mut xy, x, &draws, m);
    without(&mut yx, y, &back, n);

    // Variances of the doubly centred kernels, the second-order terms.
    let second_xx = centred_square(&posed, (x, &xx), (x, &xx), Some);
    let second_yy = centred_square(&posed, (y, &yy), (y, &yy), Some);
    let second_xy = centred_square(&posed, (x, &xy), (y, &yx), |i| draws[i]);
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
    let error = (linear + degenerate).max(0.25 * degenerate).sqrt();
    mmd.standard_error = Some(posed.back(error));
    mmd.checked()
}

impl Mmd2 {
    fn checked(self) -> Result<Self> {
        finite("squared MMD", self.biased)?;
        finite("unbiased squared MMD", self.unbiased)?;
        self.standard_error
            .map(|error| finite("standard error of the squared MMD", error))
            .transpose()?;
        Ok(self)
    }
}

/// Both statistics from the off-diagonal sums of the two samples and the sum over all cross pairs, some
/// of which are the same draw on both sides.
fn combine(posed: &Posed, [xx, yy]: [f64; 2], xy: f64, draws: &[Option<usize>]) -> Mmd2 {
    let (x, y) = (&posed.x, &posed.y);
    let (n, m) = (x.len() as f64, y.len() as f64);
    let cross = 2.0 * xy / (n * m);
    let biased = (xx + diagonal(posed, x)) / (n * n) + (yy + diagonal(posed, y)) / (m * m) - cross;
    let same = || (0..x.len()).filter(|&i| draws[i].is_some());
    let own: f64 = same().map(|i| posed.at(x.row(i), x.row(i))).sum();
    let between = 2.0 * (xy - own) / (n * m - same().count() as f64);
    // A squared length, which rounding alone takes below zero.
    let square = if biased < 0.0 { 0.0 } else { biased };
    let biased = posed.back(square);
    Mmd2 {
        biased,
        root: if biased.is_normal() { biased.sqrt() } else { posed.back_root(square.sqrt()) },
        unbiased: posed.back(xx / (n * (n - 1.0)) + yy / (m * (m - 1.0)) - between),
        standard_error: None,
    }
}

/// Sample variance, divided by n - 1.
fn variance(values: &[f64]) -> f64 {
    let mean = sum(values) / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    squares / (values.len() as f64 - 1.0)
}
