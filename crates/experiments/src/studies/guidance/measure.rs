//! What is measured of samples: distances to the law of the class, densities under it, spread, coverage.

use anyhow::Result;
use metrics::{
    Estimate, Metric, NoiseFloor, Options, Sample, energy_distance_with_error, precision_recall,
};
use ndarray::{Array2, ArrayView2, s};
use sde_core::Key;
use sde_core::analytic::{AnalyticScore, GaussianMixture};
use serde::{Deserialize, Serialize};

use super::Config;
use crate::distance::Truth;

/// Neighbours of the balls of coverage.
pub(super) const NEIGHBOURS: usize = 5;
/// Share of the exact samples that counts as low density.
pub(super) const LOW: f64 = 0.01;
/// Shares of exact samples outside the levels of the density's picture.
pub(super) const LEVELS: [f64; 3] = [LOW, 0.25, 0.6];

/// What is measured of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Measures {
    /// Squared W2 to the law of the class; nothing where more than 5 % have left the window.
    pub(super) w2: Option<Estimate>,
    /// Energy distance.
    pub(super) energy: Estimate,
    /// Mean log-density under the class less that of exact samples, in nats.
    pub(super) log_density: Estimate,
    /// Trace of the covariance over that of the class.
    pub(super) spread: Estimate,
    /// Share of exact samples with a sample in the ball of their neighbours.
    pub(super) coverage: Estimate,
    /// Share below the density that [`LOW`] of exact samples are below.
    pub(super) outliers: Estimate,
}

/// The law of the class as samples are held against it.
pub(super) struct Ruler<'a> {
    truth: Truth,
    /// As many exact rows as are compared one by one.
    rows: Array2<f64>,
    law: AnalyticScore<'a>,
    log_density: Estimate,
    trace: f64,
    /// Log-densities that [`LEVELS`] of exact samples are below.
    pub(super) levels: [f64; 3],
    pub(super) energy_floor: NoiseFloor,
}

impl<'a> Ruler<'a> {
    pub(super) fn new(config: &'a Config, class: &GaussianMixture, key: Key) -> Result<Self> {
        let exact = class.sample(key.fold(0), 0, config.truth);
        let truth =
            Truth::new(config.window, exact.view(), config.n, (config.floors, key.fold(1)))?;
        let law = class.under(&*config.sde);
        let mut logs = law.log_density(&exact, 0.0)?;
        let log_density = Estimate::of_mean(&logs);
        logs.sort_by(f64::total_cmp);
        let at = |share: f64| logs[((share * logs.len() as f64) as usize).min(logs.len() - 1)];
        let levels = LEVELS.map(at);
        let pool = Sample::cloud(class.sample(key.fold(2), 0, 2 * config.rows));
        let size = [config.rows, config.rows];
        let options = Options::default();
        let energy_floor =
            Metric::Energy.noise_floor_of(&pool, size, &options, key.fold(3), config.floors)?;
        let rows = class.sample(key.fold(4), 0, config.rows);
        let trace = class.moments().1.diag().sum();
        Ok(Self { truth, rows, law, log_density, trace, levels, energy_floor })
    }

    pub(super) fn floor(&self) -> &NoiseFloor {
        &self.truth.floor
    }

    /// Everything about a sample; nothing where a row is no number.
    pub(super) fn measure(&self, x: &Array2<f64>) -> Result<Option<Measures>> {
        if x.iter().any(|v| !(v.abs() < FAR)) {
            return Ok(None);
        }
        let some = x.slice(s![..self.rows.nrows().min(x.nrows()), ..]);
        let energy = energy_distance_with_error(some, self.rows.view(), 1.0)?;
        let logs = self.law.log_density(x, 0.0)?;
        let mean = Estimate::of_mean(&logs);
        let low: Vec<f64> = logs.iter().map(|l| f64::from(*l < self.levels[0])).collect();
        Ok(Some(Measures {
            w2: self.truth.distance(x.view())?,
            energy: Estimate {
                value: energy.biased,
                standard_error: energy.standard_error.unwrap_or(0.0),
            },
            log_density: Estimate {
                value: mean.value - self.log_density.value,
                standard_error: mean.standard_error.hypot(self.log_density.standard_error),
            },
            spread: spread(x.view(), self.trace),
            coverage: precision_recall(self.rows.view(), some, NEIGHBOURS)?.coverage,
            outliers: Estimate::of_mean(&low),
        }))
    }
}

/// Coordinates beyond which a sample is lost.
const FAR: f64 = 1e6;

/// The mean squared distance to the mean, over `trace`.
fn spread(x: ArrayView2<'_, f64>, trace: f64) -> Estimate {
    let n = x.nrows() as f64;
    let mean = x.sum_axis(ndarray::Axis(0)) / n;
    let square = |r: ndarray::ArrayView1<'_, f64>| -> f64 {
        r.iter().zip(&mean).map(|(x, m)| (x - m) * (x - m)).sum::<f64>() / trace
    };
    Estimate::of_mean(&x.outer_iter().map(square).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn spread_is_that_of_the_covariance() {
        let found = spread(array![[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]].view(), 5.0);
        assert!((found.value - 0.5).abs() < 1e-15, "{found:?}");
        assert!(found.standard_error > 0.1);
    }
}
