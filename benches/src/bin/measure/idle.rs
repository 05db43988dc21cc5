//! Measuring while nobody else uses the machine.
//!
//! On shared cores other programs slow some instructions more than others, so that a ratio depends on
//! when it was taken. A probe of about a millisecond is timed before and after a measurement; where it
//! is slow, the measurement is repeated. The probe is a product of matrices, which none of the sides
//! computes. It does not see programs that use the tile unit (AMX): where our kernels use that, scores
//! of the published network are a second probe.

use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use score_nets::fused::Isa;
use score_nets::{NetConfig, ScoreNet};
use sde_core::{Key, Score, State};
use serde::Serialize;

use crate::timing::{Summary, seconds};

/// A machine counts as idle while every probe takes at most this many times its fastest time.
const SLOWER: f64 = 1.15;
/// Side of the probe's matrices.
const SIDE: usize = 512;

/// The seconds of a small piece of work.
type Probe = Box<dyn FnMut() -> Result<f64>>;

/// Decides which measurements count.
pub(crate) struct Idle {
    /// The product of matrices first; none where every measurement counts.
    probes: Vec<Probe>,
    /// The fastest time of each.
    fastest: Vec<f64>,
    /// What may be spent on waiting and repeating in all.
    patience: Duration,
    /// What the measurements so far have left of their shares of it.
    left: Duration,
    /// For each measurement that counts, the slower times of the probes around it.
    around: Vec<Vec<f64>>,
    repeated: usize,
}

/// How often the machine was not idle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Outcome {
    /// Measurements that count.
    pub(crate) counted: usize,
    /// Those among them that were disturbed: patience was over, or a faster probe came later.
    pub(crate) disturbed: usize,
    /// Measurements that were thrown away.
    pub(crate) repeated: usize,
    /// Rate of the fastest product.
    pub(crate) fastest_gflops: f64,
}

impl Idle {
    /// Spends at most so many minutes beyond what the measurements that count take; without a number
    /// nothing is probed or repeated.
    pub(crate) fn new(minutes: Option<u16>) -> Result<Self> {
        let mut probes = Vec::new();
        if minutes.is_some() {
            probes.push(product()?);
            if Isa::detect() == Isa::Amx {
                probes.push(scores()?);
            }
        }
        Ok(Self::with(Duration::from_secs(60 * u64::from(minutes.unwrap_or(0))), probes))
    }

    fn with(patience: Duration, probes: Vec<Probe>) -> Self {
        let (fastest, around) = (vec![f64::INFINITY; probes.len()], Vec::new());
        Self { probes, fastest, patience, left: Duration::ZERO, around, repeated: 0 }
    }

    /// Times the probes and remembers the fastest times.
    pub(crate) fn probe(&mut self) -> Result<Vec<f64>> {
        let times = self.probes.iter_mut().map(|probe| probe()).collect::<Result<Vec<_>>>()?;
        self.fastest = pairwise(&self.fastest, &times, f64::min);
        Ok(times)
    }

    fn is_slow(&self, times: &[f64]) -> bool {
        self.fastest.iter().zip(times).any(|(fastest, seconds)| *seconds > SLOWER * fastest)
    }

    /// The seconds that `work` returns, on an idle machine where there is one in time. It is one of
    /// `n_measurements`, each of which may use the same share of the patience, and what earlier ones left.
    pub(crate) fn measure(
        &mut self,
        n_measurements: usize,
        mut work: impl FnMut() -> Result<f64>,
    ) -> Result<f64> {
        self.left += self.patience / n_measurements as u32;
        loop {
            let mut start = Instant::now();
            let mut before = self.probe()?;
            while self.is_slow(&before) && !self.left.is_zero() {
                std::thread::sleep(Duration::from_millis(200));
                self.left = self.left.saturating_sub(start.elapsed());
                start = Instant::now();
                before = self.probe()?;
            }
            let seconds = work()?;
            let around = pairwise(&before, &self.probe()?, f64::max);
            if !self.is_slow(&around) || self.left.is_zero() {
                self.around.push(around);
                return Ok(seconds);
            }
            self.left = self.left.saturating_sub(start.elapsed());
            self.repeated += 1;
        }
    }

    /// Judged by the fastest probes of the whole run; none where nothing was probed.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.fastest.first().map(|fastest| Outcome {
            counted: self.around.len(),
            disturbed: self.around.iter().filter(|times| self.is_slow(times)).count(),
            repeated: self.repeated,
            fastest_gflops: 2e-9 * (SIDE as f64).powi(3) / fastest,
        })
    }
}

fn pairwise(a: &[f64], b: &[f64], of: fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| of(*a, *b)).collect()
}

impl Outcome {
    pub(crate) fn in_words(&self) -> String {
        let Self { counted, disturbed, repeated, fastest_gflops } = self;
        format!(
            "{counted} measurements between probes at most {:.0} % slower than the fastest \
             ({fastest_gflops:.0} GF/s), {repeated} repeated, {disturbed} disturbed all the same",
            100.0 * (SLOWER - 1.0)
        )
    }
}

/// The median of some calls, after others that wake the cores.
fn probe<T>(mut work: impl FnMut() -> Result<T> + 'static) -> Probe {
    Box::new(move || {
        let all = (0..16).map(|_| seconds(&mut work)).collect::<Result<Vec<_>>>()?;
        Ok(Summary::of(&all[4..]).median)
    })
}

fn normals(shape: (usize, usize), seed: u64) -> Result<Tensor> {
    Ok(Tensor::zeros(shape, DType::F32, &Device::Cpu)?.normals_like(Key::root(seed), 0)?)
}

fn product() -> Result<Probe> {
    let (a, b) = (normals((SIDE, SIDE), 7)?, normals((SIDE, SIDE), 8)?);
    Ok(probe(move || Ok(a.matmul(&b)?)))
}

/// Scores of a fresh published network.
fn scores() -> Result<Probe> {
    let net = ScoreNet::new(NetConfig::published(), Key::root(9), DType::F32, &Device::Cpu)?;
    let x = normals((4_800, 2), 10)?;
    Ok(probe(move || Ok(net.score(&x, 1.0)?)))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    /// Measures three times with scripted probes; returns which calls of the work counted.
    fn three(patience: u64, probes: &[&'static [f64]]) -> Result<(Vec<f64>, [usize; 3])> {
        let scripted = |probe: &&'static [f64]| -> Probe {
            let mut seconds = probe.iter().copied();
            Box::new(move || seconds.next().context("no more probes"))
        };
        let probes = probes.iter().map(scripted).collect();
        let mut idle = Idle::with(Duration::from_secs(patience), probes);
        let mut calls = 0.0;
        let mut work = || {
            calls += 1.0;
            Ok(calls)
        };
        let found = (0..3).map(|_| idle.measure(3, &mut work)).collect::<Result<_>>()?;
        let outcome = idle.outcome().context("it probes")?;
        Ok((found, [outcome.counted, outcome.disturbed, outcome.repeated]))
    }

    #[test]
    fn what_was_disturbed_is_repeated() -> Result<()> {
        // Before and after each of five; the third waits for one probe, the fourth ends in a slow one.
        let probe: &[f64] = &[1.0, 1.1, 1.0, 1.0, 2.0, 1.0, 1.5, 1.1, 1.1];
        assert_eq!(three(3600, &[probe])?, (vec![1.0, 2.0, 4.0], [3, 0, 1]));
        Ok(())
    }

    #[test]
    fn one_slow_probe_of_two_is_enough() -> Result<()> {
        // Before and after each of four: the second ends in a slow product, the third in slow scores.
        let product: &[f64] = &[1.0, 1.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let scores: &[f64] = &[5.0, 5.0, 5.0, 5.0, 5.0, 8.0, 5.0, 5.0, 5.0, 5.5];
        assert_eq!(three(3600, &[product, scores])?, (vec![1.0, 4.0, 5.0], [3, 0, 2]));
        Ok(())
    }

    #[test]
    fn without_patience_all_count_and_the_disturbed_are_counted() -> Result<()> {
        let probe: &[f64] = &[2.0, 2.0, 1.0, 1.1, 1.1, 1.2];
        assert_eq!(three(0, &[probe])?, (vec![1.0, 2.0, 3.0], [3, 2, 0]));
        Ok(())
    }
}
