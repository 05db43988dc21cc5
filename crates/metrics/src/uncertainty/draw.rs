//! Samples drawn again from a sample.

use ndarray::{Array1, ArrayView1, Axis};
use sde_core::Key;

use crate::error::{Error, Result};
use crate::metric::{Cloud, Sample};

/// Uniforms that are made at a time.
const BATCH: usize = 4096;

/// Numbers below `n`, drawn `n` times with replacement.
fn with_replacement(key: Key, n: usize, mut visit: impl FnMut(usize)) {
    let mut uniforms = [0.0; BATCH];
    for first in (0..n).step_by(BATCH) {
        let batch = &mut uniforms[..BATCH.min(n - first)];
        key.fill_uniforms(first as u64, batch);
        batch.iter().for_each(|u| visit(((u * n as f64) as usize).min(n - 1)));
    }
}

/// `chosen` of the numbers below `n` without replacement, every choice alike: calls `visit` with each
/// number, in order, and whether it was chosen.
///
/// Number t is chosen with probability (choices left) / (numbers left): D. E. Knuth, *The Art of
/// Computer Programming* 2, algorithm 3.4.2 S.
fn without_replacement(key: Key, n: usize, chosen: usize, mut visit: impl FnMut(usize, bool)) {
    let mut uniforms = [0.0; BATCH];
    let mut wanted = chosen;
    for first in (0..n).step_by(BATCH) {
        let batch = &mut uniforms[..BATCH.min(n - first)];
        key.fill_uniforms(first as u64, batch);
        for (t, u) in (first..).zip(batch) {
            let take = *u * ((n - t) as f64) < wanted as f64;
            wanted -= usize::from(take);
            visit(t, take);
        }
    }
}

/// The rows of a quarter of `n`, chosen at random as [`Sample::subsampled`] chooses them.
pub(super) fn quarter(key: Key, n: usize) -> Vec<usize> {
    let mut rows = Vec::with_capacity(n / 4);
    without_replacement(key, n, n / 4, |row, chosen| {
        if chosen {
            rows.push(row);
        }
    });
    rows
}

impl Sample {
    /// As many draws as there are, with replacement. Where `by_weight`, a row that is drawn k times
    /// stands there once, with k times its weight; else it stands there k times.
    pub(crate) fn bootstrapped(&self, key: Key, by_weight: bool) -> Result<Self> {
        let n = self.size();
        if let Self::Histogram(histogram) = self {
            let redrawn = histogram.redrawn(|take| with_replacement(key, n, take))?;
            return Ok(Self::Histogram(redrawn));
        }
        if !by_weight {
            let mut rows = Vec::with_capacity(n);
            with_replacement(key, n, |row| rows.push(row));
            return Ok(self.select(&rows));
        }
        let mut counts = vec![0.0; n];
        with_replacement(key, n, |row| counts[row] += 1.0);
        let rows: Vec<usize> = (0..n).filter(|&row| counts[row] > 0.0).collect();
        let mut sample = self.select(&rows);
        if let Self::Cloud(cloud) = &mut sample {
            let counts: Array1<f64> = rows.iter().map(|&row| counts[row]).collect();
            let weights = match cloud.weights.take() {
                None => counts,
                Some(weights) => weights * counts,
            };
            cloud.weights = Some(weights);
        }
        sample.scaled_to(self.mass())
    }

    /// A quarter of the draws, chosen at random.
    pub(crate) fn subsampled(&self, key: Key) -> Result<Self> {
        self.split(key, self.size() / 4, 4).map(|(part, _)| part)
    }

    /// Two disjoint parts of these sizes, chosen at random.
    pub(crate) fn parts(&self, key: Key, [n, m]: [usize; 2]) -> Result<(Self, Self)> {
        let (needed, found) = (n.saturating_add(m), self.size());
        if n == 0 || m == 0 || needed > found {
            let needed = needed.max(2);
            return Err(Error::TooFewRows { what: "sample to draw from", found, needed });
        }
        let (x, rest) = self.split(key, n, 2)?;
        let y = if needed == found { rest } else { rest.split(key.fold(1), m, 1)?.0 };
        Ok((x, y))
    }

    /// `size` of the draws, chosen at random, and the rest.
    fn split(&self, key: Key, size: usize, needed: usize) -> Result<(Self, Self)> {
        let n = self.size();
        if n < needed && self.kind() != crate::Kind::Histogram {
            return Err(Error::TooFewRows { what: "sample to draw from", found: n, needed });
        }
        if let Self::Histogram(histogram) = self {
            let part = |which: bool| {
                histogram.redrawn(|take| {
                    without_replacement(key, n, size, |t, chosen| {
                        if chosen == which {
                            take(t);
                        }
                    });
                })
            };
            return Ok((Self::Histogram(part(true)?), Self::Histogram(part(false)?)));
        }
        let (mut part, mut rest) = (Vec::with_capacity(size), Vec::with_capacity(n - size));
        without_replacement(
            key,
            n,
            size,
            |t, chosen| {
                if chosen { part.push(t) } else { rest.push(t) }
            },
        );
        let scaled = |rows: &[usize]| self.select(rows).scaled_to(self.mass());
        Ok((scaled(&part)?, scaled(&rest)?))
    }

    /// Rows by number, as often as they are named.
    fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Cloud(cloud) => Self::Cloud(Cloud {
                points: cloud.points.select(Axis(0), rows),
                weights: cloud.weights.as_ref().map(|w| w.select(Axis(0), rows)),
            }),
            Self::LogDensities(values) => Self::LogDensities(values.select(Axis(0), rows)),
            Self::Histogram(_) => self.clone(),
        }
    }

    /// With its weights, if it has any, brought to a mass: two resamples can then be compared.
    fn scaled_to(mut self, mass: f64) -> Result<Self> {
        let found = self.mass();
        if let Self::Cloud(Cloud { weights: Some(weights), .. }) = &mut self {
            if found <= 0.0 {
                return Err(Error::NoMass { what: "resample", total: found });
            }
            weights.mapv_inplace(|w| w / found * mass);
        }
        Ok(self)
    }
}

/// Quantile of sorted values: a further value falls below it with probability `level` (as far as their
/// number allows), linear between the values.
pub(crate) fn quantile(sorted: ArrayView1<f64>, level: f64) -> f64 {
    let k = sorted.len() as f64;
    let at = (level * (k + 1.0) - 1.0).clamp(0.0, k - 1.0);
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let share = at - below as f64;
    // Of the two, not of their difference, which may be infinite.
    if share == 0.0 || sorted[below] == sorted[above] {
        return sorted[below];
    }
    (1.0 - share) * sorted[below] + share * sorted[above]
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Every number is chosen equally often, and just as many as wanted: chi-squared over the
    /// numbers at a false-alarm rate of 1e-6.
    #[test]
    fn choices_are_fair() {
        let (n, chosen, repeats) = (20, 7, 4000);
        let mut counts = vec![0_u32; n];
        for repeat in 0..repeats {
            let mut found = 0;
            without_replacement(Key::root(1).fold(repeat), n, chosen, |t, take| {
                counts[t] += u32::from(take);
                found += usize::from(take);
            });
            assert_eq!(found, chosen);
        }
        let share = chosen as f64 / n as f64;
        let expected = share * repeats as f64;
        let squares: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2)).sum();
        // Without replacement the counts are correlated: n - 1 degrees of freedom after this scale.
        let chi2 = squares / (expected * (1.0 - share)) * (n - 1) as f64 / n as f64;
        assert!(chi2 < 66.6, "{chi2}");
        let mut counts = vec![0_u32; n];
        for repeat in 0..repeats {
            with_replacement(Key::root(2).fold(repeat), n, |t| counts[t] += 1);
        }
        let chi2: f64 = counts.iter().map(|&c| (f64::from(c) - 4000.0).powi(2) / 4000.0).sum();
        assert!(chi2 < 66.6, "{chi2}");
    }

    #[test]
    fn counts_as_weights_are_repeated_rows() {
        let points = array![[0.0], [1.0], [2.0], [3.0], [4.0]];
        let key = Key::root(3);
        let Sample::Cloud(rows) = Sample::cloud(points.clone()).bootstrapped(key, false).unwrap()
        else {
            unreachable!()
        };
        let weights = array![1.0, 2.0, 0.5, 1.0, 0.5];
        for (sample, mass) in [
            (Sample::cloud(points.clone()), 1.0),
            (Sample::weighted(points.clone(), weights.clone()), 5.0),
        ] {
            let Sample::Cloud(once) = sample.bootstrapped(key, true).unwrap() else {
                unreachable!()
            };
            assert!((once.mass() - mass).abs() < 1e-12);
            let own = |row: f64| if mass == 1.0 { 1.0 } else { weights[row as usize] };
            let all: f64 = rows.points.iter().map(|&row| own(row)).sum();
            for (row, weight) in once.points.iter().zip(once.weights.as_ref().unwrap()) {
                let times = rows.points.iter().filter(|r| *r == row).count() as f64;
                assert!((weight - times * own(*row) * mass / all).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn halves_are_disjoint_and_complete() {
        let points = Array1::from_iter((0..101).map(f64::from)).insert_axis(Axis(1));
        let pool = Sample::cloud(points.clone());
        let (half, rest) = pool.parts(Key::root(4), [50, 51]).unwrap();
        let (Sample::Cloud(half), Sample::Cloud(rest)) = (half, rest) else { unreachable!() };
        assert_eq!((half.points.nrows(), rest.points.nrows()), (50, 51));
        let mut all: Vec<f64> = half.points.iter().chain(&rest.points).copied().collect();
        all.sort_by(f64::total_cmp);
        assert_eq!(all, points.iter().copied().collect::<Vec<_>>());
        let (some, other) = pool.parts(Key::root(5), [20, 30]).unwrap();
        let (Sample::Cloud(some), Sample::Cloud(other)) = (some, other) else { unreachable!() };
        assert_eq!((some.points.nrows(), other.points.nrows()), (20, 30));
        assert!(some.points.iter().all(|p| other.points.iter().all(|q| p != q)));
        for size in [[0, 5], [5, 0], [50, 52], [usize::MAX, 2]] {
            assert!(pool.parts(Key::root(4), size).is_err(), "{size:?}");
        }
    }

    #[test]
    fn quantiles() {
        let sorted = array![0.0, 1.0, 4.0];
        let at = |level| quantile(sorted.view(), level);
        assert_eq!([at(0.0), at(0.25), at(0.375), at(0.5), at(1.0)], [0.0, 0.0, 0.5, 1.0, 4.0]);
    }
}
