//! The median heuristic.

use ndarray::{ArrayView2, Axis, concatenate};

use crate::error::{Error, Result};
use crate::input::check_pair;
use crate::pairwise::Points;
use crate::scale::{WIDE, finite, framed};

/// Points the median heuristic looks at: half a million distances.
const MEDIAN_POINTS: usize = 1000;

/// Where a bandwidth that follows from the samples comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BandwidthSource {
    /// The median distance between points of the pooled sample.
    Median,
    /// The median of the distances above zero: more than half of the pairs coincide.
    MedianOfPositive,
    /// One: all points coincide.
    One,
}

impl BandwidthSource {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Median => "the median distance",
            Self::MedianOfPositive => "the median of the distances above zero",
            Self::One => "none above zero: all points coincide",
        }
    }
}

/// The median distance between points of the pooled sample, and what it was taken from: it is positive.
pub(crate) fn median_distance(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
) -> Result<(f64, BandwidthSource)> {
    check_pair(x, y, 1)?;
    let total = x.nrows() + y.nrows();
    let kept = total.min(MEDIAN_POINTS);
    let rows: Vec<usize> = (0..kept).map(|k| k * total / kept).collect();
    let in_x: Vec<usize> = rows.iter().copied().filter(|&row| row < x.nrows()).collect();
    let in_y: Vec<usize> = rows[in_x.len()..].iter().map(|row| row - x.nrows()).collect();
    let pair = framed(x, y, WIDE);
    let parts = [pair.x.select(Axis(0), &in_x), pair.y.select(Axis(0), &in_y)];
    let Ok(pool) = concatenate(Axis(0), &[parts[0].view(), parts[1].view()]) else {
        return Err(Error::DimensionMismatch { left: x.ncols(), right: y.ncols() });
    };
    let pool = Points::new(pool.view());
    let mut squares = vec![0.0; kept * (kept - 1) / 2];
    let mut rest = squares.as_mut_slice();
    for i in 1..kept {
        let (row, after) = rest.split_at_mut(i);
        pool.squared_distances(pool.row(i), 0, row);
        rest = after;
    }
    for of in [BandwidthSource::Median, BandwidthSource::MedianOfPositive] {
        let middle = squares.len() / 2;
        if squares.is_empty() {
            break;
        }
        let square = *squares.select_nth_unstable_by(middle, f64::total_cmp).1;
        if square > 0.0 {
            let width = pair.unit.back(square.sqrt(), 1.0);
            return Ok((finite("median distance", width)?, of));
        }
        squares.retain(|square| *square > 0.0);
    }
    Ok((1.0, BandwidthSource::One))
}
