//! A value and how uncertain it is.

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
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        Self { value: mean, standard_error: (squares / (n * (n - 1.0))).sqrt() }
    }
}
