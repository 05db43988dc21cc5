//! Checks of arguments: shapes, finite values, weights, masses.

use ndarray::{ArrayView1, ArrayView2};

use sde_core::counts::{in_memory, in_time};

use crate::error::{Error, Result};

/// Names of the two arguments in messages.
pub(crate) const FIRST: &str = "first cloud";
pub(crate) const SECOND: &str = "second cloud";

/// Relative difference up to which two masses count as equal: what is left of weights that were
/// normalised in single precision.
pub(crate) const MASS_TOLERANCE: f64 = 1e-6;

/// Refuses more values over samples of so many draws than memory and years allow.
pub(crate) fn check_repeats(name: &str, repeats: usize, draws: usize) -> Result<()> {
    in_memory(&[(name, repeats as u64)], 32).map_err(Error::Excess)?;
    in_time(&[(name, repeats as u64), ("draws", draws as u64)]).map_err(Error::Excess)?;
    Ok(())
}

/// A cloud of finite points with at least `needed` rows.
pub(crate) fn check_rows(what: &'static str, cloud: ArrayView2<f64>, needed: usize) -> Result<()> {
    if cloud.nrows() < needed {
        return Err(Error::TooFewRows { what, found: cloud.nrows(), needed });
    }
    if cloud.ncols() == 0 {
        let rows = cloud.nrows();
        return Err(Error::ShapeMismatch { what, expected: vec![rows, 1], found: vec![rows, 0] });
    }
    match cloud.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), &value)) => Err(Error::NonFinite { what, row, column, value }),
        None => Ok(()),
    }
}

/// Two clouds a metric can compare.
pub(crate) fn check_pair(x: ArrayView2<f64>, y: ArrayView2<f64>, needed: usize) -> Result<()> {
    check_rows(FIRST, x, needed)?;
    check_rows(SECOND, y, needed)?;
    if x.ncols() != y.ncols() {
        return Err(Error::DimensionMismatch { left: x.ncols(), right: y.ncols() });
    }
    Ok(())
}

/// Finite weights >= 0 with a positive sum, which is returned.
pub(crate) fn check_weights<'a>(
    what: &'static str,
    weights: impl Iterator<Item = &'a f64> + Clone,
) -> Result<f64> {
    let invalid = |(_, value): &(usize, &f64)| !value.is_finite() || **value < 0.0;
    if let Some((index, &value)) = weights.clone().enumerate().find(invalid) {
        return Err(Error::InvalidWeight { what, index, value });
    }
    let total: f64 = weights.sum();
    if total > 0.0 && total.is_finite() { Ok(total) } else { Err(Error::NoMass { what, total }) }
}

/// Weights of a cloud: one per row, given or uniform, checked; with their total.
pub(crate) fn cloud_weights(
    what: &'static str,
    rows: usize,
    weights: Option<ArrayView1<f64>>,
) -> Result<(Vec<f64>, f64)> {
    let Some(weights) = weights else { return Ok((vec![1.0 / rows as f64; rows], 1.0)) };
    if weights.len() != rows {
        return Err(Error::ShapeMismatch {
            what,
            expected: vec![rows],
            found: vec![weights.len()],
        });
    }
    let total = check_weights(what, weights.iter())?;
    Ok((weights.to_vec(), total))
}

/// Both masses, equal up to rounding.
pub(crate) fn check_balance(left: f64, right: f64) -> Result<()> {
    if (left - right).abs() > MASS_TOLERANCE * left.max(right) {
        return Err(Error::UnequalMass { left, right });
    }
    Ok(())
}
