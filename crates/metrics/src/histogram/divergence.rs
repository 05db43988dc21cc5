//! Divergences of histograms, bin by bin.

use ndarray::{ArrayView, Dimension};

use super::binning::Histogram2d;
use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::input::{check_balance, check_weights};
use crate::scale::Unit;

const FIRST: &str = "first histogram";
const SECOND: &str = "second histogram";

/// What shares add up to here, 2^500, so that those of 1e-400 of the mass are numbers: divergences are
/// sums of terms of the first degree in both.
const WHOLE: f64 = f64::from_bits((1023 + 500) << 52);

/// A divergence between two histograms on the same bins, of any number and arrangement.
///
/// Both are shares of a common total; a and b below sum to one.
///
/// ```
/// use metrics::HistogramDivergence;
/// use ndarray::array;
/// let (a, b) = (array![1.0, 0.0], array![0.5, 0.5]);
/// let kl = HistogramDivergence::Kl.between(a.view(), b.view())?;
/// assert!((kl - 2.0_f64.ln()).abs() < 1e-15);
/// // b has mass where a has none.
/// assert_eq!(HistogramDivergence::Kl.between(b.view(), a.view())?, f64::INFINITY);
/// # Ok::<(), metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HistogramDivergence {
    /// $\frac12 \sum_i |a_i - b_i|$, between 0 and 1.
    TotalVariation,
    /// $\sum_i |a_i - b_i|$, between 0 and 2.
    L1,
    /// $\mathrm{KL}(a \Vert b) = \sum_i a_i \log (a_i / b_i)$ in nats; infinite where a has mass and b
    /// has none.
    Kl,
    /// $\frac12 \mathrm{KL}(a \Vert \frac{a+b}2) + \frac12 \mathrm{KL}(b \Vert \frac{a+b}2)$ in nats,
    /// between 0 and $\ln 2$.
    JensenShannon,
    /// $\left(\frac12 \sum_i (\sqrt{a_i} - \sqrt{b_i})^2\right)^{1/2}$, between 0 and 1.
    Hellinger,
}

impl HistogramDivergence {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::TotalVariation, Self::L1, Self::Kl, Self::JensenShannon, Self::Hellinger];

    /// The divergence of a from b.
    ///
    /// # Shapes
    /// `a`, `b`: the same, whatever it is.
    ///
    /// # Errors
    /// Shapes that differ, weights that are negative or not finite, no or unequal mass.
    ///
    /// # Reference
    /// J. Lin, *Divergence measures based on the Shannon entropy*, IEEE Trans. Information Theory 37,
    /// 1991 (Jensen-Shannon); S. Kullback and R. A. Leibler, *On information and sufficiency*, 1951.
    pub fn between<D: Dimension>(self, a: ArrayView<f64, D>, b: ArrayView<f64, D>) -> Result<f64> {
        let (a, b) = shares(a, b)?;
        Ok(self.value(&a, &b))
    }

    /// The divergence with its standard error, for counts of `n_a` and `n_b` independent samples.
    ///
    /// The delta method: with the slopes $T_i = \partial T / \partial a_i$, the variance is $\frac1n
    /// \left(\sum_i a_i T_i^2 - (\sum_i a_i T_i)^2\right)$ for a, and so for b. `None` for a density
    /// that is known and has no error. First order: where the two agree it vanishes for smooth
    /// divergences, whose estimates are then biased upward by about (bins / samples); a
    /// [noise floor](crate::Metric::noise_floor) shows that. An infinite divergence has an infinite error.
    ///
    /// # Errors
    /// As [`HistogramDivergence::between`]; a number of samples of zero.
    ///
    /// # Reference
    /// Y. M. M. Bishop, S. E. Fienberg, P. W. Holland, *Discrete multivariate analysis*, 1975,
    /// section 14.6.
    ///
    /// ```
    /// use metrics::HistogramDivergence;
    /// use ndarray::array;
    /// let (a, b) = (array![30.0, 70.0] / 100.0, array![0.5, 0.5]);
    /// let tv = HistogramDivergence::TotalVariation.with_error(a.view(), Some(100), b.view(), None)?;
    /// // The binomial error of a share of 0.3.
    /// assert!((tv.value - 0.2).abs() < 1e-15);
    /// assert!((tv.standard_error - (0.3 * 0.7 / 100.0_f64).sqrt()).abs() < 1e-15);
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn with_error<D: Dimension>(
        self,
        a: ArrayView<f64, D>,
        n_a: Option<u64>,
        b: ArrayView<f64, D>,
        n_b: Option<u64>,
    ) -> Result<Estimate> {
        let (a, b) = shares(a, b)?;
        for (name, n) in [("samples of the first", n_a), ("samples of the second", n_b)] {
            if n == Some(0) {
                return Err(Error::InvalidParameter { name, expected: ">= 1", value: 0.0 });
            }
        }
        let value = self.value(&a, &b);
        if value.is_infinite() {
            return Ok(Estimate { value, standard_error: f64::INFINITY });
        }
        let variance = |shares: &[f64], n: Option<u64>, slope: &dyn Fn(f64, f64) -> f64| -> f64 {
            let Some(n) = n else { return 0.0 };
            let (mut first, mut second) = (0.0, 0.0);
            for ((a, b), share) in a.iter().zip(&b).zip(shares) {
                if *share > 0.0 {
                    let slope = slope(*a, *b);
                    first += share * slope;
                    second += share * slope * slope;
                }
            }
            let (first, second) = (first / WHOLE, second / WHOLE);
            (second - first * first).max(0.0) / n as f64
        };
        let in_a = |a: f64, b: f64| self.slope_a(a, b, value);
        let in_b = |a: f64, b: f64| self.slope_b(a, b, value);
        let total = variance(&a, n_a, &in_a) + variance(&b, n_b, &in_b);
        Ok(Estimate { value, standard_error: total.sqrt() })
    }

    fn value(self, a: &[f64], b: &[f64]) -> f64 {
        let sum = |term: fn(f64, f64) -> f64| -> f64 {
            a.iter().zip(b).map(|(a, b)| term(*a, *b)).sum::<f64>() / WHOLE
        };
        match self {
            Self::TotalVariation => (0.5 * sum(|a, b| (a - b).abs())).min(1.0),
            Self::L1 => sum(|a, b| (a - b).abs()).min(2.0),
            // Terms a log(a/b) - a + b are never negative: no cancellation where a is near b.
            Self::Kl => sum(relative_entropy).max(0.0),
            Self::JensenShannon => {
                let half = sum(|a, b| {
                    let middle = 0.5 * (a + b);
                    relative_entropy(a, middle) + relative_entropy(b, middle)
                });
                (0.5 * half).clamp(0.0, std::f64::consts::LN_2)
            }
            Self::Hellinger => (0.5 * sum(|a, b| (a.sqrt() - b.sqrt()).powi(2))).sqrt().min(1.0),
        }
    }

    /// Slope in the share a of a bin, where a > 0; `value` is the divergence.
    fn slope_a(self, a: f64, b: f64, value: f64) -> f64 {
        match self {
            Self::TotalVariation => 0.5 * sign(a - b),
            Self::L1 => sign(a - b),
            Self::Kl => (a / b).ln(),
            Self::JensenShannon => 0.5 * (2.0 * a / (a + b)).ln(),
            Self::Hellinger if value == 0.0 => 0.0,
            // Of the square it is -sqrt(b/a) / 2.
            Self::Hellinger => -0.25 * (b / a).sqrt() / value,
        }
    }

    /// Slope in the share b of a bin, where b > 0.
    fn slope_b(self, a: f64, b: f64, value: f64) -> f64 {
        match self {
            Self::Kl => -a / b,
            symmetric => symmetric.slope_a(b, a, value),
        }
    }
}

/// Minus one, zero or one.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// $a \log(a/b) - a + b \ge 0$, with its limits where a or b is zero.
fn relative_entropy(a: f64, b: f64) -> f64 {
    if a == 0.0 {
        return b;
    }
    if b == 0.0 {
        return f64::INFINITY;
    }
    let t = (b - a) / a;
    if t.abs() > 0.05 {
        // Of shares of one, whose logarithms are small, where they are numbers.
        let (p, q) = (a / WHOLE, b / WHOLE);
        let normal = p.is_normal() && q.is_normal();
        let log = if normal { p.ln() - q.ln() } else { a.ln() - b.ln() };
        return a * log + (b - a);
    }
    // a (t - log(1 + t)) as a series: the difference would cancel.
    let series = (2..=14).rev().fold(0.0, |rest, k| f64::from(k).recip() - t * rest);
    a * t * t * series
}

/// Both as shares of their common total, in units of 1 / [`WHOLE`].
fn shares<D: Dimension>(
    a: ArrayView<f64, D>,
    b: ArrayView<f64, D>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    if a.shape() != b.shape() {
        let (expected, found) = (a.shape().to_vec(), b.shape().to_vec());
        return Err(Error::ShapeMismatch { what: SECOND, expected, found });
    }
    let (left, right) = (check_weights(FIRST, a.iter())?, check_weights(SECOND, b.iter())?);
    check_balance(left, right)?;
    let share = |values: ArrayView<f64, D>, total: f64| {
        let (whole, unit) = (Unit::of(total, 500), Unit::of(total, 0));
        values.iter().map(|v| whole.measure(*v) / unit.measure(total)).collect()
    };
    Ok((share(a, left), share(b, right)))
}

impl Histogram2d {
    /// A divergence from another histogram, with the standard error that the numbers of samples on
    /// the grid imply; none for a histogram made of weights.
    ///
    /// What lay outside the grid is not part of it: see [`Histogram2d::discarded_share`].
    ///
    /// # Errors
    /// Another number of nodes.
    ///
    /// ```
    /// use metrics::{HistogramBuilder, HistogramDivergence};
    /// use ndarray::array;
    /// let mut builder = HistogramBuilder::new(1.0, 2)?;
    /// builder.add(array![[-1.0, -1.0], [1.0, 1.0]].view())?;
    /// let histogram = builder.finish()?;
    /// let js = histogram.divergence(&histogram, HistogramDivergence::JensenShannon)?;
    /// assert_eq!((js.value, js.standard_error), (0.0, 0.0));
    /// # Ok::<(), metrics::Error>(())
    /// ```
    pub fn divergence(&self, other: &Self, which: HistogramDivergence) -> Result<Estimate> {
        let samples = |of: &Self| {
            let kept = (of.n_seen() as f64 * (1.0 - of.discarded_share())).round() as u64;
            (kept > 0).then_some(kept)
        };
        if which == HistogramDivergence::Kl && (self.has_lost_cells() || other.has_lost_cells()) {
            let what = "share of a cell that has mass";
            return Err(Error::OutOfRange { what, value: 0.0 });
        }
        which.with_error(self.weights(), samples(self), other.weights(), samples(other))
    }
}
