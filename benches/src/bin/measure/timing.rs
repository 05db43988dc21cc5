//! The clock, and what is said of repeated measurements.

use std::time::Instant;

use serde::Serialize;

/// Seconds that `work` takes.
pub(crate) fn seconds<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<f64> {
    let start = Instant::now();
    std::hint::black_box(work()?);
    Ok(start.elapsed().as_secs_f64())
}

/// Seconds that `work` takes once the machine is used to it: whoever worked before has filled the
/// caches, and the clock follows the kind of instructions. So the first call does not count, and of
/// those that fit in a quarter of a second after it the median does; where a call takes a second,
/// none of that matters and it is the only one.
pub(crate) fn settled<T>(mut work: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<f64> {
    const LONG: f64 = 1.0;
    const ENOUGH: f64 = 0.25;
    let first = seconds(&mut work)?;
    if first > LONG {
        return Ok(first);
    }
    let (start, mut all) = (Instant::now(), Vec::new());
    while all.is_empty() || start.elapsed().as_secs_f64() < ENOUGH {
        all.push(seconds(&mut work)?);
    }
    Ok(Spread::of(all).median)
}

/// Median and quartiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) q1: f64,
    pub(crate) q3: f64,
}

impl Spread {
    /// Those of `values`, of which there is at least one, between neighbours by straight lines.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (values.len() - 1) as f64;
            let (low, high) = (place.floor() as usize, place.ceil() as usize);
            values[low] + (values[high] - values[low]) * place.fract()
        };
        Self { median: at(0.5), q1: at(0.25), q3: at(0.75) }
    }

    /// The distance of the quartiles as a share of the median.
    pub(crate) fn noise(self) -> f64 {
        (self.q3 - self.q1) / self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_work_is_done_many_times() {
        let mut calls = 0;
        let mut work = || {
            calls += 1;
            Ok(())
        };
        assert!(settled(&mut work).is_ok());
        assert!(calls > 2, "{calls}");
        assert!(settled(|| anyhow::bail!("no") as anyhow::Result<()>).is_err());
    }

    #[test]
    fn medians_and_quartiles() {
        let spread = |values: &[f64]| {
            let s = Spread::of(values.iter().copied());
            [s.q1, s.median, s.q3]
        };
        assert_eq!(spread(&[7.0]), [7.0; 3]);
        assert_eq!(spread(&[2.0, 1.0]), [1.25, 1.5, 1.75]);
        assert_eq!(spread(&[5.0, 1.0, 4.0, 2.0, 3.0]), [2.0, 3.0, 4.0]);
        assert_eq!(Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]).noise(), 2.0 / 3.0);
    }
}
