//! A value and how uncertain it is.

use ndarray::aview1;

use crate::scale::moments;

/// A value with its standard error.
///
/// ```
/// use metrics::{Kernel, mmd2_linear};
/// use ndarray::array;
/// let (x, y) = (array![[0.0], [1.0], [2.0], [3.0]], array![[5.0], [6.0], [7.0], [8.0]]);
/// let found = mmd2_linear(x.view(), y.view(), Kernel::Rbf { bandwidth: 1.0 })?;
/// assert!(found.value > 3.0 * found.standard_error);
/// # Ok::<(), metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error, in the units of the value.
    pub standard_error: f64,
}

impl Estimate {
    /// The mean of independent values and the standard error of that mean; two values at least.
    pub(crate) fn of_mean(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let (unit, mean, squares) = moments(aview1(values));
        let error = (squares / (n * (n - 1.0))).sqrt();
        Self { value: unit.back(mean, 1.0), standard_error: unit.back(error, 1.0) }
    }
}
