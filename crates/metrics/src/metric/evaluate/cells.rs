//! Histograms cell by cell.

use crate::error::Result;
use crate::histogram::Histogram2d;
use crate::metric::{Measured, Options};
use crate::uncertainty::cells_error;

pub(in crate::metric) fn total_variation(
    x: &Histogram2d,
    y: &Histogram2d,
    options: &Options,
) -> Result<Measured> {
    let value = x.total_variation(y)?;
    if !options.errors {
        return Ok(Measured::new(value));
    }
    // Its derivative in a cell is half the sign of the difference.
    let slope = |a: f64, b: f64| 0.5 * if a == b { 0.0 } else { (a - b).signum() };
    Ok(Measured::new(value).error(cells_error(x, y, slope, |a, b| -slope(a, b))))
}
