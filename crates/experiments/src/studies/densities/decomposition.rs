//! What the measured distance of samples is made of.

use anyhow::{Context as _, Result, ensure};
use metrics::{Histogram2d, HistogramBuilder};
use ndarray::{Array2, s};
use rayon::prelude::*;
use sde_core::{Key, Reverse, Sde, State as _, TimeGrid};
use serde::{Deserialize, Serialize};
use solvers::steppers::EulerMaruyama;
use solvers::{Grid, IndependentIncrements, Noise, solve};

use super::Config;
use super::given::Given;
use crate::checks;
use crate::laws::{Between, Laid};
use crate::named::Named;

/// Particles that are solved together.
const BLOCK: usize = 1000;

/// Parts of a sample, whose differences scatter as those of the whole do at their size.
const PARTS: usize = 4;

/// Steps of the coarsest chain in those of the finest.
const COARSEST: usize = 4;

/// Samples and how they are drawn.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Sampled {
    /// Samples of each of ODE and SDE.
    pub(super) n: usize,
    /// Steps of Euler's method, an even number.
    pub(super) steps: usize,
    /// Their times.
    pub(super) grid: Named<TimeGrid>,
    /// Samples of the two laws, as large, that say what noise adds.
    pub(super) draws: usize,
}

impl Sampled {
    pub(super) fn check(&self, sde: &dyn Sde, nodes: usize) -> Result<f64> {
        checks::at_least("sampled.n", self.n, 10 * PARTS)?;
        checks::at_least("sampled.draws", self.draws, 2)?;
        let steps = self.steps;
        ensure!(
            steps > 0 && steps.is_multiple_of(2),
            "sampled.steps = {steps}: must be even and above 0"
        );
        self.grid.times(sde, steps, sde.horizon(), 0.0).context("sampled.steps")?;
        checks::memory(&[("sampled.n", self.n)], 200)?;
        let side = ("window.nodes", nodes);
        checks::time(&[("sampled.draws", self.draws), side, side])?;
        // Three chains of two equations, with 7/2 times the steps together.
        Ok(7.0 * checks::time(&[("sampled.n", self.n), ("sampled.steps", steps)])?)
    }
}

/// A part from one end to the other, of squared W2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Part {
    #[serde(with = "crate::number")]
    pub(super) low: f64,
    #[serde(with = "crate::number")]
    pub(super) high: f64,
}

impl Part {
    fn around(value: f64, error: f64) -> Self {
        Self { low: value - error, high: value + error }
    }

    fn plus(self, other: Self) -> Self {
        Self { low: self.low + other.low, high: self.high + other.high }
    }

    pub(super) fn middle(self) -> f64 {
        0.5 * (self.low + self.high)
    }

    pub(super) fn half(self) -> f64 {
        0.5 * (self.high - self.low)
    }
}

/// Squared W2 between samples of ODE and SDE on the nodes, in parts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Decomposition {
    pub(super) n: usize,
    pub(super) steps: usize,
    /// What was measured: samples outside of the window dropped.
    #[serde(with = "crate::number")]
    pub(super) measured: f64,
    /// Of the laws.
    pub(super) continuous: Part,
    /// What the nodes add to it.
    pub(super) binning: Part,
    /// What the steps add.
    pub(super) steps_add: Part,
    /// What the noise of the samples adds.
    pub(super) noise: Part,
    /// All four.
    pub(super) sum: Part,
    /// Shares of the samples outside of the window, ODE and SDE.
    pub(super) outside: [f64; 2],
    /// What the samples outside would add, were they at the nearest node of its border.
    pub(super) escaped: Part,
}

impl Decomposition {
    /// Whether the parts add up to what was measured.
    pub(super) fn adds_up(&self) -> bool {
        (self.sum.low..=self.sum.high).contains(&self.measured)
    }
}

/// Samples of one equation with the chains of three grids, from the coarsest to the finest: counts of every part.
struct Chains {
    dropped: [Vec<HistogramBuilder>; 3],
    /// With what is outside at the border, of the grid in the middle.
    clamped: Vec<HistogramBuilder>,
}

fn whole(parts: &[HistogramBuilder]) -> Result<HistogramBuilder> {
    let mut all = parts.first().context("parts of a sample")?.clone();
    for part in &parts[1..] {
        all.merge(part)?;
    }
    Ok(all)
}

impl Config {
    /// The parts of the distance between samples of ODE and SDE.
    pub(super) fn decomposition(
        &self,
        given: &Given<'_>,
        [ode, sde]: [&Laid; 2],
        gap: &Between,
    ) -> Result<Decomposition> {
        let key = Key::root(self.seed).fold(3);
        let chains = [self.chains(given, 0.0, key.fold(0))?, self.chains(given, 1.0, key.fold(1))?];
        let squared = |grid: usize| self.compared(&chains, |chain| &chain.dropped[grid]);
        let [coarse, middle, fine] = [squared(0)?, squared(1)?, squared(2)?];
        let steps_add = richardson(&coarse, &middle, &fine);
        let clamped = self.compared(&chains, |chain| &chain.clamped)?;
        let differences: Vec<f64> = clamped.1.iter().zip(&middle.1).map(|(a, b)| a - b).collect();
        let escaped = Part::around(clamped.0 - middle.0, 2.0 * standard_error(&differences));
        let noise = self.noise(given, [ode, sde], gap, key.fold(2))?;
        let h = 2.0 * self.window.half_width / (self.window.nodes - 1) as f64;
        // An error of a law is as if that much of it lay one node off.
        let off = (ode.outside.error + sde.outside.error) * h * (h + 2.0 * gap.on_nodes.sqrt());
        let on_nodes = Part::around(gap.on_nodes, off);
        let [lower, upper] = gap.squared();
        let outside = [0, 1].map(|k| {
            let seen: u64 = chains[k].dropped[1].iter().map(HistogramBuilder::n_seen).sum();
            let kept: u64 = chains[k].dropped[1].iter().map(HistogramBuilder::n_kept).sum();
            1.0 - kept as f64 / seen.max(1) as f64
        });
        Ok(Decomposition {
            n: self.sampled.n,
            steps: self.sampled.steps,
            measured: middle.0,
            continuous: Part { low: lower, high: upper },
            binning: Part { low: on_nodes.low - upper, high: on_nodes.high - lower },
            steps_add,
            noise,
            // The two first are known better together than apart.
            sum: on_nodes.plus(steps_add).plus(noise),
            outside,
            escaped,
        })
    }

    /// Squared W2 of two samples, and of each of their parts.
    fn compared(
        &self,
        chains: &[Chains; 2],
        of: impl Fn(&Chains) -> &Vec<HistogramBuilder> + Sync,
    ) -> Result<(f64, Vec<f64>)> {
        let squared = |a: &HistogramBuilder, b: &HistogramBuilder| -> Result<f64> {
            Ok(a.finish()?.w2(&b.finish()?)?.squared)
        };
        let [a, b] = [of(&chains[0]), of(&chains[1])];
        let each = a.iter().zip(b).map(|(a, b)| squared(a, b)).collect::<Result<_>>()?;
        Ok((squared(&whole(a)?, &whole(b)?)?, each))
    }

    fn chains(&self, given: &Given<'_>, eta: f64, key: Key) -> Result<Chains> {
        let (half_width, nodes) = (self.window.half_width, self.window.nodes);
        let empty = || HistogramBuilder::new(half_width, nodes);
        let parts = || (0..PARTS).map(|_| empty()).collect::<Result<Vec<_>, _>>();
        let mut all = Chains { dropped: [parts()?, parts()?, parts()?], clamped: parts()? };
        let sampler = Sampler::new(given, &self.sampled, eta, key)?;
        for (grid, stride) in [COARSEST, COARSEST / 2, 1].into_iter().enumerate() {
            for (part, rows) in sampler.draw(self.sampled.n, stride)?.into_iter().enumerate() {
                all.dropped[grid][part].add(rows.view())?;
                if stride == COARSEST / 2 {
                    let clamped = rows.mapv(|v| v.clamp(-half_width, half_width));
                    all.clamped[part].add(clamped.view())?;
                }
            }
        }
        Ok(all)
    }

    /// What the noise adds: samples of the laws on the nodes, as many as were kept, against the laws.
    fn noise(&self, _: &Given<'_>, laws: [&Laid; 2], gap: &Between, key: Key) -> Result<Part> {
        let draw = |k: usize| -> Result<f64> {
            let sample = |which: usize| -> Result<Histogram2d> {
                let law = laws[which];
                let inside = 1.0 - law.outside.value.clamp(0.0, 1.0);
                let n = (inside * self.sampled.n as f64).round() as usize;
                let key = key.fold(2 * k as u64 + which as u64);
                let counts = multinomial(law.on_nodes.shares().t().iter(), n, key);
                let shape = (self.window.nodes, self.window.nodes);
                let counts = Array2::from_shape_vec(shape, counts)?;
                let half_width = self.window.half_width;
                Ok(HistogramBuilder::from_counts(half_width, counts, n as u64)?.finish()?)
            };
            Ok(sample(0)?.w2(&sample(1)?)?.squared - gap.on_nodes)
        };
        let values = (0..self.sampled.draws).map(draw).collect::<Result<Vec<f64>>>()?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        // One measurement scatters as one draw does.
        let scatter = standard_error(&values) * (n + 1.0).sqrt();
        Ok(Part::around(mean, 2.0 * scatter))
    }
}

/// What steps add to the middle one of three grids by Euler's method, whose error halves with the steps: the two finer say so, and the
/// two coarser how well.
fn richardson(coarse: &(f64, Vec<f64>), middle: &(f64, Vec<f64>), fine: &(f64, Vec<f64>)) -> Part {
    let value = 2.0 * (middle.0 - fine.0);
    let before = coarse.0 - middle.0;
    let each: Vec<f64> =
        middle.1.iter().zip(&fine.1).map(|(middle, fine)| 2.0 * (middle - fine)).collect();
    Part::around(value, (value - before).abs() + 2.0 * standard_error(&each))
}

/// Of the mean of values; infinite of one.
fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    if n > 1.0 { (squares / (n * (n - 1.0))).sqrt() } else { f64::INFINITY }
}

/// Counts of `n` draws from shares that sum to one.
fn multinomial<'a>(shares: impl Iterator<Item = &'a f64>, n: usize, key: Key) -> Vec<u64> {
    let mut sum = 0.0;
    let ends: Vec<f64> = shares
        .map(|share| {
            sum += share;
            sum
        })
        .collect();
    let mut counts = vec![0; ends.len()];
    let mut uniforms = vec![0.0; n];
    key.fill_uniforms(0, &mut uniforms);
    for u in uniforms {
        counts[ends.partition_point(|end| *end < u * sum).min(ends.len() - 1)] += 1;
    }
    counts
}

/// Euler's method on a grid, on every other of its times, and with a time between any two.
struct Sampler<'a> {
    given: &'a Given<'a>,
    eta: f64,
    key: Key,
    /// Of the finest chain, descending.
    times: Vec<f64>,
}

impl<'a> Sampler<'a> {
    fn new(given: &'a Given<'a>, how: &Sampled, eta: f64, key: Key) -> Result<Self> {
        let (sde, horizon) = (given.sde, given.sde.horizon());
        let own = how.grid.times(sde, how.steps, horizon, 0.0).context("sampled.steps")?;
        let halves = own.windows(2).flat_map(|pair| [0.5 * (pair[0] + pair[1]), pair[1]]);
        let times = own.iter().take(1).copied().chain(halves).collect();
        Ok(Self { given, eta, key, times })
    }

    /// Where particles end, in [`PARTS`]: particle `i` starts at the same place and is driven by the same noise whatever the stride.
    fn draw(&self, n: usize, stride: usize) -> Result<Vec<Array2<f64>>> {
        let times: Vec<f64> = self.times.iter().step_by(stride).copied().collect();
        let problem = Reverse::new(self.given.sde, self.given.score, self.eta)?;
        let starts: Vec<usize> = (0..n).step_by(BLOCK).collect();
        let block = |&first: &usize| -> Result<Array2<f64>> {
            let rows = BLOCK.min(n - first);
            let z = Array2::zeros((rows, 2)).normals_like(self.key.fold(0), first as u64)?;
            let start = z * self.given.sde.prior_std();
            let base = IndependentIncrements::new(self.key.fold(1), first as u64);
            let noise = Nested { base, times: &self.times };
            let mut grid = Grid::new(times.clone())?;
            let found =
                solve(&EulerMaruyama, &problem, start, times[0], &mut grid, &noise, &mut ())?;
            Ok(found.x)
        };
        let blocks: Result<Vec<Array2<f64>>> = starts.par_iter().map(block).collect();
        let views = blocks?;
        let views: Vec<_> = views.iter().map(|rows| rows.view()).collect();
        let all = ndarray::concatenate(ndarray::Axis(0), &views)?;
        let part = |k: usize| all.slice(s![k * n / PARTS..(k + 1) * n / PARTS, ..]).to_owned();
        Ok((0..PARTS).map(part).collect())
    }
}

/// Increments over unions of the intervals between given times: sums of those between them.
struct Nested<'a> {
    base: IndependentIncrements,
    times: &'a [f64],
}

impl Noise<Array2<f64>> for Nested<'_> {
    fn increment(&self, like: &Array2<f64>, t0: f64, t1: f64) -> sde_core::Result<Array2<f64>> {
        let place = |t: f64| self.times.partition_point(|known| *known > t);
        let mut sum = Array2::zeros(like.dim());
        for pair in self.times[place(t0)..=place(t1)].windows(2) {
            sum = sum + self.base.increment(like, pair[0], pair[1])?;
        }
        Ok(sum)
    }

    fn first_row(&self) -> u64 {
        Noise::<Array2<f64>>::first_row(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Increments of a coarser grid are sums of those of the finer one.
    #[test]
    fn chains_of_all_grids_see_one_path() -> Result<()> {
        let times = [1.0, 0.7, 0.5, 0.1, 0.0];
        let noise = Nested { base: IndependentIncrements::new(Key::root(1), 5), times: &times };
        let like = Array2::zeros((3, 2));
        let sum = noise.increment(&like, 1.0, 0.7)? + noise.increment(&like, 0.7, 0.5)?;
        assert!((sum - noise.increment(&like, 1.0, 0.5)?).iter().all(|v| v.abs() < 1e-15));
        Ok(())
    }

    /// Of an error that halves with the steps nothing is left, and with another order the error says so.
    #[test]
    fn richardson_removes_what_halves() {
        let at = |value: f64| (value, vec![value; PARTS]);
        let found = richardson(&at(1.4), &at(1.2), &at(1.1));
        assert!((found.middle() - 0.2).abs() < 1e-12 && found.half() < 1e-12, "{found:?}");
        let found = richardson(&at(1.16), &at(1.04), &at(1.01));
        assert!(found.low < 0.04 && 0.04 < found.high, "{found:?}");
    }

    #[test]
    fn draws_have_the_shares_they_are_from() {
        let shares = [0.1, 0.0, 0.6, 0.3];
        let n = 40_000;
        let counts = multinomial(shares.iter(), n, Key::root(2));
        assert_eq!(counts.iter().sum::<u64>(), n as u64);
        for (count, share) in counts.iter().zip(shares) {
            let (mean, deviation) = (n as f64 * share, (n as f64 * share * (1.0 - share)).sqrt());
            assert!((*count as f64 - mean).abs() <= 5.0 * deviation, "{count} {share}");
        }
    }
}
