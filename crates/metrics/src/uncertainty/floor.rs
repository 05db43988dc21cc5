//! The noise floor of a metric, by random halvings of one sample.

use ndarray::aview1;
use rayon::prelude::*;
use sde_core::Key;

use crate::error::{Error, Result};
use crate::input::check_repeats;
use crate::metric::{Metric, Options, Sample};
use crate::scale::{deviation, mean};

/// A metric between disjoint parts of one sample: what it finds where there is nothing to find.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NoiseFloor {
    /// Draws in the two parts: the sample sizes that it is the floor of.
    pub size: [usize; 2],
    /// The metric between the parts, one value a split, in the order of their keys.
    pub values: Vec<f64>,
}

impl NoiseFloor {
    /// The floor of the squared metric, where that is what is quoted.
    #[must_use]
    pub fn squared(self) -> Self {
        Self { values: self.values.iter().map(|v| v * v).collect(), ..self }
    }

    /// Mean over the splits.
    #[must_use]
    pub fn mean(&self) -> f64 {
        mean(aview1(&self.values))
    }

    /// Standard deviation over the splits: how much the metric scatters, at these sizes, where
    /// there is no difference. NaN for a single split.
    #[must_use]
    pub fn standard_deviation(&self) -> f64 {
        deviation(aview1(&self.values))
    }

    /// Share of the splits at which the metric was at least `value`, that value counted among them:
    /// the p-value of a permutation test of `value`, if it was found at these sizes. It is at least
    /// 1 / (splits + 1).
    #[must_use]
    pub fn share_above(&self, value: f64) -> f64 {
        let above = self.values.iter().filter(|v| **v >= value).count();
        (above + 1) as f64 / (self.values.len() + 1) as f64
    }
}

impl Metric {
    /// The metric truth against truth: between the halves of keyed random halvings.
    ///
    /// No value below this says that two laws differ. Floors grow as samples shrink: this one is that
    /// of comparisons of N/2 against N/2 draws, so to judge one of n against n pass 2n.
    ///
    /// What the metric would choose by its samples (a median bandwidth) is chosen on the truth; for the
    /// floor beside a comparison pass the options that [`Metric::settle`] makes of that.
    ///
    /// # Errors
    /// As [`Metric::evaluate`]; fewer than two draws, no halving; a histogram of an unknown number of
    /// samples; a metric of log-densities, which compares nothing.
    ///
    /// ```
    /// use metrics::{Metric, Options, Sample};
    /// use ndarray::Array2;
    /// use sde_core::Key;
    /// let mut truth = Array2::zeros((200, 2));
    /// Key::root(1).fill_normals(0, truth.as_slice_mut().unwrap());
    /// let truth = Sample::cloud(truth);
    /// let floor = Metric::W2.noise_floor(&truth, &Options::default(), Key::root(2), 10)?;
    /// assert_eq!(floor.size, [100, 100]);
    /// assert!(floor.mean() > 5.0 * floor.standard_deviation());
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn noise_floor(
        self,
        truth: &Sample,
        options: &Options,
        key: Key,
        halvings: usize,
    ) -> Result<NoiseFloor> {
        let half = truth.size() / 2;
        let size = [half, truth.size() - half];
        self.floor(truth, size, options, key, ("halvings", halvings))
    }

    /// As [`Metric::noise_floor`], between parts of the sizes `[n, m]` of a comparison.
    ///
    /// Two floors are wanted beside most experiments: that of a sample of n against a truth of m, and
    /// that of two samples, n against n, which is larger. A pool of n + m rows gives the former, of 2 n
    /// the latter; what is left over of a larger pool takes no part in a split. From the pool of the two
    /// samples that are compared themselves, `share_above` is the exact p-value of their difference.
    ///
    /// # Errors
    /// As [`Metric::noise_floor`]; sizes that are zero or more than there is.
    ///
    /// ```
    /// use metrics::{Metric, Options, Sample};
    /// use ndarray::Array2;
    /// use sde_core::Key;
    /// let mut pool = Array2::zeros((300, 2));
    /// Key::root(1).fill_normals(0, pool.as_slice_mut().unwrap());
    /// let (pool, options) = (Sample::cloud(pool), Options::default());
    /// let floor = |size| Metric::W2.noise_floor_of(&pool, size, &options, Key::root(2), 20);
    /// assert!(floor([50, 250])?.mean() < floor([50, 50])?.mean());
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn noise_floor_of(
        self,
        pool: &Sample,
        size: [usize; 2],
        options: &Options,
        key: Key,
        splits: usize,
    ) -> Result<NoiseFloor> {
        self.floor(pool, size, options, key, ("splits", splits))
    }

    fn floor(
        self,
        pool: &Sample,
        size: [usize; 2],
        options: &Options,
        key: Key,
        (word, splits): (&'static str, usize),
    ) -> Result<NoiseFloor> {
        if splits == 0 {
            let expected = ">= 1";
            return Err(Error::InvalidParameter { name: word, expected, value: 0.0 });
        }
        check_repeats(word, splits, pool.size())?;
        if self.info().log_densities.is_some() {
            let (metric, takes) = (self.name(), "no noise floor".to_owned());
            return Err(Error::NotTaken { metric, takes, found: word });
        }
        let options = self.settle(pool, Some(pool), options)?.value_only();
        let once = |index: usize| -> Result<f64> {
            let (x, y) = pool.parts(key.fold(index as u64), size)?;
            Ok(self.evaluate(&x, &y, &options)?.value)
        };
        let values = (0..splits).into_par_iter().map(once).collect::<Result<_>>()?;
        Ok(NoiseFloor { size, values })
    }
}
