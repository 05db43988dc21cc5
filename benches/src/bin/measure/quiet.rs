//! Measuring while nobody else uses the machine.
//!
//! On shared cores a neighbour slows some instructions more than others, so that a ratio depends on
//! when it was taken. A probe, a product of matrices that takes about a millisecond and is no side's,
//! is timed before and after a measurement; where it is slow, the measurement is taken again. It does
//! not see who works on the tiles of the core: where ours uses them, scores of the published network
//! are a second probe.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use score_nets::fused::Isa;
use score_nets::{NetConfig, ScoreNet};
use sde_core::{Key, Score, State};
use serde::Serialize;

use crate::timing::{Spread, seconds};

/// How much longer than the fastest probe a probe takes on a machine that is still called quiet.
const SLOWER: f64 = 1.15;

/// Side of the probe's matrices.
const SIDE: usize = 512;

/// A small piece of work that says how fast the machine is.
struct Probe {
    /// Its seconds.
    seconds: Box<dyn FnMut() -> Result<f64>>,
    /// Those of the fastest so far.
    fastest: f64,
}

/// Seconds of each probe.
type Reading = Vec<f64>;

/// Decides which measurements count.
pub(crate) struct Quiet {
    /// The product of matrices first.
    probes: Vec<Probe>,
    /// What may be spent on waiting and on measurements that are taken again.
    patience: Duration,
    /// What is left of the shares of it that the measurements so far were given.
    left: Duration,
    /// The readings before and after each measurement that counts, probe by probe the slower one.
    around: Vec<Reading>,
    again: usize,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Outcome {
    /// Measurements that count.
    pub(crate) counted: usize,
    /// Those among them that were disturbed: patience was over, or a faster probe came later.
    pub(crate) disturbed: usize,
    /// Measurements that were thrown away.
    pub(crate) again: usize,
    /// Rate of the fastest probe.
    pub(crate) fastest_gflops: f64,
}

impl Quiet {
    /// Spends at most `patience` beyond what the measurements that count take.
    pub(crate) fn new(patience: Duration) -> Result<Self> {
        let mut probes = vec![product()?];
        if Isa::detect() == Isa::Amx {
            probes.push(tiles()?);
        }
        Ok(Self::with(patience, probes))
    }

    fn with(patience: Duration, probes: Vec<Probe>) -> Self {
        Self { probes, patience, left: Duration::ZERO, around: Vec::new(), again: 0 }
    }

    /// How long the probes take now; they learn by it what fast is.
    pub(crate) fn probe(&mut self) -> Result<Reading> {
        self.probes.iter_mut().map(Probe::read).collect()
    }

    /// Whether a probe took longer than it does on a quiet machine, as far as is known.
    fn is_slow(&self, reading: &[f64]) -> bool {
        let mut both = self.probes.iter().zip(reading);
        both.any(|(probe, seconds)| *seconds > SLOWER * probe.fastest)
    }

    /// The seconds that `work` says it took, on a quiet machine where there is one in time; one of
    /// `measurements`, which share the patience, so that the long ones do not use it up.
    pub(crate) fn measure(
        &mut self,
        measurements: u32,
        mut work: impl FnMut() -> Result<f64>,
    ) -> Result<f64> {
        self.left += self.patience / measurements;
        loop {
            let before = self.wait()?;
            let start = Instant::now();
            let seconds = work()?;
            let after = self.probe()?;
            let slower: Reading = before.iter().zip(&after).map(|(a, b)| a.max(*b)).collect();
            if !self.is_slow(&slower) || self.left.is_zero() {
                self.around.push(slower);
                return Ok(seconds);
            }
            self.left = self.left.saturating_sub(start.elapsed());
            self.again += 1;
        }
    }

    /// The first quick reading, or the one at which patience ends.
    fn wait(&mut self) -> Result<Reading> {
        loop {
            let start = Instant::now();
            let reading = self.probe()?;
            if !self.is_slow(&reading) || self.left.is_zero() {
                return Ok(reading);
            }
            std::thread::sleep(Duration::from_millis(200));
            self.left = self.left.saturating_sub(start.elapsed());
        }
    }

    /// What was disturbed is judged by the fastest probes of all, which may have come late.
    pub(crate) fn outcome(&self) -> Outcome {
        let disturbed = self.around.iter().filter(|reading| self.is_slow(reading)).count();
        Outcome {
            counted: self.around.len(),
            disturbed,
            again: self.again,
            fastest_gflops: 2e-9 * (SIDE as f64).powi(3) / self.probes[0].fastest,
        }
    }
}

impl Probe {
    /// The median of some times, after others that wake the cores.
    fn of(mut work: impl FnMut() -> Result<()> + 'static) -> Self {
        Self::timed(move || {
            let all = (0..16).map(|_| seconds(&mut work)).collect::<Result<Vec<_>>>()?;
            Ok(Spread::of(all[4..].iter().copied()).median)
        })
    }

    fn timed(seconds: impl FnMut() -> Result<f64> + 'static) -> Self {
        Self { seconds: Box::new(seconds), fastest: f64::INFINITY }
    }

    fn read(&mut self) -> Result<f64> {
        let seconds = (self.seconds)()?;
        self.fastest = self.fastest.min(seconds);
        Ok(seconds)
    }
}

/// A product of matrices that is no side's.
fn product() -> Result<Probe> {
    let square = Tensor::zeros((SIDE, SIDE), DType::F32, &Device::Cpu)?;
    let matrix = |seed| square.normals_like(Key::root(seed), 0);
    let (a, b) = (matrix(7)?, matrix(8)?);
    Ok(Probe::of(move || {
        black_box(a.matmul(&b)?);
        Ok(())
    }))
}

/// Scores of the published network, fresh, about a millisecond of them.
fn tiles() -> Result<Probe> {
    const POINTS: usize = 4_800;
    let net = ScoreNet::new(NetConfig::published(), Key::root(9), DType::F32, &Device::Cpu)?;
    let x = Tensor::zeros((POINTS, 2), DType::F32, &Device::Cpu)?.normals_like(Key::root(10), 0)?;
    Ok(Probe::of(move || {
        black_box(net.score(&x, 1.0)?);
        Ok(())
    }))
}

/// In a sentence, after what stands there already.
pub(crate) fn in_words(outcome: Option<&Outcome>) -> String {
    let Some(Outcome { counted, disturbed, again, fastest_gflops }) = outcome else {
        return String::new();
    };
    format!(
        "; {counted} measurements between probes at most {:.0} % slower than the fastest \
         ({fastest_gflops:.0} GF/s), {again} taken again, {disturbed} disturbed all the same",
        100.0 * (SLOWER - 1.0)
    )
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    /// Measures three times with these probes; every measurement says which it is.
    fn three(patience: Duration, probes: &[&'static [f64]]) -> Result<(Vec<f64>, Outcome)> {
        let scripted = |probe: &&'static [f64]| {
            let mut seconds = probe.iter().copied();
            Probe::timed(move || seconds.next().context("no more probes"))
        };
        let mut quiet = Quiet::with(patience, probes.iter().map(scripted).collect());
        let mut calls = 0.0;
        let mut work = || {
            calls += 1.0;
            Ok(calls)
        };
        let found = (0..3).map(|_| quiet.measure(3, &mut work)).collect::<Result<_>>()?;
        Ok((found, quiet.outcome()))
    }

    #[test]
    fn what_was_disturbed_is_taken_again() -> Result<()> {
        // Before and after each of five; the third waits for one probe, the fourth ends in a slow one.
        let probes: &[f64] = &[1.0, 1.1, 1.0, 1.0, 2.0, 1.0, 1.5, 1.1, 1.1];
        let (found, outcome) = three(Duration::from_secs(3600), &[probes])?;
        assert_eq!(found, [1.0, 2.0, 4.0]);
        assert_eq!((outcome.counted, outcome.disturbed, outcome.again), (3, 0, 1));
        Ok(())
    }

    #[test]
    fn one_slow_probe_of_two_is_enough() -> Result<()> {
        // Before and after each of four: the second ends in a slow product, the third in slow tiles.
        let product: &[f64] = &[1.0, 1.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let tiles: &[f64] = &[5.0, 5.0, 5.0, 5.0, 5.0, 8.0, 5.0, 5.0, 5.0, 5.5];
        let (found, outcome) = three(Duration::from_secs(3600), &[product, tiles])?;
        assert_eq!(found, [1.0, 4.0, 5.0]);
        assert_eq!((outcome.counted, outcome.disturbed, outcome.again), (3, 0, 2));
        Ok(())
    }

    #[test]
    fn without_patience_all_count_and_the_disturbed_are_told() -> Result<()> {
        let probes: &[f64] = &[2.0, 2.0, 1.0, 1.1, 1.1, 1.2];
        let (found, outcome) = three(Duration::ZERO, &[probes])?;
        assert_eq!(found, [1.0, 2.0, 3.0]);
        assert_eq!((outcome.counted, outcome.disturbed, outcome.again), (3, 2, 0));
        Ok(())
    }
}
