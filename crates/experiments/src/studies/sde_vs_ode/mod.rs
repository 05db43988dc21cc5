//! `sde-vs-ode`: the same law by a smooth and by a zigzag way, and what the difference is made of.

mod page;
mod split;

use std::path::Path;

use ::solvers::Method;
use ::solvers::steppers::{EulerMaruyama, Heun};
use anyhow::{Context as _, Result, ensure};
use metrics::{Estimate, Metric, NoiseFloor};
use ndarray::Array2;
use rayon::prelude::*;
use report::Sheet;
use sde_core::{Key, Reverse, Sde, State as _, TimeGrid};
use serde::{Deserialize, Serialize};

use super::sampling::on_the_way;
use super::target::{Target, noised};
use crate::distance::{Distance, Sizes, Truth, Window, between};
use crate::model::rows;
use crate::named::Named;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};
use split::FlowThenLangevin;

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SdeVsOde;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    sde: Named<dyn Sde>,
    line: Named<Target>,
    plane: Named<Target>,
    paths: usize,
    steps: usize,
    t_end: f64,
    lengths: Vec<usize>,
    target: Named<Target>,
    n: usize,
    truth: usize,
    floors: usize,
    snapshots: usize,
    wrong_mean: f64,
    wrong_std: f64,
    window: Window,
}

/// Particles over time, `x[time][particle][coordinate]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Paths {
    #[serde(with = "crate::number")]
    times: Vec<f64>,
    #[serde(with = "crate::number")]
    ode: Vec<Vec<Vec<f64>>>,
    #[serde(with = "crate::number")]
    sde: Vec<Vec<Vec<f64>>>,
}

/// Mean length of a path on the line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Length {
    steps: usize,
    #[serde(with = "crate::number")]
    ode: f64,
    #[serde(with = "crate::number")]
    sde: f64,
}

/// Squared W2 at one time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Snapshot {
    #[serde(with = "crate::number")]
    t: f64,
    /// To `p_t`; nothing when the sample left the window.
    ode: Option<Estimate>,
    sde: Option<Estimate>,
    split: Option<Estimate>,
    /// Samples of the truth, as large, to `p_t`.
    floor: NoiseFloor,
    /// Between samplers.
    sde_split: Option<Distance>,
    ode_sde: Option<Distance>,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    line: Paths,
    plane: Paths,
    lengths: Vec<Length>,
    right: Vec<Snapshot>,
    wrong: Vec<Snapshot>,
}

impl Config {
    fn times(&self, steps: usize) -> Result<Vec<f64>> {
        let sde = &*self.sde;
        TimeGrid::Uniform.times(sde, steps, sde.horizon(), self.t_end).context("steps, t-end")
    }

    fn key(&self, purpose: u64) -> Key {
        Key::root(self.seed).fold(purpose)
    }
}

impl Experiment for SdeVsOde {
    const NAME: &'static str = "sde-vs-ode";
    const ABOUT: &'static str = "smooth and zigzag trajectories over the density; the SDE as the flow ODE plus Langevin dynamics";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("sde-vs-ode");
    const RENAMED: &'static [(&'static str, &'static str)] = &[("looks", "snapshots")];
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        checks::below_horizon("t-end", &*config.sde, config.t_end)?;
        config.line.in_dimensions("line", 1)?;
        config.plane.in_dimensions("plane", 2)?;
        config.target.in_dimensions("target", 2)?;
        let Config { paths, steps, snapshots, n, truth, floors, .. } = *config;
        let lengths = config.lengths.len();
        checks::all_at_least(&[("paths", paths, 1), ("steps", steps, 2)])?;
        checks::all_at_least(&[("snapshots", snapshots, 2), ("lengths", lengths, 2)])?;
        ensure!(snapshots <= steps, "snapshots = {snapshots}: more than there are steps");
        Sizes { n, truth, floors }.check("")?;
        checks::within("wrong-mean", config.wrong_mean, -1e6..=1e6)?;
        checks::within("wrong-std", config.wrong_std, 1e-6..=1e6)?;
        config.window.check()?;
        // Every step of the drawn paths, as rows, text and lines of a drawing.
        checks::memory(&[("paths", paths), ("steps", steps)], 500)?;
        checks::memory(&[("n", n), ("snapshots", snapshots)], 200)?;
        let mut work = checks::time(&[("steps", steps), ("paths and n", paths.saturating_add(n))])?;
        for length in config.lengths.iter().copied() {
            checks::at_least("lengths", length, 1)?;
            checks::memory(&[("lengths", length), ("particles", PARTICLES)], 64)?;
            work += checks::time(&[("lengths", length), ("particles", PARTICLES)])?;
            config.times(length).with_context(|| format!("lengths: {length}"))?;
        }
        config.times(steps)?;
        Ok(10.0 * work)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        Ok(Results {
            line: workspace.part("line", || paths(config, &config.line, 0))?,
            plane: workspace.part("plane", || paths(config, &config.plane, 1))?,
            lengths: config
                .lengths
                .iter()
                .map(|steps| workspace.part(&format!("length-{steps}"), || length(config, *steps)))
                .collect::<Result<_>>()?,
            right: workspace.part("law-right", || snapshots(config, false))?,
            wrong: workspace.part("law-wrong", || snapshots(config, true))?,
        })
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let methods = [Method::Heun, Method::EulerMaruyama].map(Method::reference).into_iter();
        let more = [citations::sde(&*config.sde), "song2021", Metric::W2.info().reference];
        methods.chain(more).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        page::page(config, results)
    }
}

/// Times, and the states of ODE and SDE at each.
type Trajectories = (Vec<f64>, [Vec<Array2<f64>>; 2]);

/// Particles of both samplers from the same starts, every step kept.
fn trajectories(
    config: &Config,
    target: &Target,
    steps: usize,
    n: usize,
    key: Key,
) -> Result<Trajectories> {
    let (sde, mixture) = (&*config.sde, target.mixture()?);
    let score = mixture.under(sde);
    let times = config.times(steps)?;
    let starts = noised(&mixture, sde, times[0], key.fold(0), n)?;
    let keep: Vec<usize> = (0..=steps).collect();
    let ode = Reverse::ode(sde, &score);
    let ode = on_the_way(&Heun, &ode, &times, &keep, &starts, key.fold(1))?;
    let reverse = Reverse::sde(sde, &score);
    let noisy = on_the_way(&EulerMaruyama, &reverse, &times, &keep, &starts, key.fold(1))?;
    let finite = ode.iter().chain(&noisy).all(|x| x.iter().all(|v| v.is_finite()));
    ensure!(finite, "the paths leave the numbers in {steps} steps: take more of them");
    Ok((times, [ode, noisy]))
}

/// Particles that a length is the mean of.
const PARTICLES: usize = 200;

fn paths(config: &Config, target: &Target, purpose: u64) -> Result<Paths> {
    let (times, [ode, sde]) =
        trajectories(config, target, config.steps, config.paths, config.key(purpose))?;
    Ok(Paths { times, ode: ode.iter().map(rows).collect(), sde: sde.iter().map(rows).collect() })
}

fn length(config: &Config, steps: usize) -> Result<Length> {
    let (_, [ode, sde]) = trajectories(config, &config.line, steps, PARTICLES, config.key(2))?;
    let mean = |states: &[Array2<f64>]| {
        let total: f64 = states.windows(2).map(|w| (&w[1] - &w[0]).mapv(f64::abs).sum()).sum();
        total / PARTICLES as f64
    };
    Ok(Length { steps, ode: mean(&ode), sde: mean(&sde) })
}

/// The three samplers against `p_t` and each other, from the right or from a wrong start.
fn snapshots(config: &Config, wrong: bool) -> Result<Vec<Snapshot>> {
    let (sde, mixture) = (&*config.sde, config.target.mixture()?);
    let score = mixture.under(sde);
    let times = config.times(config.steps)?;
    let n = config.n;
    let mut starts = noised(&mixture, sde, times[0], config.key(3), n)?;
    if wrong {
        starts = starts.normals_like(config.key(4), 0)? * config.wrong_std + config.wrong_mean;
    }
    // The start itself, then evenly down to the end.
    let keep: Vec<usize> =
        (0..config.snapshots).map(|k| k * config.steps / (config.snapshots - 1)).collect();
    let reverse = Reverse::sde(sde, &score);
    let flow = Reverse::ode(sde, &score);
    // Noise of its own for each: samples that shared it would agree better than their laws do.
    let key = |purpose: u64| config.key(purpose);
    let ode = on_the_way(&Heun, &flow, &times, &keep, &starts, key(5))?;
    let noisy = on_the_way(&EulerMaruyama, &reverse, &times, &keep, &starts, key(6))?;
    let split =
        on_the_way(&FlowThenLangevin { flow: &flow }, &reverse, &times, &keep, &starts, key(7))?;
    (0..keep.len())
        .into_par_iter()
        .map(|k| {
            let t = times[keep[k]];
            let truth = noised(&mixture, sde, t, key(8).fold(k as u64), config.truth)?;
            let draws = |purpose: u64| (config.floors, key(9).fold(k as u64).fold(purpose));
            let truth = Truth::new(config.window, truth.view(), n, draws(0))?;
            let [ode, noisy, split] = [&ode, &noisy, &split].map(|states| states[k].view());
            Ok(Snapshot {
                t,
                ode: truth.distance(ode)?,
                sde: truth.distance(noisy)?,
                split: truth.distance(split)?,
                floor: truth.floor,
                sde_split: between(config.window, noisy, split, draws(1))?,
                ode_sde: between(config.window, ode, noisy, draws(2))?,
            })
        })
        .collect()
}
