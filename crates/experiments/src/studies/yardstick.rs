//! Distances to a known law, with the floor that no sampler gets below.

use anyhow::{Context as _, Result};
use metrics::{Histogram2d, HistogramBuilder};
use ndarray::{Array2, ArrayView2, s};
use serde::{Deserialize, Serialize};

use crate::checks;

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
        checks::within("window.half-width", self.half_width, 1e-6..=1e6)?;
        checks::at_least("window.nodes", self.nodes, 2)?;
        // Histograms, and the transport between two of them on several threads.
        let nodes = ("window.nodes", self.nodes);
        checks::memory(&[nodes, nodes], 1000)?;
        Ok(())
    }
}

/// A distance, and what it was measured on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Distance {
    /// Squared W2 on the nodes; nothing where the sampler left the window or the numbers.
    #[serde(with = "crate::number")]
    pub(crate) w2: Option<f64>,
    /// Share of the sample outside the window.
    #[serde(with = "crate::number")]
    pub(crate) outside: f64,
}

/// A sample of the truth, and the distance of other samples of it.
pub(crate) struct Yardstick {
    window: Window,
    /// Nothing where the truth itself is not in the window: then no distance to it is measured.
    truth: Option<Histogram2d>,
    /// Mean squared W2 of samples of the truth, as large as a sampler's.
    pub(crate) floor: Option<f64>,
}

/// How many rows a sampler has, the truth, and in how many pieces of the former its floor is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) n: usize,
    pub(crate) truth: usize,
    pub(crate) floors: usize,
}

impl Sizes {
    /// Checks that the truth has rows left beside `more` pieces and those of the floor; keys have a
    /// prefix, empty or as in `noise.`.
    pub(crate) fn check(&self, prefix: &str, more: usize) -> Result<()> {
        let key = |name: &str| format!("{prefix}{name}");
        let (n, floors, truth) = (key("n"), key("floors"), key("truth"));
        checks::at_least(&n, self.n, 2)?;
        checks::at_least(&floors, self.floors, 1)?;
        checks::memory(&[(&truth, self.truth)], 64)?;
        let pieces = self.floors.saturating_add(more);
        let needed = checks::memory(&[(&n, self.n), (&floors, pieces)], 48)?;
        anyhow::ensure!(self.truth > needed, "{truth} = {}: must be above {needed}", self.truth);
        Ok(())
    }
}

/// The largest share outside the window with which a distance still means something.
const LARGEST_OUTSIDE: f64 = 0.05;

impl Yardstick {
    /// From one sample of the truth: `repeats` pieces of `n` rows give the floor, all rows after
    /// them are what samplers are measured against.
    ///
    /// # Errors
    /// When the sample is too small.
    pub(crate) fn new(
        window: Window,
        truth: &Array2<f64>,
        n: usize,
        repeats: usize,
    ) -> Result<Self> {
        let reserved = n.checked_mul(repeats).filter(|r| *r < truth.nrows());
        let reserved = reserved.context("a larger sample of the truth is needed")?;
        let held = counted(window, truth.slice(s![reserved.., ..]))?.0;
        let mut sum = Some(0.0);
        for k in 0..repeats {
            let piece = counted(window, truth.slice(s![k * n..(k + 1) * n, ..]))?.0;
            let far = between(piece.as_ref(), held.as_ref())?;
            sum = sum.zip(far).map(|(sum, far)| sum + far);
        }
        Ok(Self { window, truth: held, floor: sum.map(|s| s / repeats.max(1) as f64) })
    }

    /// The distance of a sample to the truth.
    ///
    /// # Errors
    /// Whatever the metric fails with.
    pub(crate) fn distance(&self, x: &Array2<f64>) -> Result<Distance> {
        let (found, outside) = counted(self.window, x.view())?;
        Ok(Distance { w2: between(found.as_ref(), self.truth.as_ref())?, outside })
    }
}

/// Squared W2 between two samples on the nodes of a window; nothing where one of them has left the
/// window or the numbers.
///
/// # Errors
/// As [`Yardstick::distance`].
pub(crate) fn apart(
    window: Window,
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
) -> Result<Option<f64>> {
    between(counted(window, x)?.0.as_ref(), counted(window, y)?.0.as_ref())
}

fn between(x: Option<&Histogram2d>, y: Option<&Histogram2d>) -> Result<Option<f64>> {
    x.zip(y).map(|(x, y)| Ok(x.w2(y)?.squared)).transpose()
}

/// A sample counted, if it is in the window, and its share outside.
fn counted(window: Window, x: ArrayView2<'_, f64>) -> Result<(Option<Histogram2d>, f64)> {
    if x.iter().any(|v| !v.is_finite()) {
        return Ok((None, 1.0));
    }
    let mut builder = HistogramBuilder::new(window.half_width, window.nodes)?;
    builder.add(x)?;
    let outside = 1.0 - builder.n_kept() as f64 / builder.n_seen().max(1) as f64;
    let found = if outside > LARGEST_OUTSIDE { None } else { Some(builder.finish()?) };
    Ok((found, outside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// One of twenty-one rows outside still counts, two do not; a row that is no number is outside.
    #[test]
    fn a_sample_outside_has_no_distance() {
        let window = Window { half_width: 1.0, nodes: 5 };
        let mut x = Array2::<f64>::zeros((21, 2));
        let origin = Array2::<f64>::zeros((21, 2));
        let far = |x: &Array2<f64>| apart(window, x.view(), origin.view()).expect("a distance");
        assert_eq!(far(&x), Some(0.0));
        x.row_mut(0).assign(&array![9.0, 0.0]);
        assert_eq!(far(&x), Some(0.0));
        x.row_mut(1).assign(&array![0.0, -9.0]);
        assert_eq!(far(&x), None);
        assert_eq!(apart(window, origin.view(), x.view()).expect("a distance"), None);
        x.row_mut(1).fill(f64::NAN);
        assert_eq!(far(&x), None);
        // Nor has a truth outside: neither a floor nor a distance to it.
        let away = Array2::from_elem((60, 2), 20.0);
        let yard = Yardstick::new(window, &away, 20, 2).expect("a yardstick");
        assert_eq!((yard.floor, yard.distance(&origin).expect("a distance").w2), (None, None));
        assert!(Yardstick::new(window, &away, 30, 2).is_err());
        assert!(Yardstick::new(window, &away, usize::MAX, 2).is_err());
    }

    #[test]
    fn sizes_are_multiplied_without_wrapping() {
        let sizes = |n, truth, floors| Sizes { n, truth, floors }.check("noise.", 2);
        assert!(sizes(100, 401, 2).is_ok());
        for (n, truth, floors) in
            [(100, 400, 2), (1 << 62, 9, 2), (9, 1 << 62, 2), (9, 99, usize::MAX)]
        {
            let line = sizes(n, truth, floors).expect_err("refused").to_string();
            assert!(line.starts_with("noise.") && line.len() < 120, "{line}");
        }
    }
}
