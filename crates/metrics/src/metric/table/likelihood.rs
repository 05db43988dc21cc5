//! Log-densities of held-out points under a model.

use ndarray::{Array1, ArrayView1};

use crate::error::{Error, Result};
use crate::log_likelihood::log_likelihood;
use crate::metric::{Details, Measured, Options};
use crate::scale::finite;

/// Their mean; of two models at the same points the mean of the differences, whose error is the
/// smaller the more alike the models are.
pub(in crate::metric) fn mean(
    x: ArrayView1<f64>,
    y: Option<ArrayView1<f64>>,
    options: &Options,
) -> Result<Measured> {
    let difference = match y {
        None => x.to_owned(),
        Some(y) if y.len() == x.len() => differences(x, y)?,
        Some(y) => {
            let (expected, found) = (vec![x.len()], vec![y.len()]);
            return Err(Error::ShapeMismatch { what: "second log-densities", expected, found });
        }
    };
    let found = log_likelihood(difference.view(), None, options.dimension)?;
    Ok(Measured::estimate(found.mean, options).with(Details::LogLikelihood(found)))
}

/// The differences; one of finite values that overflows is no infinite density.
fn differences(x: ArrayView1<f64>, y: ArrayView1<f64>) -> Result<Array1<f64>> {
    let difference = |(x, y): (&f64, &f64)| {
        let value = x - y;
        if x.is_finite() && y.is_finite() {
            finite("difference of log-densities", value)
        } else {
            Ok(value)
        }
    };
    x.iter().zip(y).map(difference).collect()
}
