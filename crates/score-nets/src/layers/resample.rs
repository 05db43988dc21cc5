//! Halving and doubling of images.

use crate::{
    Error, Jet, Result,
    ops::{self, Fir},
};

/// A change of an image's size by 2 through a separable filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Resample {
    taps: Vec<f64>,
    up: usize,
    down: usize,
    pad: (usize, usize),
}

impl Resample {
    /// Every pixel becomes a square of four.
    pub fn nearest() -> Self {
        Self { taps: vec![1.0, 1.0], up: 2, down: 1, pad: (1, 0) }
    }

    /// Every square of four pixels becomes its mean.
    pub fn mean() -> Self {
        Self { taps: vec![0.5, 0.5], up: 1, down: 2, pad: (0, 0) }
    }

    /// Zeros between the pixels, then the filter of these taps, with gain 2 an axis; zeros outside.
    ///
    /// # Errors
    /// [`Error::Setting`] for taps that have no sum to divide by.
    pub fn up(taps: &[f64]) -> Result<Self> {
        let p = taps.len().saturating_sub(2);
        Ok(Self { taps: normalised(taps, 2.0)?, up: 2, down: 1, pad: (p.div_ceil(2) + 1, p / 2) })
    }

    /// The filter of these taps, then every other pixel; zeros outside.
    ///
    /// # Errors
    /// As [`Resample::up`].
    pub fn down(taps: &[f64]) -> Result<Self> {
        let p = taps.len().saturating_sub(2);
        Ok(Self { taps: normalised(taps, 1.0)?, up: 1, down: 2, pad: (p.div_ceil(2), p / 2) })
    }

    /// The filter alone, with `before` and `after` zeros on each axis.
    ///
    /// # Errors
    /// As [`Resample::up`].
    pub(crate) fn smooth(taps: &[f64], before: usize, after: usize) -> Result<Self> {
        Ok(Self { taps: normalised(taps, 1.0)?, up: 1, down: 1, pad: (before, after) })
    }

    /// Whether a constant image stays constant up to its border.
    pub(crate) fn keeps_constants(&self) -> bool {
        self.taps.len() == 2 && self.up * self.down == 2
    }

    /// Of images `[B, H, W, C]`.
    ///
    /// # Errors
    /// Whatever the filter fails with.
    pub fn forward(&self, x: &Jet) -> Result<Jet> {
        let Self { taps, up, down, pad } = self;
        let fir = Fir { taps, up: *up, down: *down, pad: *pad };
        x.map(|t| ops::fir(&t.contiguous()?, &fir))
    }
}

/// Taps whose sum is `gain`.
fn normalised(taps: &[f64], gain: f64) -> Result<Vec<f64>> {
    let sum: f64 = taps.iter().sum();
    if taps.len() < 2 || !(sum.is_finite() && sum != 0.0) {
        let reason = "must be at least two taps with a sum other than zero";
        return Err(Error::setting("resampling filter", format!("{taps:?}"), reason));
    }
    Ok(taps.iter().map(|t| gain * t / sum).collect())
}
