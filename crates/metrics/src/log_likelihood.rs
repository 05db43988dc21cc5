//! Summaries of log-likelihoods.

use ndarray::ArrayView1;

use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::input::{check_weights, cloud_weights};
use crate::scale::Unit;

/// What a sample of log-densities amounts to.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct LogLikelihood {
    /// Mean of the finite values and its standard error, in nats.
    pub mean: Estimate,
    /// Median of the finite values.
    pub median: f64,
    /// Quantiles 0.05, 0.25, 0.75 and 0.95 of the finite values.
    pub quantiles: [f64; 4],
    /// $-\text{mean} / (D \ln 2)$ with its standard error: bits a dimension of the density. Data on a
    /// grid of spacing h have $-\log_2 h$ more for their probability.
    pub bits_per_dim: Estimate,
    /// Finite values.
    pub n_finite: usize,
    /// Values that are minus infinity: points that have no density at all.
    pub n_minus_infinity: usize,
    /// Values that are plus infinity.
    pub n_plus_infinity: usize,
    /// Values that are no number.
    pub n_nan: usize,
    /// Share of the weight that the finite values carry; all else describes these alone.
    pub finite_share: f64,
    /// $(\sum w)^2 / \sum w^2$ of the finite values: the number of equal weights as good as these.
    pub effective_count: f64,
}

/// Mean, spread and bits per dimension of log-densities.
///
/// Values that are not finite are counted and left out: one point of density zero would make every
/// mean minus infinity, so read `mean` together with `n_minus_infinity`. Quantiles are those of the
/// weighted empirical distribution, the mean of both neighbours where it is flat.
///
/// # Shapes
/// `values: [N]` in nats, `weights: [N]` (`None`: equal); `dim` is D.
///
/// # Errors
/// Fewer than two finite values of positive weight, a dimension of zero, weights that are negative or
/// not finite.
///
/// ```
/// use ndarray::array;
/// let values = array![-1.0, -3.0, f64::NEG_INFINITY, -2.0];
/// let found = metrics::log_likelihood(values.view(), None, 2)?;
/// assert_eq!((found.mean.value, found.median), (-2.0, -2.0));
/// assert_eq!((found.n_finite, found.n_minus_infinity), (3, 1));
/// assert!((found.bits_per_dim.value - 1.0 / 2.0_f64.ln()).abs() < 1e-15);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn log_likelihood(
    values: ArrayView1<f64>,
    weights: Option<ArrayView1<f64>>,
    dim: usize,
) -> Result<LogLikelihood> {
    const WHAT: &str = "log-likelihoods";
    if dim == 0 {
        return Err(Error::InvalidParameter { name: "dimension", expected: ">= 1", value: 0.0 });
    }
    if values.is_empty() {
        return Err(Error::TooFewRows { what: WHAT, found: 0, needed: 2 });
    }
    let (weights, _) = cloud_weights(WHAT, values.len(), weights)?;
    let mut finite: Vec<(f64, f64)> = values
        .iter()
        .zip(&weights)
        .filter(|(value, weight)| value.is_finite() && **weight > 0.0)
        .map(|(&value, &weight)| (value, weight))
        .collect();
    if finite.len() < 2 {
        let what = "finite log-likelihoods";
        return Err(Error::TooFewRows { what, found: finite.len(), needed: 2 });
    }
    finite.sort_by(|p, q| p.0.total_cmp(&q.0));
    let mass = check_weights(WHAT, finite.iter().map(|(_, weight)| weight))?;
    let lost = values.iter().zip(&weights).filter(|(value, _)| !value.is_finite());
    let lost: f64 = lost.map(|(_, weight)| weight).sum();
    let share = |weight: f64| weight / mass;
    let unit = Unit::of_largest(finite.iter().map(|(value, _)| *value));
    // Weights in a unit as well: a product of the two may be no number.
    let heaviest = Unit::of_largest(finite.iter().map(|(_, weight)| *weight));
    let terms = || finite.iter().map(|(v, w)| (unit.measure(*v), heaviest.measure(*w)));
    let mean = terms().map(|(value, weight)| weight * value).sum::<f64>() / heaviest.measure(mass);
    let concentration: f64 = finite.iter().map(|(_, weight)| share(*weight).powi(2)).sum();
    let square: f64 =
        finite.iter().zip(terms()).map(|((_, w), (v, _))| (share(*w) * (v - mean)).powi(2)).sum();
    // Equal weights: s^2 / n with the unbiased s^2.
    let standard_error = unit.back((square / (1.0 - concentration)).sqrt(), 1.0);
    let mean = unit.back(mean, 1.0);
    let count = |what: fn(f64) -> bool| values.iter().filter(|value| what(**value)).count();
    let bit = dim as f64 * std::f64::consts::LN_2;
    Ok(LogLikelihood {
        mean: Estimate { value: mean, standard_error },
        median: quantile(&finite, mass, 0.5),
        quantiles: [0.05, 0.25, 0.75, 0.95].map(|level| quantile(&finite, mass, level)),
        bits_per_dim: Estimate { value: -mean / bit, standard_error: standard_error / bit },
        n_finite: count(f64::is_finite),
        n_minus_infinity: count(|v| v == f64::NEG_INFINITY),
        n_plus_infinity: count(|v| v == f64::INFINITY),
        n_nan: count(f64::is_nan),
        finite_share: mass / (mass + lost),
        effective_count: concentration.recip(),
    })
}

/// The quantile of sorted weighted values.
fn quantile(sorted: &[(f64, f64)], mass: f64, level: f64) -> f64 {
    let goal = level * mass;
    // Sums of weights that should meet the level exactly do so up to rounding.
    let slack = 1e-12 * mass;
    let mut below = 0.0;
    for (k, (value, weight)) in sorted.iter().enumerate() {
        below += weight;
        if (below - goal).abs() <= slack && k + 1 < sorted.len() {
            return 0.5 * value + 0.5 * sorted[k + 1].0;
        }
        if below >= goal {
            return *value;
        }
    }
    sorted[sorted.len() - 1].0
}
