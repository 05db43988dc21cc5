//! The noise floor: the value of a metric between two halves of one sample.

use ndarray::{ArrayView2, Axis, s};

use crate::error::Result;
use crate::input::check_rows;

/// Evaluates a metric truth against truth: between two independent halves of one sample.
///
/// No estimate below this value says that two distributions differ. Even rows form one half, odd
/// rows the other, so a drift along the rows falls on both. The halves have N/2 rows each, and
/// floors grow as samples shrink: to judge a comparison of n against n samples, pass 2n.
///
/// This is one halving, for any closure; [`crate::Metric::noise_floor`] has the mean and scatter over
/// many random ones, for every metric of the registry.
///
/// The metric's own result is returned, with whatever error bar it carries ([`crate::Mmd2`] has
/// its standard error).
///
/// # Shapes
/// `truth: [N, D]`, N >= 2; of an odd number of rows the last is left out.
///
/// # Errors
/// Fewer than two rows, values that are not finite, and what the metric returns.
///
/// ```
/// use metrics::{Kernel, mmd2_with_error, noise_floor, w2};
/// use ndarray::Array2;
/// let truth = Array2::from_shape_fn((200, 2), |(i, j)| ((i * 37 + j * 91) % 101) as f64 / 101.0);
/// let floor = noise_floor(truth.view(), |x, y| w2(x, y).map(|transport| transport.primal))?;
/// assert!(floor > 0.0 && floor < 0.1);
/// let kernel = Kernel::Rbf { bandwidth: 0.5 };
/// let floor = noise_floor(truth.view(), |x, y| mmd2_with_error(x, y, kernel))?;
/// assert!(floor.standard_error.is_some());
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn noise_floor<T>(
    truth: ArrayView2<f64>,
    metric: impl FnOnce(ArrayView2<f64>, ArrayView2<f64>) -> Result<T>,
) -> Result<T> {
    check_rows("truth", truth, 2)?;
    let (paired, _) = truth.split_at(Axis(0), truth.nrows() / 2 * 2);
    metric(paired.slice(s![0..;2, ..]), paired.slice(s![1..;2, ..]))
}
