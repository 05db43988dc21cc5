//! Distances to a known law, with the floor that no sampler gets below.

use anyhow::Result;
use metrics::{Histogram2d, HistogramBuilder};
use ndarray::{Array2, ArrayView2, s};
use serde::{Deserialize, Serialize};

/// Where and how finely samples are counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Window {
    /// Half the width of the square window.
    pub(crate) half_width: f64,
    /// Nodes along each axis.
    pub(crate) nodes: usize,
}

impl Window {
    /// Checks the values.
    pub(crate) fn check(&self) -> Result<()> {
        anyhow::ensure!(
            self.half_width.is_finite() && self.half_width > 0.0,
            "window.half-width = {}: must be finite and positive",
            self.half_width
        );
        anyhow::ensure!(self.nodes >= 2, "window.nodes = {}: must be at least 2", self.nodes);
        Ok(())
    }
}

/// A distance, and what it was measured on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Distance {
    /// Squared W2 on the nodes; nothing where the sampler left the window or the numbers.
    pub(crate) w2: Option<f64>,
    /// Share of the sample outside the window.
    pub(crate) outside: f64,
}

/// A sample of the truth, and the distance of other samples of it.
pub(crate) struct Yardstick {
    window: Window,
    truth: Histogram2d,
    /// Mean squared W2 of samples of the truth, as large as a sampler's.
    pub(crate) floor: f64,
}

/// The largest share outside the window with which a distance still means something.
const LARGEST_OUTSIDE: f64 = 0.05;

impl Yardstick {
    /// From one sample of the truth: `repeats` pieces of `n` rows give the floor, all rows after
    /// them are what samplers are measured against.
    ///
    /// # Errors
    /// When the sample is too small or leaves the window.
    pub(crate) fn new(
        window: Window,
        truth: &Array2<f64>,
        n: usize,
        repeats: usize,
    ) -> Result<Self> {
        let reserved = n * repeats;
        anyhow::ensure!(
            truth.nrows() > reserved,
            "a sample of the truth of more than {reserved} rows is needed"
        );
        let held = histogram(window, truth.slice(s![reserved.., ..]))?;
        let mut sum = 0.0;
        for k in 0..repeats {
            let piece = histogram(window, truth.slice(s![k * n..(k + 1) * n, ..]))?;
            sum += piece.w2(&held)?.squared;
        }
        Ok(Self { window, truth: held, floor: sum / repeats.max(1) as f64 })
    }

    /// The distance of a sample to the truth.
    ///
    /// # Errors
    /// Whatever the metric fails with.
    pub(crate) fn distance(&self, x: &Array2<f64>) -> Result<Distance> {
        self.between(x, &self.truth)
    }

    fn between(&self, x: &Array2<f64>, other: &Histogram2d) -> Result<Distance> {
        if x.iter().any(|v| !v.is_finite()) {
            return Ok(Distance { w2: None, outside: 1.0 });
        }
        let mut builder = HistogramBuilder::new(self.window.half_width, self.window.nodes)?;
        builder.add(x.view())?;
        let outside = 1.0 - builder.n_kept() as f64 / builder.n_seen().max(1) as f64;
        if outside > LARGEST_OUTSIDE {
            return Ok(Distance { w2: None, outside });
        }
        Ok(Distance { w2: Some(builder.finish()?.w2(other)?.squared), outside })
    }
}

/// Squared W2 between two samples on the nodes of a window.
///
/// # Errors
/// As [`Yardstick::distance`].
pub(crate) fn apart(window: Window, x: ArrayView2<'_, f64>, y: ArrayView2<'_, f64>) -> Result<f64> {
    Ok(histogram(window, x)?.w2(&histogram(window, y)?)?.squared)
}

fn histogram(window: Window, x: ArrayView2<'_, f64>) -> Result<Histogram2d> {
    let mut builder = HistogramBuilder::new(window.half_width, window.nodes)?;
    builder.add(x)?;
    Ok(builder.finish()?)
}
