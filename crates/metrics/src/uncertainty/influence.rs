//! Standard errors from influence functions.
//!
//! To first order a statistic is a mean of some function over each of its samples: over the dual
//! potentials for optimal transport, over derivatives by the shares of cells for histograms. The
//! sides are independent, so their variances add.

use ndarray::ArrayView1;

use crate::histogram::Histogram2d;

/// Variance of the weighted mean of `values` over independent draws:
/// `sum w_i^2 (u_i - mean)^2 / (1 - sum w_i^2)` with weights that sum to one, which for equal ones
/// is the unbiased variance over n. Rows without weight do not count. NaN for a single draw.
pub(crate) fn variance_of_mean(values: ArrayView1<f64>, weights: Option<ArrayView1<f64>>) -> f64 {
    let n = values.len();
    let total = weights.map_or(n as f64, |w| w.sum());
    let weight = |i: usize| weights.map_or(1.0, |w| w[i]) / total;
    // A value without weight may be infinite.
    let present = |i: &usize| weight(*i) > 0.0;
    let mean: f64 = (0..n).filter(present).map(|i| weight(i) * values[i]).sum();
    let squares: f64 = (0..n)
        .filter(present)
        .map(|i| {
            let deviation = weight(i) * (values[i] - mean);
            deviation * deviation
        })
        .sum();
    let concentration: f64 = (0..n).map(|i| weight(i) * weight(i)).sum();
    squares / (1.0 - concentration)
}

/// Variance of the mean of a function of the cell over the samples of a histogram, given its value in
/// each cell; `None` when nobody said how many samples there are. Cells without mass do not count.
pub(crate) fn variance_over_cells(
    histogram: &Histogram2d,
    values: impl Iterator<Item = f64> + Clone,
) -> Option<f64> {
    let n = histogram.n_kept()? as f64;
    let weights = histogram.weights();
    let cells = || weights.iter().zip(values.clone()).filter(|(share, _)| **share > 0.0);
    let mean: f64 = cells().map(|(share, value)| share * value).sum();
    let variance: f64 = cells().map(|(share, value)| share * (value - mean) * (value - mean)).sum();
    Some(variance / (n - 1.0))
}
