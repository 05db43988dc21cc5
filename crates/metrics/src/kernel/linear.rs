//! Estimates of the MMD whose cost is linear in the number of samples.

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

use super::estimate::mmd2;
use super::function::Kernel;
use super::posed::Posed;
use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::input::{FIRST, SECOND, check_pair};
use crate::scale::finite;

/// Squared maximum mean discrepancy in linear time, unbiased, with its standard error.
///
/// $$\frac1B \sum_{i=1}^B k(x_{2i-1}, x_{2i}) + k(y_{2i-1}, y_{2i}) - k(x_{2i-1}, y_{2i}) - k(x_{2i},
/// y_{2i-1})$$
///
/// Uses each row once: B is half the smaller number of rows. Its noise is far above that of
/// [`mmd2`], but the terms are independent, so the standard error is honest wherever the rows are
/// (shuffle rows that come in an order).
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`, N, M >= 4.
///
/// # Errors
/// Fewer than four rows, different dimensions, values that are not finite, a kernel parameter out of
/// range.
///
/// # Reference
/// A. Gretton et al., *A kernel two-sample test*, JMLR 13, 2012, section 6.
///
/// ```
/// use metrics::{Kernel, mmd2_linear};
/// use ndarray::array;
/// let x = array![[0.0], [0.0], [0.0], [0.0]];
/// let found = mmd2_linear(x.view(), x.view(), Kernel::Distance)?;
/// assert_eq!((found.value, found.standard_error), (0.0, 0.0));
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn mmd2_linear(x: ArrayView2<f64>, y: ArrayView2<f64>, kernel: Kernel) -> Result<Estimate> {
    check_pair(x, y, 4)?;
    kernel.check()?;
    let posed = Posed::new(kernel, x, y);
    let (x, y) = (&posed.x, &posed.y);
    let term = |i: usize| {
        let (x1, x2) = (x.row(2 * i), x.row(2 * i + 1));
        let (y1, y2) = (y.row(2 * i), y.row(2 * i + 1));
        posed.at(x1, x2) + posed.at(y1, y2) - posed.at(x1, y2) - posed.at(x2, y1)
    };
    let pairs = x.len().min(y.len()) / 2;
    let terms: Vec<f64> = (0..pairs).into_par_iter().map(term).collect();
    let Estimate { value, standard_error } = Estimate::of_mean(&terms);
    Ok(Estimate {
        value: finite("squared MMD", posed.back(value))?,
        standard_error: finite("standard error of the squared MMD", posed.back(standard_error))?,
    })
}

/// Squared maximum mean discrepancy averaged over blocks of rows, unbiased, with its standard error.
///
/// The mean of the unbiased [`mmd2`] of consecutive blocks of `size` rows of both samples: between
/// [`mmd2_linear`] and the full statistic in cost and in noise. Blocks are independent, so the
/// standard error is that of a mean. Rows that fill no block are left out.
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`, at least two blocks each.
///
/// # Errors
/// As [`mmd2`]; a size below two, fewer than `2 * size` rows.
///
/// # Reference
/// W. Zaremba, A. Gretton, M. Blaschko, *B-tests: low variance kernel two-sample tests*, 2013,
/// arXiv:1307.1954.
///
/// ```
/// use metrics::{Kernel, mmd2_blocks};
/// use ndarray::Array2;
/// let x = Array2::from_shape_fn((100, 1), |(i, _)| (i * 37 % 100) as f64);
/// let found = mmd2_blocks(x.view(), (&x + 100.0).view(), Kernel::Distance, 10)?;
/// assert!(found.value > 10.0 * found.standard_error);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn mmd2_blocks(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    kernel: Kernel,
    size: usize,
) -> Result<Estimate> {
    check_pair(x, y, 1)?;
    if size < 2 {
        let (name, value) = ("block size", size as f64);
        return Err(Error::InvalidParameter { name, expected: ">= 2", value });
    }
    let needed = size.saturating_mul(2);
    for (what, found) in [(FIRST, x.nrows()), (SECOND, y.nrows())] {
        if found < needed {
            let (parameter, value) = ("block size", size);
            return Err(Error::TooFewRowsFor { parameter, value, what, found, needed });
        }
    }
    let block = |i: usize| {
        let rows = s![i * size..(i + 1) * size, ..];
        Ok(mmd2(x.slice(rows), y.slice(rows), kernel)?.unbiased)
    };
    let blocks = x.nrows().min(y.nrows()) / size;
    let values = (0..blocks).into_par_iter().map(block).collect::<Result<Vec<f64>>>()?;
    Ok(Estimate::of_mean(&values))
}
