//! What doubles can say: of a dual value, and of lengths.
//!
//! Lengths whose squares a double cannot hold: a power of two brings them to about one and changes no
//! digit, and an answer that lies outside the range is an error.

use crate::error::{Error, Result};

/// Coordinates beyond this are refused: differences of two of them would not be numbers.
const LARGEST: f64 = 1e300;

/// Refuses coordinates that are finite but too large.
pub(crate) fn check_coordinates<'a>(coordinates: impl Iterator<Item = &'a f64>) -> Result<()> {
    let largest = coordinates.fold(0.0, |most: f64, value| most.max(value.abs()));
    if largest > LARGEST {
        let (name, expected) = ("largest coordinate", "at most 1e300 in absolute value");
        return Err(Error::InvalidParameter { name, expected, value: largest });
    }
    Ok(())
}

/// The power of two that brings a length to about one.
pub(crate) fn to_one(length: f64) -> f64 {
    // Beyond that the power itself, or its inverse, would not be a normal number.
    let bounded = length.clamp(1.0 / LARGEST, LARGEST);
    if length > 0.0 { 2.0_f64.powi(-(bounded.log2().floor() as i32)) } else { 1.0 }
}

/// What the dual value may differ from the cost of the plan by, of that cost.
const PROOF: f64 = 1e-10;
/// Rounding of a potential, of its size: of the cost it comes from, of itself, of the sum.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

/// Whether a dual value of potentials of this mean size proves the cost of a plan to be the least, with all
/// that rounding may have done to it.
pub(crate) fn proves(dual: f64, sizes: f64, primal: f64) -> bool {
    let gap = (primal - dual).abs();
    let free = primal == 0.0 && dual == 0.0;
    free || (primal > 0.0 && gap + ROUNDING * sizes <= PROOF * primal)
}

/// Refuses a positive cost that is no normal number, and potentials of which one is no number.
pub(crate) fn check_range<'a>(
    positive: bool,
    primal: f64,
    mut potentials: impl Iterator<Item = &'a f64>,
    extent: f64,
) -> Result<()> {
    let lost = positive && primal < f64::MIN_POSITIVE;
    if lost || !primal.is_finite() || potentials.any(|value| !value.is_finite()) {
        return Err(Error::InvalidParameter {
            name: "extent of the points",
            expected: "such that no cost (a squared distance for W2) is too small or too large for \
                       a double",
            value: extent,
        });
    }
    Ok(())
}
