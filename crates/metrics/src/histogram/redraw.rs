//! Histograms of samples drawn again from a histogram.

use super::binning::{Histogram2d, HistogramBuilder};
use crate::error::{Error, Result};

impl Histogram2d {
    /// The histogram of the samples that `visit` hands out, as numbers below [`Histogram2d::n_seen`]:
    /// samples are numbered cell by cell, those outside the grid last.
    pub(crate) fn redrawn(&self, visit: impl FnOnce(&mut dyn FnMut(usize))) -> Result<Self> {
        let n_seen = self.n_seen();
        let Some(n_kept) = self.n_kept() else {
            return Err(Error::InvalidParameter {
                name: "samples of a histogram to draw from",
                expected: "known",
                value: 0.0,
            });
        };
        let ends = self.ends(n_kept);
        let cell_of = Finder::new(&ends, n_seen as usize);
        let mut counts = vec![0; ends.len() + 1];
        visit(&mut |sample| counts[cell_of.cell(sample)] += 1);
        let n_seen = counts.iter().sum();
        let outside = counts.pop().unwrap_or(0);
        let mut builder = HistogramBuilder::new(self.half_width(), self.weights().nrows())?;
        builder.counts.iter_mut().zip(counts).for_each(|(to, count)| *to = count);
        (builder.n_seen, builder.n_kept) = (n_seen, n_seen - outside);
        builder.finish()
    }

    /// For each cell the number of samples up to its end. Sums of shares are rounded, so that every
    /// sample is in a cell also where the shares are no whole numbers of samples.
    fn ends(&self, n_kept: u64) -> Vec<usize> {
        let shares: Vec<f64> = self.weights().iter().copied().collect();
        let mut below = 0.0;
        let end = |share: &f64| {
            below += share;
            ((below * n_kept as f64).round() as usize).min(n_kept as usize)
        };
        let mut ends: Vec<usize> = shares.iter().map(end).collect();
        // The shares add up to one but for rounding.
        if let Some(last) = shares.iter().rposition(|share| *share > 0.0) {
            ends[last..].fill(n_kept as usize);
        }
        ends
    }
}

/// Finds the cell of a sample: a table of starting points, then a few steps.
struct Finder<'a> {
    ends: &'a [usize],
    start: Vec<u32>,
    stride: usize,
}

impl<'a> Finder<'a> {
    fn new(ends: &'a [usize], samples: usize) -> Self {
        let stride = samples.div_ceil(ends.len()).max(1);
        let mut cell = 0;
        let start = (0..samples.div_ceil(stride))
            .map(|k| {
                while cell < ends.len() && ends[cell] <= k * stride {
                    cell += 1;
                }
                cell as u32
            })
            .collect();
        Self { ends, start, stride }
    }

    /// The first cell that ends beyond the sample; one past the last for a sample outside.
    fn cell(&self, sample: usize) -> usize {
        let mut cell = self.start[sample / self.stride] as usize;
        while cell < self.ends.len() && self.ends[cell] <= sample {
            cell += 1;
        }
        cell
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn every_sample_once_is_the_histogram_itself() {
        let mut builder = HistogramBuilder::new(1.0, 3).unwrap();
        let samples = array![[0.9, -0.2], [0.1, 0.1], [0.0, 7.0], [0.4, 0.4], [-1.0, -1.0]];
        builder.add(samples.view()).unwrap();
        let histogram = builder.finish().unwrap();
        let again = histogram.redrawn(|take| (0..5).for_each(take)).unwrap();
        assert_eq!(again, histogram);
        // The last sample is the one outside; the first lies in the first cell.
        let some = histogram.redrawn(|take| [4, 0, 0].into_iter().for_each(take)).unwrap();
        assert_eq!((some.n_seen(), some.n_kept()), (3, Some(2)));
        assert_eq!(some.weights()[[0, 0]], 1.0);
    }

    #[test]
    fn shares_that_are_no_counts_are_rounded_and_lose_nobody() {
        let weights = array![[0.1, 0.25], [0.6499999, 1e-7]];
        let histogram = Histogram2d::from_weights(1.0, weights).unwrap().with_samples(7).unwrap();
        let again = histogram.redrawn(|take| (0..7).for_each(take)).unwrap();
        assert_eq!(again.weights(), (array![[1.0, 1.0], [5.0, 0.0]] / 7.0).view());
        let unknown = Histogram2d::from_weights(1.0, array![[1.0, 1.0], [0.0, 2.0]]).unwrap();
        assert!(unknown.redrawn(|take| take(0)).is_err());
    }
}
