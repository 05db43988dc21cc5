//! Maximum mean discrepancy: V-statistic, U-statistic and the standard error of the latter.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::function::Kernel;
use crate::error::Result;
use crate::input::check_pair;

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
    let (x, y) = (Sample::new(x), Sample::new(y));
    let upper = |s: &Sample| 2.0 * s.row_sums(kernel, |i| s.rows_after(i)).iter().sum::<f64>();
    let cross: f64 = x.row_sums(kernel, |_| y.all()).iter().sum();
    Ok(combine(&x, &y, kernel, upper(&x), upper(&y), cross))
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
    let (x, y) = (Sample::new(x), Sample::new(y));
    let (n, m) = (x.len() as f64, y.len() as f64);
    let means = |rows: Vec<f64>, count: f64| rows.iter().map(|sum| sum / count).collect::<Vec<_>>();
    let own = |s: &Sample| {
        let others = |i: usize| s.rows_before(i).chain(s.rows_after(i));
        means(s.row_sums(kernel, others), s.len() as f64 - 1.0)
    };
    let (xx, yy) = (own(&x), own(&y));
    let xy = means(x.row_sums(kernel, |_| y.all()), m);
    let yx = means(y.row_sums(kernel, |_| x.all()), n);
    let sums = (xx.iter().sum::<f64>() * (n - 1.0), yy.iter().sum::<f64>() * (m - 1.0));
    let mut mmd = combine(&x, &y, kernel, sums.0, sums.1, xy.iter().sum::<f64>() * m);

    // Variances of the doubly centred kernels, the second-order terms.
    let second_xx = x.centred_square(&x, kernel, &xx, &xx, true);
    let second_yy = y.centred_square(&y, kernel, &yy, &yy, true);
    let second_xy = x.centred_square(&y, kernel, &xy, &yx, false);
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

/// Energy distance, squared form, between two samples.
///
/// $$\mathcal{E} = 2\,\mathbb{E}\lVert X - Y \rVert - \mathbb{E}\lVert X - X' \rVert -
/// \mathbb{E}\lVert Y - Y' \rVert$$
///
/// `biased` is the V-statistic, `unbiased` the U-statistic.
///
/// # Errors
/// As [`mmd2`].
///
/// # Reference
/// G. J. Szekely and M. L. Rizzo, *Energy statistics*, J. Stat. Planning and Inference 143, 2013.
///
/// ```
/// use ndarray::array;
/// let (x, y) = (array![[0.0], [0.0]], array![[3.0], [3.0]]);
/// assert_eq!(metrics::energy_distance(x.view(), y.view())?.biased, 6.0);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn energy_distance(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<Mmd2> {
    mmd2(x, y, Kernel::Distance)
}

/// Both statistics from the off-diagonal sums of the two samples and the sum over all cross pairs.
fn combine(x: &Sample, y: &Sample, kernel: Kernel, xx: f64, yy: f64, xy: f64) -> Mmd2 {
    let (n, m) = (x.len() as f64, y.len() as f64);
    let cross = 2.0 * xy / (n * m);
    Mmd2 {
        biased: (xx + x.diagonal(kernel)) / (n * n) + (yy + y.diagonal(kernel)) / (m * m) - cross,
        unbiased: xx / (n * (n - 1.0)) + yy / (m * (m - 1.0)) - cross,
        standard_error: None,
    }
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    squares / (values.len() as f64 - 1.0)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A sample as contiguous rows.
struct Sample {
    dim: usize,
    values: Vec<f64>,
}

impl Sample {
    fn new(view: ArrayView2<f64>) -> Self {
        Self { dim: view.ncols(), values: view.iter().copied().collect() }
    }

    fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }

    fn all(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.dim)
    }

    fn rows_before(&self, i: usize) -> std::slice::ChunksExact<'_, f64> {
        self.values[..i * self.dim].chunks_exact(self.dim)
    }

    fn rows_after(&self, i: usize) -> std::slice::ChunksExact<'_, f64> {
        self.values[(i + 1) * self.dim..].chunks_exact(self.dim)
    }

    /// For each row i the sum of the kernel against the rows `partners(i)`.
    fn row_sums<'a, I>(&self, kernel: Kernel, partners: impl Fn(usize) -> I + Sync) -> Vec<f64>
    where
        I: Iterator<Item = &'a [f64]>,
    {
        let sum = |i: usize| partners(i).map(|other| kernel.at(self.row(i), other)).sum();
        (0..self.len()).into_par_iter().map(sum).collect()
    }

    /// Sum of k(x, x).
    fn diagonal(&self, kernel: Kernel) -> f64 {
        self.all().map(|row| kernel.at(row, row)).sum()
    }

    /// Mean square of the kernel after taking row and column means off it.
    fn centred_square(
        &self,
        other: &Self,
        kernel: Kernel,
        row_means: &[f64],
        column_means: &[f64],
        skip_diagonal: bool,
    ) -> f64 {
        let centre = mean(row_means);
        let row = |i: usize| -> f64 {
            let squares = other.all().zip(column_means).enumerate().map(|(j, (y, column))| {
                if skip_diagonal && i == j {
                    return 0.0;
                }
                let value = kernel.at(self.row(i), y) - row_means[i] - column + centre;
                value * value
            });
            squares.sum()
        };
        let sums: Vec<f64> = (0..self.len()).into_par_iter().map(row).collect();
        let pairs = self.len() * (other.len() - usize::from(skip_diagonal));
        sums.iter().sum::<f64>() / pairs as f64
    }
}
