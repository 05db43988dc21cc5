//! The MMD on random subsets, as the kernel inception distance is reported.

use ndarray::{ArrayView2, Axis, aview1};
use rayon::prelude::*;
use sde_core::Key;

use super::estimate::mmd2;
use super::function::Kernel;
use crate::error::{Error, Result};
use crate::input::{FIRST, SECOND, check_pair};
use crate::keyed::choose;
use crate::scale::{deviation, mean};

/// Unbiased squared MMD on random subsets.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SubsetMmd2 {
    /// Mean over the subsets.
    pub mean: f64,
    /// Standard deviation over the subsets, the spread that papers quote beside a KID.
    pub standard_deviation: f64,
    /// `standard_deviation` over the root of the number of subsets: how well the mean over all
    /// subsets of these samples is known. Subsets share samples, so other samples scatter more;
    /// [`mmd2_with_error`](crate::mmd2_with_error) says how much.
    pub standard_error: f64,
    /// The value on every subset.
    pub values: Vec<f64>,
}

/// Unbiased squared MMD on `n_subsets` random subsets of `size` rows of both samples.
///
/// Each subset is drawn without replacement, under its own key: subset k is the same whatever the
/// number of subsets.
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`, N, M >= size.
///
/// # Errors
/// As [`mmd2`]; a size below two or above the number of rows, fewer than two subsets.
///
/// # Reference
/// M. Binkowski et al., *Demystifying MMD GANs*, 2018, arXiv:1801.01401, section 4.
///
/// ```
/// use metrics::{Kernel, mmd2_on_subsets};
/// use ndarray::Array2;
/// use sde_core::Key;
/// let x = Array2::from_shape_fn((50, 1), |(i, _)| i as f64);
/// let kernel = Kernel::Rbf { bandwidth: 5.0 };
/// let found = mmd2_on_subsets(x.view(), (&x + 50.0).view(), kernel, 20, 10, Key::root(1))?;
/// assert_eq!(found.values.len(), 10);
/// assert!(found.mean > 3.0 * found.standard_error);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn mmd2_on_subsets(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    kernel: Kernel,
    size: usize,
    n_subsets: usize,
    key: Key,
) -> Result<SubsetMmd2> {
    check_pair(x, y, 1)?;
    kernel.check()?;
    for (name, value) in [("subset-size", size), ("subsets", n_subsets)] {
        if value < 2 {
            return Err(Error::InvalidParameter { name, expected: ">= 2", value: value as f64 });
        }
    }
    for (what, found) in [(FIRST, x.nrows()), (SECOND, y.nrows())] {
        if found < size {
            let (parameter, value) = ("subset-size", size);
            return Err(Error::TooFewRowsFor { parameter, value, what, found, needed: size });
        }
    }
    crate::input::check_repeats("subsets", n_subsets, x.nrows() + y.nrows())?;
    let value = |k: usize| {
        let key = key.fold(k as u64);
        let subset = |cloud: ArrayView2<f64>, side: u64| {
            cloud.select(Axis(0), &choose(key.fold(side), cloud.nrows(), size))
        };
        Ok(mmd2(subset(x, 0).view(), subset(y, 1).view(), kernel)?.unbiased)
    };
    let values = (0..n_subsets).into_par_iter().map(value).collect::<Result<Vec<f64>>>()?;
    let standard_deviation = deviation(aview1(&values));
    Ok(SubsetMmd2 {
        mean: mean(aview1(&values)),
        standard_deviation,
        standard_error: standard_deviation / (n_subsets as f64).sqrt(),
        values,
    })
}

/// Kernel inception distance: [`mmd2_on_subsets`] of the cubic polynomial kernel $(x \cdot y / D +
/// 1)^3$.
///
/// The rows are the features of whatever network the caller has; the usual choice is 100 subsets of
/// 1000.
///
/// # Errors
/// As [`mmd2_on_subsets`].
///
/// # Reference
/// M. Binkowski et al., *Demystifying MMD GANs*, 2018, arXiv:1801.01401, section 4.
///
/// ```
/// use ndarray::Array2;
/// use sde_core::Key;
/// let x = Array2::from_shape_fn((60, 3), |(i, j)| ((i * 7 + j * 5) % 11) as f64 / 11.0);
/// let kid = metrics::kid(x.view(), (&x + 1.0).view(), 30, 20, Key::root(0))?;
/// assert!(kid.mean > 0.0);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn kid(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    size: usize,
    n_subsets: usize,
    key: Key,
) -> Result<SubsetMmd2> {
    mmd2_on_subsets(x, y, Kernel::Cubic, size, n_subsets, key)
}
