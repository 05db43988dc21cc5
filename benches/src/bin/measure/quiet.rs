//! Measuring while nobody else uses the machine.
//!
//! On shared cores a neighbour slows some instructions more than others, so that a ratio depends on
//! when it was taken. A probe, a product of matrices that takes about a millisecond and is no side's,
//! is timed before and after a measurement; where it is slow, the measurement is taken again.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use sde_core::{Key, State};
use serde::Serialize;

use crate::timing::{Spread, seconds};

/// How much longer than the fastest probe a probe takes on a machine that is still called quiet.
const SLOWER: f64 = 1.15;

/// Side of the probe's matrices.
const SIDE: usize = 512;

/// Decides which measurements count.
pub(crate) struct Quiet {
    /// Seconds of the probe.
    probe: Box<dyn FnMut() -> Result<f64>>,
    /// Those of the fastest so far.
    fastest: f64,
    /// What may be spent on waiting and on measurements that are taken again.
    patience: Duration,
    /// What is left of the shares of it that the measurements so far were given.
    left: Duration,
    /// The slower one of the two probes around each measurement that counts.
    around: Vec<f64>,
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
        let square = Tensor::zeros((SIDE, SIDE), DType::F32, &Device::Cpu)?;
        let matrix = |seed| square.normals_like(Key::root(seed), 0);
        let (a, b) = (matrix(7)?, matrix(8)?);
        // The median of some, after others that wake the cores.
        let probe = move || {
            let once = |_| seconds(|| Ok(black_box(a.matmul(&b)?)));
            let all = (0..16).map(once).collect::<Result<Vec<_>>>()?;
            Ok(Spread::of(all[4..].iter().copied()).median)
        };
        Ok(Self::with(patience, probe))
    }

    fn with(patience: Duration, probe: impl FnMut() -> Result<f64> + 'static) -> Self {
        let (probe, fastest) = (Box::new(probe), f64::INFINITY);
        let left = Duration::ZERO;
        Self { probe, fastest, patience, left, around: Vec::new(), again: 0 }
    }

    /// How long the probe takes now; it learns by it what fast is.
    pub(crate) fn probe(&mut self) -> Result<f64> {
        let probe = (self.probe)()?;
        self.fastest = self.fastest.min(probe);
        Ok(probe)
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
            let slower = before.max(self.probe()?);
            if slower <= SLOWER * self.fastest || self.left.is_zero() {
                self.around.push(slower);
                return Ok(seconds);
            }
            self.left = self.left.saturating_sub(start.elapsed());
            self.again += 1;
        }
    }

    /// The first quick probe, or the one at which patience ends.
    fn wait(&mut self) -> Result<f64> {
        loop {
            let start = Instant::now();
            let probe = self.probe()?;
            if probe <= SLOWER * self.fastest || self.left.is_zero() {
                return Ok(probe);
            }
            std::thread::sleep(Duration::from_millis(200));
            self.left = self.left.saturating_sub(start.elapsed());
        }
    }

    /// What was disturbed is judged by the fastest probe of all, which may have come late.
    pub(crate) fn outcome(&self) -> Outcome {
        let disturbed = self.around.iter().filter(|probe| **probe > SLOWER * self.fastest).count();
        Outcome {
            counted: self.around.len(),
            disturbed,
            again: self.again,
            fastest_gflops: 2e-9 * (SIDE as f64).powi(3) / self.fastest,
        }
    }
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
    fn three(patience: Duration, probes: &'static [f64]) -> Result<(Vec<f64>, Outcome)> {
        let mut probes = probes.iter().copied();
        let mut quiet = Quiet::with(patience, move || probes.next().context("no more probes"));
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
        let probes = &[1.0, 1.1, 1.0, 1.0, 2.0, 1.0, 1.5, 1.1, 1.1];
        let (found, outcome) = three(Duration::from_secs(3600), probes)?;
        assert_eq!(found, [1.0, 2.0, 4.0]);
        assert_eq!((outcome.counted, outcome.disturbed, outcome.again), (3, 0, 1));
        Ok(())
    }

    #[test]
    fn without_patience_all_count_and_the_disturbed_are_told() -> Result<()> {
        let (found, outcome) = three(Duration::ZERO, &[2.0, 2.0, 1.0, 1.1, 1.1, 1.2])?;
        assert_eq!(found, [1.0, 2.0, 3.0]);
        assert_eq!((outcome.counted, outcome.disturbed, outcome.again), (3, 2, 0));
        Ok(())
    }
}
