//! A value and how uncertain it is.

use ndarray::aview1;
use statrs::distribution::{ContinuousCDF, StudentsT};

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
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Its standard error, in the units of the value.
    pub standard_error: f64,
}

impl Estimate {
    /// The mean of independent values and the standard error of that mean, which is NaN for a single one.
    ///
    /// ```
    /// let found = metrics::Estimate::of_mean(&[1.0, 2.0, 6.0]);
    /// assert_eq!((found.value, found.standard_error), (3.0, (7.0_f64 / 3.0).sqrt()));
    /// ```
    #[must_use]
    pub fn of_mean(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let (unit, mean, squares) = moments(aview1(values));
        let error = (squares / (n * (n - 1.0))).sqrt();
        Self { value: unit.back(mean, 1.0), standard_error: unit.back(error, 1.0) }
    }

    /// Half the length of the interval around a mean of so many independent normal values that misses the expectation with
    /// probability `level`, by Student's t; NaN for a single one.
    ///
    /// ```
    /// let found = metrics::Estimate { value: 1.0, standard_error: 0.1 };
    /// // The quantile 0.975 of the law with four degrees of freedom is 2.776.
    /// assert!((found.half_width(5, 0.05) - 0.2776).abs() < 1e-4);
    /// assert!(found.half_width(1, 0.05).is_nan());
    /// ```
    #[must_use]
    pub fn half_width(self, values: usize, level: f64) -> f64 {
        let law = StudentsT::new(0.0, 1.0, values.saturating_sub(1) as f64);
        let quantile = law.map_or(f64::NAN, |law| law.inverse_cdf(1.0 - 0.5 * level));
        quantile * self.standard_error
    }

    /// The root of an estimate, with its standard error to first order (delta method): of a mean square
    /// the root mean square.
    ///
    /// ```
    /// let root = metrics::Estimate { value: 4.0, standard_error: 0.2 }.root();
    /// assert_eq!((root.value, root.standard_error), (2.0, 0.05));
    /// ```
    #[must_use]
    pub fn root(self) -> Self {
        let value = self.value.sqrt();
        Self { value, standard_error: self.standard_error / (2.0 * value) }
    }
}
