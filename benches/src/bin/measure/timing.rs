//! The clock, and the statistics of repeated measurements.

use std::time::Instant;

use anyhow::Result;
use statrs::statistics::{Data, Min, OrderStatistics, Statistics};

/// A call that takes longer, in seconds, is timed as it is and once.
const LONG: f64 = 1.0;
/// Shorter calls are repeated for so many seconds.
const REPEAT_FOR: f64 = 0.25;

/// Seconds that `work` takes.
pub(crate) fn seconds<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let start = Instant::now();
    std::hint::black_box(work()?);
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds that `work` takes once caches and clock frequency have adapted to it: the first call is not
/// counted, and the median of those that fit in a quarter of a second is taken. A call longer than
/// [`LONG`] is measured once. `common.py` has the same rule.
pub(crate) fn settled<T>(mut work: impl FnMut() -> Result<T>) -> Result<f64> {
    let first = seconds(&mut work)?;
    if first > LONG {
        return Ok(first);
    }
    let (start, mut all) = (Instant::now(), Vec::new());
    while all.is_empty() || start.elapsed().as_secs_f64() < REPEAT_FOR {
        all.push(seconds(&mut work)?);
    }
    Ok(Data::new(all).median())
}

/// Median, quartiles and the smallest of some measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) quartiles: [f64; 2],
    pub(crate) min: f64,
}

impl Summary {
    /// That of `values`, of which there is at least one.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut data = Data::new(values.to_vec());
        let quartiles = [data.lower_quartile(), data.upper_quartile()];
        Self { median: data.median(), quartiles, min: data.min() }
    }
}

/// The exponent p of `y ~ x^p` by least squares on logarithms; none for fewer than three points.
pub(crate) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|(x, y)| (x.ln(), y.ln())).unzip();
    (points.len() > 2).then(|| (&x).covariance(&y) / (&x).variance())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_calls_are_repeated() {
        let mut calls = 0;
        let mut work = || {
            calls += 1;
            Ok(())
        };
        assert!(settled(&mut work).is_ok());
        assert!(calls > 2, "{calls}");
        assert!(settled(|| anyhow::bail!("no") as Result<()>).is_err());
    }

    #[test]
    fn the_summary_is_of_the_sorted_values() {
        let found = Summary::of(&[5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((found.median, found.min), (3.0, 1.0));
        assert!(1.0 < found.quartiles[0] && found.quartiles[0] < 3.0, "{found:?}");
        assert!(3.0 < found.quartiles[1] && found.quartiles[1] < 5.0, "{found:?}");
        assert_eq!(Summary::of(&[7.0]).quartiles, [7.0; 2]);
    }

    #[test]
    fn exponents_of_powers() {
        let points = [1.0, 2.0, 5.0, 10.0].map(|n: f64| (n, 3.0 * n.powf(1.25)));
        let found = exponent(&points).expect("four points");
        assert!((found - 1.25).abs() < 1e-12, "{found}");
        assert_eq!(exponent(&points[..2]), None);
    }
}
