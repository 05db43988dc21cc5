//! The noise floor of a metric, by random halvings of one sample.

use ndarray::aview1;
use rayon::prelude::*;
use sde_core::Key;

use crate::error::{Error, Result};
use crate::input::check_repeats;
use crate::metric::{Metric, Options, Sample};
use crate::scale::{deviation, mean};

/// A metric between independent halves of one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseFloor {
    /// Draws in the two halves: the sample sizes that it is the floor of.
    pub size: [usize; 2],
    /// The metric between the halves, one value a halving, in the order of their keys.
    pub values: Vec<f64>,
}

impl NoiseFloor {
    /// Mean over the halvings.
    #[must_use]
    pub fn mean(&self) -> f64 {
        mean(aview1(&self.values))
    }

    /// Standard deviation over the halvings: how much the metric scatters, at these sizes, where
    /// there is no difference. NaN for a single halving.
    #[must_use]
    pub fn standard_deviation(&self) -> f64 {
        deviation(aview1(&self.values))
    }

    /// Share of the halvings at which the metric was at least `value`, that value counted among them:
    /// the p-value of a permutation test of `value`, if it was found at these sizes.
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
        if halvings == 0 {
            let (name, expected) = ("halvings", ">= 1");
            return Err(Error::InvalidParameter { name, expected, value: 0.0 });
        }
        check_repeats("halvings", halvings, truth.size())?;
        if self.info().log_densities.is_some() {
            let (metric, takes) = (self.name(), "no noise floor".to_owned());
            return Err(Error::NotTaken { metric, takes, found: "halvings" });
        }
        let options = self.settle(truth, Some(truth), options)?.value_only();
        let once = |index: usize| -> Result<f64> {
            let (x, y) = truth.halved(key.fold(index as u64))?;
            Ok(self.evaluate(&x, &y, &options)?.value)
        };
        let values = (0..halvings).into_par_iter().map(once).collect::<Result<_>>()?;
        let half = truth.size() / 2;
        Ok(NoiseFloor { size: [half, truth.size() - half], values })
    }
}
