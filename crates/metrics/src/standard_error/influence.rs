//! Standard errors from influence functions.
//!
//! To first order a statistic is a mean of some function over each of its samples: over the dual
//! potentials for optimal transport, over derivatives by the shares of cells for histograms. The
//! sides are independent, so their variances add.

use ndarray::{ArrayView1, ArrayView2};

use crate::histogram::Histogram2d;
use crate::scale::Unit;

/// Standard error of a sum of two means over independent draws, each with weights of its own, from the
/// function values of the draws: the root of the sum of `sum w_i^2 (u_i - mean)^2 / (1 - sum w_i^2)` with
/// weights that sum to one, which for equal ones is the unbiased variance over n. Rows without weight do
/// not count. NaN for a single draw.
pub(crate) fn standard_error(sides: [(ArrayView1<f64>, Option<ArrayView1<f64>>); 2]) -> f64 {
    // A value without weight may be infinite.
    let counts = |weights: Option<ArrayView1<f64>>, i: usize| weights.is_none_or(|w| w[i] > 0.0);
    let present = sides.iter().flat_map(|&(values, weights)| {
        values
            .into_iter()
            .enumerate()
            .filter(move |(i, _)| counts(weights, *i))
            .map(|(_, value)| *value)
    });
    let unit = Unit::of_largest(present);
    let variance = |(values, weights): (ArrayView1<f64>, Option<ArrayView1<f64>>)| {
        let n = values.len();
        let total = weights.map_or(n as f64, |w| w.sum());
        let weight = |i: usize| weights.map_or(1.0, |w| w[i]) / total;
        let present = |i: &usize| counts(weights, *i);
        let value = |i: usize| unit.measure(values[i]);
        let mean: f64 = (0..n).filter(present).map(|i| weight(i) * value(i)).sum();
        let squares: f64 = (0..n)
            .filter(present)
            .map(|i| {
                let deviation = weight(i) * (value(i) - mean);
                deviation * deviation
            })
            .sum();
        let concentration: f64 = (0..n).map(|i| weight(i) * weight(i)).sum();
        squares / (1.0 - concentration)
    };
    let [first, second] = sides.map(variance);
    unit.back((first + second).sqrt(), 1.0)
}

/// The same over the samples of two histograms, given the function value of each cell; `None` when nobody
/// said how many samples there were. Cells without mass do not count.
pub(crate) fn standard_error_over_cells(
    sides: [(&Histogram2d, ArrayView2<f64>); 2],
) -> Option<f64> {
    let unit = Unit::of_largest(sides.iter().flat_map(|(_, values)| values.into_iter().copied()));
    let variance = |(histogram, values): (&Histogram2d, ArrayView2<f64>)| {
        let n = histogram.n_kept()? as f64;
        let cells = || {
            let both = histogram.weights().into_iter().zip(values);
            both.filter(|(share, _)| **share > 0.0)
                .map(|(share, value)| (*share, unit.measure(*value)))
        };
        let mean: f64 = cells().map(|(share, value)| share * value).sum();
        let squares = cells().map(|(share, value)| share * (value - mean) * (value - mean));
        Some(squares.sum::<f64>() / (n - 1.0))
    };
    let [first, second] = sides.map(variance);
    Some(unit.back((first? + second?).sqrt(), 1.0))
}
