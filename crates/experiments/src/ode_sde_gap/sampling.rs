//! Samples of the ODE and of the SDE, counted as they come: memory does not grow with their number.

use std::time::Instant;

use anyhow::{Context as _, Result};
use candle_core::{Device, Tensor};
use metrics::HistogramBuilder;
use ndarray::{Array2, Array3, ArrayView2, s};
use score_nets::{Backend, ScoreNet};
use sde_core::{Key, KroneckerSequence, Reverse, State as _};
use serde::{Deserialize, Serialize};
use solvers::{
    ConfiguredMethod, Control, End, Grid, IndependentIncrements, NoiselessEnd, Sampler, SolveError,
    Trajectory, sample_from, solve,
};

use super::cell::Purpose;
use super::config::{Config, Starts};
use crate::model::to_rows;
use crate::ode_sde_gap::report::data::Paths;
use crate::runs::{Workspace, read_json};
use crate::{atomic, npy};

/// Particles between two saves of the counts. No particle depends on it.
const CHUNK: u64 = 25_000;

/// Which of the two equations is solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Equation {
    /// The probability-flow ODE.
    Ode,
    /// The reverse SDE.
    Sde,
}

impl Equation {
    fn name(self) -> &'static str {
        match self {
            Self::Ode => "ode",
            Self::Sde => "sde",
        }
    }

    /// What its random numbers are for.
    pub(super) fn purpose(self) -> Purpose {
        match self {
            Self::Ode => Purpose::Ode,
            Self::Sde => Purpose::Sde,
        }
    }
}

/// A sample as counts on the grid, and its first particles.
#[derive(Clone, Debug)]
pub(super) struct Sampled {
    /// Particles counted, row = y, column = x.
    pub(super) counted: HistogramBuilder,
    /// The first particles as they are.
    pub(super) cloud: Array2<f64>,
    /// Seconds.
    pub(super) seconds: f64,
    /// Evaluations of the score for one particle.
    pub(super) nfe: u64,
}

/// What is saved beside counts and cloud.
#[derive(Serialize, Deserialize)]
struct State {
    seen: u64,
    kept: u64,
    #[serde(with = "crate::number")]
    seconds: f64,
    nfe: u64,
}

impl Sampled {
    fn new(config: &Config) -> Result<Self> {
        let counted = HistogramBuilder::new(config.measuring.half_width, config.measuring.grid)?;
        Ok(Self { counted, cloud: Array2::zeros((0, 2)), seconds: 0.0, nfe: 0 })
    }

    /// The counts as they are saved and drawn.
    pub(super) fn counts(&self) -> Array2<f64> {
        self.counted.counts().mapv(|count| count as f64)
    }

    /// Share of the particles outside the window.
    pub(super) fn discarded(&self) -> f64 {
        let (seen, kept) = (self.counted.n_seen(), self.counted.n_kept());
        (seen - kept) as f64 / seen.max(1) as f64
    }

    fn add(&mut self, config: &Config, x: ArrayView2<f64>) -> Result<()> {
        self.counted.add(x)?;
        let room = config.measuring.cloud.saturating_sub(self.cloud.nrows()).min(x.nrows());
        if room > 0 {
            self.cloud.append(ndarray::Axis(0), x.slice(s![..room, ..]))?;
        }
        Ok(())
    }
}

/// Samples the truth.
pub(super) fn truth(
    config: &Config,
    data: sde_core::analytic::DataSet,
    key: Key,
    n: u64,
) -> Result<Sampled> {
    let mut sampled = Sampled::new(config)?;
    let mut first = 0;
    while first < n {
        let rows = (n - first).min(CHUNK);
        sampled.add(config, data.sample(key, first, rows as usize).view())?;
        first += rows;
    }
    Ok(sampled)
}

/// A sampling under way: where its particles come from and where its counts are kept.
pub(super) struct Job<'a> {
    pub(super) config: &'a Config,
    pub(super) net: &'a ScoreNet,
    pub(super) equation: Equation,
    pub(super) key: Key,
    /// The cell's name.
    pub(super) name: &'a str,
    pub(super) workspace: &'a Workspace,
}

impl Job<'_> {
    fn end(&self) -> End {
        match (self.equation, *self.config.sampling.end) {
            // An ODE has no noise to leave out.
            (Equation::Ode, End::NoNoise) => End::Plain,
            (_, end) => end,
        }
    }

    /// Method, particles and eta.
    fn solved(&self) -> (&ConfiguredMethod, u64, f64) {
        let s = &self.config.sampling;
        match self.equation {
            Equation::Ode => (&s.ode_method, s.n_ode(), 0.0),
            Equation::Sde => (&s.sde_method, s.n, 1.0),
        }
    }

    /// As configured; on a device at least what fills it.
    fn block_rows(&self) -> Result<u64> {
        let device = self.net.device();
        let fills = Backend::new(device.clone(), self.net.dtype())?.block_rows();
        let block = self.config.sampling.block as u64;
        Ok(if device.is_cpu() { block } else { block.max(fills) })
    }

    fn file(&self, what: &str) -> std::path::PathBuf {
        self.workspace.path(&format!("samples/{}_{}_{what}", self.name, self.equation.name()))
    }

    /// Draws all particles, continuing after the last chunk that was saved.
    ///
    /// # Errors
    /// A state that is not finite, a full device; [`Interrupted`](crate::runs::Interrupted) after ctrl-c.
    pub(super) fn run(&self) -> Result<Sampled> {
        self.run_in(CHUNK)
    }

    /// The key of prior and noise. Runs of one chunk have always had it.
    fn draws(&self) -> Key {
        self.key.fold(0)
    }

    /// As [`Job::run`], with a save after so many particles.
    fn run_in(&self, chunk: u64) -> Result<Sampled> {
        let (config, (method, n, eta)) = (self.config, self.solved());
        let mut sampled = self.restore()?;
        let sampler = Sampler {
            method: method.clone(),
            eta,
            control: Control::Grid(config.times()?),
            end: self.end(),
            block_rows: self.block_rows()?,
        };
        let label = format!("{} {}", self.equation.name().to_uppercase(), self.name);
        let (steps, progress) = (config.sampling.steps as f64, &self.workspace.progress);
        progress.resumed("sample", sampled.counted.n_seen() as f64 * steps);
        let mut bar = progress.part(&label, "sample", (n, sampled.counted.n_seen()), steps);
        while sampled.counted.n_seen() < n {
            let seen = sampled.counted.n_seen();
            let rows = seen..n.min(seen.saturating_add(chunk));
            let start = Instant::now();
            let mut next = sampled.clone();
            let done = sample_from(
                &sampler,
                self.net.sde(),
                self.net,
                rows,
                self.draws(),
                &|first, len| self.starts(first, len),
                &mut |_, x| {
                    if self.workspace.interrupted() {
                        return Err(refuse("interrupted"));
                    }
                    let x = to_rows(&x).map_err(refuse)?;
                    next.add(config, x.view()).map_err(refuse)?;
                    bar.advance(x.nrows() as u64);
                    Ok(())
                },
            );
            if done.is_err() {
                self.workspace.go_on()?;
            }
            let done = done.with_context(|| {
                format!("sampling the {} of {}", self.equation.name().to_uppercase(), self.name)
            })?;
            next.seconds += start.elapsed().as_secs_f64();
            next.nfe = done.nfe;
            sampled = next;
            self.save(&sampled)?;
        }
        Ok(sampled)
    }

    /// The particles `first ..` at the horizon, `[len, 2]`.
    fn starts(&self, first: u64, len: usize) -> sde_core::Result<Tensor> {
        let z = zeros(self.net, len)?;
        let z = match self.config.sampling.starts {
            Starts::Independent => z.normals_like(self.draws().fold(0), first)?,
            Starts::QuasiMonteCarlo => {
                let mut normals = vec![0.0; 2 * len];
                KroneckerSequence::new(self.key, 2).fill_normals(first, &mut normals);
                let host = Tensor::from_vec(normals, (len, 2), &Device::Cpu)?;
                host.to_dtype(z.dtype())?.to_device(z.device())?
            }
        };
        Tensor::lincomb(&[(self.net.sde().prior_std(), &z)])
    }

    /// Follows a few particles from `x` (the same for ODE and SDE) through every step.
    pub(super) fn paths(&self, starts: &Tensor) -> Result<(Vec<f64>, Array3<f64>)> {
        let times = self.config.times()?;
        let (method, _, eta) = self.solved();
        let problem = Reverse::new(self.net.sde(), self.net, eta)?;
        let stepper = method.stepper::<Tensor, Reverse<'_, Tensor>>(Some(&times));
        let mut grid = Grid::new(times.clone())?;
        let fresh = IndependentIncrements::new(self.key, 0);
        let noiseless = NoiselessEnd::new(&fresh, times[times.len() - 1]);
        let mut seen = Trajectory { times: vec![times[0]], states: vec![starts.clone()] };
        solve(&*stepper, &problem, starts.clone(), times[0], &mut grid, &noiseless, &mut seen)?;
        let n = starts.dim(0)?;
        let mut states = Array3::zeros((seen.times.len(), n, 2));
        for (k, x) in seen.states.iter().enumerate() {
            states.slice_mut(s![k, .., ..]).assign(&to_rows(x)?);
        }
        Ok((seen.times, states))
    }

    /// What an earlier session has drawn; nothing when its files do not agree.
    fn restore(&self) -> Result<Sampled> {
        let fresh = Sampled::new(self.config)?;
        // Damaged files are as good as none: drawing anew gives what they held.
        let (Ok(saved), Ok(counts), Ok(cloud)) = (
            read_json::<State>(&self.file("state.json")),
            npy::read_rows(&self.file("counts.npy")),
            npy::read_rows(&self.file("cloud.npy")),
        ) else {
            return Ok(fresh);
        };
        let wanted = (self.config.measuring.cloud as u64).min(saved.seen);
        // A process killed between two of the three files leaves counts of another moment.
        let State { seen, kept, seconds, nfe } = saved;
        let same = counts.dim() == fresh.counted.counts().dim()
            && counts.sum() == kept as f64
            && cloud.nrows() as u64 == wanted
            && seen <= self.solved().1;
        let counts = counts.mapv(|count| count as u64);
        let half_width = self.config.measuring.half_width;
        let counted = HistogramBuilder::from_counts(half_width, counts, seen);
        Ok(match counted {
            Ok(counted) if same && counted.n_kept() == kept => {
                Sampled { counted, cloud, seconds, nfe }
            }
            _ => fresh,
        })
    }

    fn save(&self, sampled: &Sampled) -> Result<()> {
        npy::write(&self.file("counts.npy"), sampled.counts().view())?;
        npy::write(&self.file("cloud.npy"), sampled.cloud.view())?;
        let Sampled { seconds, nfe, .. } = *sampled;
        let (seen, kept) = (sampled.counted.n_seen(), sampled.counted.n_kept());
        let state = serde_json::to_vec(&State { seen, kept, seconds, nfe })?;
        Ok(atomic::write(&self.file("state.json"), &state)?)
    }
}

/// The course of a few particles under both samplers, from the same starts.
pub(super) fn both_paths(ode: &Job<'_>, sde: &Job<'_>, key: Key) -> Result<Paths> {
    let n = ode.config.sampling.paths;
    let z = zeros(ode.net, n)?.normals_like(key, 0)?;
    let starts = Tensor::lincomb(&[(ode.net.sde().prior_std(), &z)])?;
    let (times, ode) = ode.paths(&starts)?;
    let (_, sde) = sde.paths(&starts)?;
    Ok(Paths { times, ode, sde })
}

/// As many particles as a network takes them.
fn zeros(net: &ScoreNet, n: usize) -> sde_core::Result<Tensor> {
    Ok(Tensor::zeros((n, 2), net.dtype(), net.device())?)
}

fn refuse(error: impl std::fmt::Display) -> SolveError {
    SolveError::Setup(sde_core::Error::Model(error.to_string().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ode_sde_gap::cell::{Cell, Purpose, key};
    use crate::ode_sde_gap::training::net_config;
    use candle_core::DType;

    /// How often the counts are saved changes no particle, and neither does an interruption.
    #[test]
    fn chunks_change_nothing() -> Result<()> {
        for starts in [Starts::Independent, Starts::QuasiMonteCarlo] {
            let mut config = Config::preset("smoke")?;
            config.sampling.starts = starts;
            config.measuring.cloud = 300;
            let cell = Cell::new(*config.data_sets[0], 0.0);
            let weights = key(&config, Purpose::Weights, cell.data);
            let net =
                ScoreNet::new(net_config(&config, &cell)?, weights, DType::F32, &Device::Cpu)?;
            for equation in [Equation::Ode, Equation::Sde] {
                let key = key(&config, Purpose::Sde, cell.data);
                // All particles, after an earlier session has drawn so many.
                let drawn = |chunk: u64, before: u64| -> Result<Array2<f64>> {
                    let dir = tempfile::tempdir()?;
                    let workspace = Workspace::of_a_test(&dir.path().join("run"))?;
                    let mut cloud = Array2::zeros((0, 2));
                    for n in [before, 300] {
                        let mut config = config.clone();
                        config.sampling.n = n;
                        let (config, net, name) = (&config, &net, "a");
                        let workspace = &workspace;
                        let job = Job { config, net, equation, key, name, workspace };
                        cloud = job.run_in(chunk)?.cloud;
                    }
                    Ok(cloud)
                };
                let whole = drawn(CHUNK, 300)?;
                assert_eq!(whole.nrows(), 300);
                for (chunk, before) in [(120, 300), (77, 40), (1, 299)] {
                    assert_eq!(drawn(chunk, before)?, whole, "{equation:?} {chunk} {before}");
                }
            }
        }
        Ok(())
    }
}
