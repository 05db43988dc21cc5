//! How a metric scatters over resamples of its samples.

use ndarray::{Array1, ArrayView2, Axis, aview1};
use rayon::prelude::*;
use sde_core::Key;

use super::draw::{quantile, quarter};
use crate::error::{Error, Result};
use crate::input::check_repeats;
use crate::metric::{Metric, Options, Sample, Scheme};
use crate::neighbours::{Manifolds, precision_recall};
use crate::scale::{deviation, mean};

/// How to resample.
///
/// [`Scheme::Bootstrap`] draws n of n rows with replacement; metrics that take weights get the
/// multinomial counts as weights. It is right where a statistic is smooth and its error of order
/// $n^{-1/2}$. [`Scheme::Subsample`] draws a quarter of the rows without replacement and brings the
/// scatter of its values to the full size by that order: repeated rows, which would mislead nearest
/// neighbours and classifiers, do not occur.
///
/// Both estimate a scatter of order $n^{-1/2}$. Where the two laws agree, $W_2^2$ and the kernel
/// statistics are degenerate, with a scatter of order $n^{-1}$, and resampling overstates it (by 1.3
/// to 1.8 in the plane); see [`crate::mmd2_with_error`], which is right there too, and
/// [`Metric::noise_floor`].
///
/// # Reference
/// B. Efron, *Bootstrap methods: another look at the jackknife*, Annals of Statistics 7, 1979; D. N.
/// Politis and J. P. Romano, *Large sample confidence regions based on subsamples under minimal
/// assumptions*, Annals of Statistics 22, 1994; M. A. Arcones and E. Gine, *On the bootstrap of U and V
/// statistics*, Annals of Statistics 20, 1992 (where it fails).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// Names the resamples.
    pub key: Key,
    /// How many of them, at least 2; some hundreds for an interval.
    pub resamples: usize,
    /// How they are drawn; `None`: as the registry says.
    pub scheme: Option<Scheme>,
}

impl Resampling {
    /// Resamples of a key, drawn as suits the metric.
    #[must_use]
    pub fn new(key: Key, resamples: usize) -> Self {
        Self { key, resamples, scheme: None }
    }
}

/// How the ends of an interval follow from the values on resamples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Interval {
    /// The quantiles of the values, moved so that *their mean* falls on the estimate. What resampling
    /// itself adds to a metric drops out: resampled clouds repeat rows, lie farther apart than the
    /// clouds do, and their $W_2$ and $\mathrm{MMD}$ are larger, wherever the truth lies. It is an
    /// interval for the expectation of the metric at these sample sizes.
    #[default]
    Centred,
    /// The quantiles of the values as they are.
    Percentile,
    /// The quantiles reflected about the estimate: takes the bias of the resamples for that of the
    /// estimate, and their long tail for a short one. Distances scatter more where they are larger, so
    /// this one is the worst of the three for them.
    Basic,
}

/// A metric on resamples.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled {
    /// The metric on the samples themselves.
    pub estimate: f64,
    /// Its values on the resamples, in the order of their keys; of subsamples, with deviations from
    /// their mean brought to the size of the samples.
    pub values: Vec<f64>,
    /// How they were drawn.
    pub scheme: Scheme,
}

impl Resampled {
    /// Mean of the values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        mean(aview1(&self.values))
    }

    /// Their standard deviation: the standard error of the estimate.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        deviation(aview1(&self.values))
    }

    /// The interval at a confidence level.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn interval(&self, kind: Interval, level: f64) -> Result<(f64, f64)> {
        if !(level > 0.0 && level < 1.0) {
            let (name, expected) = ("level", "between 0 and 1");
            return Err(Error::InvalidParameter { name, expected, value: level });
        }
        let mut sorted = Array1::from(self.values.clone());
        if let Some(values) = sorted.as_slice_mut() {
            values.sort_unstable_by(f64::total_cmp);
        }
        let tail = 0.5 * (1.0 - level);
        let (low, high) = (quantile(sorted.view(), tail), quantile(sorted.view(), 1.0 - tail));
        let bias = self.mean() - self.estimate;
        Ok(match kind {
            Interval::Centred => (low - bias, high - bias),
            Interval::Percentile => (low, high),
            Interval::Basic => (2.0 * self.estimate - high, 2.0 * self.estimate - low),
        })
    }
}

impl Metric {
    /// The metric on resamples of both samples: a standard error, and intervals, for any of them.
    ///
    /// What the metric chooses by its samples, such as a median bandwidth, is chosen once, on the
    /// samples themselves. The values do not depend on the number of threads.
    ///
    /// # Errors
    /// As [`Metric::evaluate`]; fewer than two resamples; a histogram of an unknown number of samples.
    ///
    /// ```
    /// use metrics::{Interval, Metric, Options, Resampling, Sample};
    /// use ndarray::Array2;
    /// use sde_core::Key;
    /// let mut x = Array2::zeros((100, 2));
    /// Key::root(1).fill_normals(0, x.as_slice_mut().unwrap());
    /// let mut y = Array2::zeros((80, 2));
    /// Key::root(2).fill_normals(0, y.as_slice_mut().unwrap());
    /// let (x, y) = (Sample::cloud(x), Sample::cloud(y + 1.0));
    /// let options = Options::default();
    /// let found = Metric::W2.resample(&x, &y, &options, &Resampling::new(Key::root(3), 50))?;
    /// let (low, high) = found.interval(Interval::Centred, 0.95)?;
    /// assert!(low < found.estimate && found.estimate < high);
    /// // The closed form, without a resample.
    /// let error = Metric::W2.evaluate(&x, &y, &options)?.standard_error.unwrap();
    /// assert!((found.standard_error() / error - 1.0).abs() < 0.5);
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn resample<'a>(
        self,
        x: &Sample,
        y: impl Into<Option<&'a Sample>>,
        options: &Options,
        how: &Resampling,
    ) -> Result<Resampled> {
        let y = y.into();
        let rows = x.size().saturating_add(y.map_or(0, Sample::size));
        check_resamples(how.resamples, rows)?;
        let options = self.settle(x, y, options)?.value_only();
        let estimate = self.evaluate(x, y, &options)?.value;
        let scheme = how.scheme.unwrap_or(self.info().scheme);
        let once = |index: usize| -> Result<f64> {
            let key = how.key.fold(index as u64);
            // Log-densities of two models belong to the same points, and stay together.
            let second = u64::from(x.kind() != crate::Kind::LogDensities);
            let draw = |sample: &Sample, side: u64| match scheme {
                Scheme::Bootstrap => sample.bootstrapped(key.fold(side), self.info().weights),
                Scheme::Subsample => sample.subsampled(key.fold(side)),
            };
            let (x, y) = (draw(x, 0)?, y.map(|y| draw(y, second)).transpose()?);
            Ok(self.evaluate(&x, y.as_ref(), &options)?.value)
        };
        let mut values: Vec<f64> =
            (0..how.resamples).into_par_iter().map(once).collect::<Result<_>>()?;
        if scheme == Scheme::Subsample {
            to_full_size(&mut values, x.size());
        }
        Ok(Resampled { estimate, values, scheme })
    }
}

/// Values on quarters of `n` rows, with deviations from their mean brought to the size of the whole.
///
/// Without replacement a mean of m of n scatters about that of all by (n - m) / (n m) of the variance, that of all about the
/// truth by 1 / n. A remainder makes no difference.
fn to_full_size(values: &mut [f64], n: usize) {
    let n = n as f64;
    let m = (n / 4.0).floor();
    let (scale, mean) = ((m / (n - m)).sqrt(), mean(aview1(values)));
    values.iter_mut().for_each(|value| *value = mean + scale * (*value - mean));
}

/// [`precision_recall`] with the standard errors of [`Metric::resample`], all four from the same quarters.
///
/// Those of [`precision_recall`] take the balls as given, which scatter at least as much as the points in them.
///
/// # Shapes
/// `x: [N, D]`, the real sample, `y: [M, D]`, the generated one; a key, and the number of quarters.
///
/// # Errors
/// As [`precision_recall`], of the quarters too: each must have more than k rows; fewer than two resamples.
///
/// # Reference
/// D. N. Politis and J. P. Romano, *Large sample confidence regions based on subsamples under minimal assumptions*, Annals of
/// Statistics 22, 1994.
///
/// ```
/// use metrics::{Metric, Options, Resampling, Sample};
/// use ndarray::Array2;
/// use sde_core::Key;
/// let normals = |key: u64| {
///     let mut x = Array2::zeros((80, 2));
///     Key::root(key).fill_normals(0, x.as_slice_mut().expect("rows in one piece"));
///     x
/// };
/// let (real, generated) = (normals(1), normals(2));
/// let how = (Key::root(3), 10);
/// let found = metrics::precision_recall_with_errors(real.view(), generated.view(), 3, how)?;
/// // Those of the registry, where the generated sample comes first.
/// let options = Options { neighbours: Some(3), ..Options::default() };
/// let (real, generated) = (Sample::cloud(real), Sample::cloud(generated));
/// let recall = Metric::Recall.resample(&generated, &real, &options, &Resampling::new(how.0, how.1))?;
/// assert_eq!(found.recall.value, recall.estimate);
/// assert_eq!(found.recall.standard_error, recall.standard_error());
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn precision_recall_with_errors(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    k: usize,
    (key, resamples): (Key, usize),
) -> Result<Manifolds> {
    let (n, m) = (x.nrows(), y.nrows());
    check_resamples(resamples, n.saturating_add(m))?;
    let mut found = precision_recall(x, y, k)?;
    let once = |index: usize| -> Result<[f64; 4]> {
        let key = key.fold(index as u64);
        // The generated sample is the first of the registry's metrics.
        let y = y.select(Axis(0), &quarter(key.fold(0), m));
        let x = x.select(Axis(0), &quarter(key.fold(1), n));
        let Manifolds { precision, recall, density, coverage } =
            precision_recall(x.view(), y.view(), k)?;
        Ok([precision, recall, density, coverage].map(|e| e.value))
    };
    let all: Vec<[f64; 4]> = (0..resamples).into_par_iter().map(once).collect::<Result<_>>()?;
    let Manifolds { precision, recall, density, coverage } = &mut found;
    for (which, estimate) in [precision, recall, density, coverage].into_iter().enumerate() {
        let mut values: Vec<f64> = all.iter().map(|v| v[which]).collect();
        to_full_size(&mut values, m);
        estimate.standard_error = deviation(aview1(&values));
    }
    Ok(found)
}

fn check_resamples(resamples: usize, rows: usize) -> Result<()> {
    if resamples < 2 {
        let (name, expected) = ("resamples", ">= 2");
        return Err(Error::InvalidParameter { name, expected, value: resamples as f64 });
    }
    check_repeats("resamples", resamples, rows)
}
