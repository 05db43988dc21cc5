//! Distances of samples to withheld rows, with their errors and floors; neighbours, columns, classes.

use anyhow::Result;
use data::{Categories, Dataset, ImageScale, Kind, Transform, TransformOptions};
use metrics::{
    Estimate, Metric, NoiseFloor, Options, Sample, authenticity, near_training,
    precision_recall_with_errors,
};
use ndarray::{Array2, ArrayView2, s};
use sde_core::Key;
use serde::{Deserialize, Serialize};

use super::config::Measuring;
use crate::features::NEAR;

/// The distances that are measured.
const METRICS: [Metric; 3] = [Metric::W2, Metric::Sliced, Metric::Energy];

/// Neighbours of the balls of precision, recall, density and coverage.
pub(super) const NEIGHBOURS: usize = 5;

/// Random quarters that their standard errors come from.
pub(super) const QUARTERS: usize = 40;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pair {
    /// Samples of the ODE with withheld rows.
    OdeTest,
    /// Samples of the SDE with withheld rows.
    SdeTest,
    /// Training rows with withheld rows: what a perfect copy of the training data would have.
    TrainTest,
    /// Samples of the ODE with samples of the SDE.
    OdeSde,
}

impl Pair {
    pub(super) const ALL: [Self; 4] = [Self::OdeTest, Self::SdeTest, Self::TrainTest, Self::OdeSde];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OdeTest => "ODE to test",
            Self::SdeTest => "SDE to test",
            Self::TrainTest => "training to test",
            Self::OdeSde => "ODE to SDE",
        }
    }
}

/// A distance (W2 and sliced W2 squared) with the floor of its sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Distance {
    pub(crate) metric: String,
    pub(crate) pair: Pair,
    pub(crate) found: Estimate,
    pub(crate) floor: NoiseFloor,
}

/// How samples lie among rows, by their neighbours.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Neighbours {
    /// `ode`, `sde`, or `training` rows in the place of samples.
    pub(super) of: String,
    /// Against withheld rows.
    pub(super) precision: Estimate,
    pub(super) recall: Estimate,
    pub(super) density: Estimate,
    pub(super) coverage: Estimate,
    /// Share nearer to a training row than the nearest twentieth of the withheld rows are; none for training rows.
    pub(super) near_training: Option<Estimate>,
    /// Share that is further from its nearest training row than that one is from its own (authenticity).
    pub(super) authentic: Option<Estimate>,
}

/// A column of a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Marginal {
    pub(super) name: String,
    /// Mean and standard deviation of withheld rows, and of the samples of ODE and SDE, in the units of the data.
    pub(super) means: [Estimate; 3],
    pub(super) deviations: [f64; 3],
    /// Largest difference of the distribution functions of ODE and SDE to that of withheld rows, and the probability of a
    /// larger one between samples of one law (Kolmogorov-Smirnov; for columns with few values at most that).
    #[serde(with = "crate::number")]
    pub(super) differences: [f64; 2],
    #[serde(with = "crate::number")]
    pub(super) p_values: [f64; 2],
}

/// Rows in the units that distances are measured in: columns of tables with the variance 1 of the training rows, images
/// scaled to [0, 1].
pub(crate) struct Ruler(Transform);

impl Ruler {
    pub(crate) fn new(training: &Dataset) -> Result<Self> {
        Ok(Self(Transform::fit(
            training,
            &TransformOptions {
                dequantise: false,
                standardise: true,
                categories: Categories::OneHot,
                images: ImageScale::ZeroToOne,
            },
        )?))
    }

    pub(crate) fn put(&self, rows: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        // Without noise no key matters.
        Ok(self.0.to_model(rows, Key::root(0), 0)?)
    }
}

/// Rows that are compared, in the units of a [`Ruler`].
pub(super) struct Compared {
    pub(super) ode: Array2<f64>,
    pub(super) sde: Array2<f64>,
    pub(super) training: Array2<f64>,
    pub(super) test: Array2<f64>,
}

pub(super) fn first(rows: &Array2<f64>, n: usize) -> ArrayView2<'_, f64> {
    rows.slice(s![..n.min(rows.nrows()), ..])
}

impl Compared {
    /// Rows of every side: as many as there are of the smallest.
    fn rows(&self, measuring: &Measuring) -> usize {
        let smallest = self.test.nrows().min(self.ode.nrows()).min(self.training.nrows());
        smallest.min(measuring.rows)
    }

    fn of(&self, pair: Pair) -> (&Array2<f64>, &Array2<f64>) {
        match pair {
            Pair::OdeTest => (&self.ode, &self.test),
            Pair::SdeTest => (&self.sde, &self.test),
            Pair::TrainTest => (&self.training, &self.test),
            Pair::OdeSde => (&self.ode, &self.sde),
        }
    }

    /// As many of these rows as are compared.
    pub(super) fn first<'a>(
        &self,
        rows: &'a Array2<f64>,
        measuring: &Measuring,
    ) -> ArrayView2<'a, f64> {
        first(rows, self.rows(measuring))
    }

    /// Every distance of a pair, between equally many rows.
    pub(super) fn distances(
        &self,
        pair: Pair,
        measuring: &Measuring,
        key: Key,
    ) -> Result<Vec<Distance>> {
        between(&METRICS, self, pair, measuring, key)
    }

    /// How ODE, SDE and training rows lie among withheld rows.
    pub(super) fn neighbours(&self, measuring: &Measuring, key: Key) -> Result<Vec<Neighbours>> {
        let n = self.rows(measuring);
        let training = first(&self.training, measuring.rows);
        let test = first(&self.test, n);
        // A row of a quarter must have that many others.
        if n / 4 <= NEIGHBOURS {
            return Ok(Vec::new());
        }
        [("ode", &self.ode, true), ("sde", &self.sde, true), ("training", &self.training, false)]
            .into_iter()
            .map(|(name, rows, sampled)| {
                let rows = first(rows, n);
                let found = precision_recall_with_errors(test, rows, NEIGHBOURS, (key, QUARTERS))?;
                let near = || near_training(rows, training, test, NEAR);
                let authentic = || authenticity(rows, training);
                Ok(Neighbours {
                    of: name.into(),
                    precision: found.precision,
                    recall: found.recall,
                    density: found.density,
                    coverage: found.coverage,
                    near_training: sampled.then(near).transpose()?,
                    authentic: sampled.then(authentic).transpose()?,
                })
            })
            .collect()
    }
}

fn squared(found: Estimate) -> Estimate {
    let Estimate { value, standard_error } = found;
    Estimate { value: value * value, standard_error: 2.0 * value * standard_error }
}

/// Distances of a pair, between equally many rows.
///
/// The floor is that of two parts of one sample of these sizes, taken from the two samples thrown together.
pub(super) fn between(
    metrics: &[Metric],
    compared: &Compared,
    pair: Pair,
    measuring: &Measuring,
    key: Key,
) -> Result<Vec<Distance>> {
    let n = compared.rows(measuring);
    let (x, y) = compared.of(pair);
    of_rows(metrics, [first(x, n), first(y, n)], pair, (measuring.floors, key))
}

/// Distances of two equally large sets of rows, which stand for a pair.
pub(crate) fn of_rows(
    metrics: &[Metric],
    [x, y]: [ArrayView2<'_, f64>; 2],
    pair: Pair,
    (floors, key): (usize, Key),
) -> Result<Vec<Distance>> {
    let n = x.nrows();
    let (x, y) = (x.to_owned(), y.to_owned());
    let pool = ndarray::concatenate(ndarray::Axis(0), &[x.view(), y.view()])?;
    let [x, y, pool] = [x, y, pool].map(Sample::cloud);
    let options = Options { key: key.fold(0), ..Options::default() };
    metrics
        .iter()
        .map(|metric| {
            let found = metric.evaluate(&x, &y, &options)?;
            let floor = metric.noise_floor_of(&pool, [n, n], &options, key.fold(1), floors)?;
            let standard_error = found.standard_error.unwrap_or(f64::NAN);
            let found = Estimate { value: found.value, standard_error };
            let (found, floor) = match metric {
                Metric::W2 | Metric::Sliced => (squared(found), floor.squared()),
                _ => (found, floor),
            };
            Ok(Distance { metric: metric.name().into(), pair, found, floor })
        })
        .collect()
}

/// Every column of a table: withheld rows beside samples, all in the units of the data.
pub(super) fn marginals(kind: &Kind, rows: [&Array2<f64>; 3]) -> Vec<Marginal> {
    let Kind::Table { columns } = kind else { return Vec::new() };
    let column = |i: usize| {
        let values = rows.map(|rows| rows.column(i).to_vec());
        let means = [0, 1, 2].map(|k: usize| Estimate::of_mean(&values[k]));
        let deviations = [0, 1, 2].map(|k: usize| {
            let n = values[k].len() as f64;
            means[k].standard_error * n.sqrt()
        });
        let differences = [1, 2].map(|k: usize| largest_difference(&values[0], &values[k]));
        let n = |k: usize| values[k].len() as f64;
        let p_values =
            [0, 1].map(|k: usize| kolmogorov(differences[k], n(0) * n(k + 1) / (n(0) + n(k + 1))));
        Marginal { name: columns[i].name.clone(), means, deviations, differences, p_values }
    };
    (0..columns.len()).map(column).collect()
}

/// The largest difference of two empirical distribution functions.
fn largest_difference(x: &[f64], y: &[f64]) -> f64 {
    let sorted = |x: &[f64]| {
        let mut x = x.to_vec();
        x.sort_by(f64::total_cmp);
        x
    };
    let (x, y) = (sorted(x), sorted(y));
    let (mut i, mut j, mut most) = (0, 0, 0.0_f64);
    while i < x.len() && j < y.len() {
        let at = x[i].min(y[j]);
        while i < x.len() && x[i] <= at {
            i += 1;
        }
        while j < y.len() && y[j] <= at {
            j += 1;
        }
        most = most.max((i as f64 / x.len() as f64 - j as f64 / y.len() as f64).abs());
    }
    most
}

/// The probability that two samples of one law differ by more, `n m / (n + m)` being `size`:
/// `2 sum_k (-1)^(k - 1) exp(-2 k^2 z^2)`, `z = (sqrt(size) + 0.12 + 0.11 / sqrt(size)) d`.
///
/// # Reference
/// Stephens 1970.
fn kolmogorov(difference: f64, size: f64) -> f64 {
    let root = size.sqrt();
    let z = (root + 0.12 + 0.11 / root) * difference;
    if z < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let k = f64::from(k);
        let sign = if k % 2.0 == 0.0 { -2.0 } else { 2.0 };
        sign * (-2.0 * k * k * z * z).exp()
    };
    (1..100).map(term).sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Critical values of the Kolmogorov distribution: 1.3581 at 5 %, 1.6276 at 1 % (Smirnov 1948).
    #[test]
    fn kolmogorov_has_its_quantiles() {
        let size = 1e12;
        for (z, p) in [(1.3581, 0.05), (1.6276, 0.01), (1.2238, 0.10)] {
            let found = kolmogorov(z / 1e6, size);
            assert!((found - p).abs() < 1e-4, "{z}: {found}");
        }
        assert_eq!(largest_difference(&[0.0, 1.0], &[0.0, 1.0]), 0.0);
        assert_eq!(largest_difference(&[0.0, 0.0, 1.0, 1.0], &[1.0, 1.0]), 0.5);
        assert_eq!(largest_difference(&[0.0], &[3.0]), 1.0);
    }
}
