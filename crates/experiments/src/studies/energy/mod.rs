//! `energy`: a learned potential as an energy-based model.

mod page;

use std::path::Path;

use ::solvers::steppers::EulerMaruyama;
use anyhow::{Context as _, Result, ensure};
use fp_residual::fokker_planck::OnRows;
use metrics::{Estimate, Metric, NoiseFloor};
use ndarray::Array2;
use report::Sheet;
use sde_core::analytic::DataSet;
use sde_core::{Key, Langevin, Potential, Score, Sde, State as _};
use serde::{Deserialize, Serialize};

use super::sampling::on_the_way;
use super::target::on_square;
use super::train::Training;
use crate::checks;
use crate::distance::{Later, Sizes, Truth, Window};
use crate::model::{rows, to_tensor};
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};

/// Chains whose ends are drawn.
const SHOWN: usize = 600;

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Energy;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    t: f64,
    pixels: usize,
    n: usize,
    truth: usize,
    floors: usize,
    step: f64,
    snapshots: Vec<usize>,
    levels: usize,
    hottest: f64,
    window: Window,
    training: Training,
}

/// Chains after some steps.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Snapshot {
    steps: usize,
    w2: Option<Estimate>,
}

/// The chains of one energy from one start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Chains {
    energy: String,
    start: String,
    snapshots: Vec<Snapshot>,
    /// Where the first chains ended.
    #[serde(with = "crate::number")]
    ends: Vec<Vec<f64>>,
}

/// Everything that was computed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    /// Normalised on the window, row 0 at the bottom.
    #[serde(with = "crate::number")]
    learned: Vec<Vec<f64>>,
    #[serde(with = "crate::number")]
    truth: Vec<Vec<f64>>,
    /// Half the integral of the difference's size.
    #[serde(with = "crate::number")]
    total_variation: f64,
    chains: Vec<Chains>,
    floor: NoiseFloor,
}

impl Experiment for Energy {
    const NAME: &'static str = "energy";
    const ABOUT: &'static str = "a learned potential as an energy: density contours, Langevin chains, distance to the truth";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("energy");
    const RENAMED: &'static [(&'static str, &'static str)] = &[("looks", "snapshots")];
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let set = &config.training.data_set;
        let closed = set.under(&sde_core::Vp::default()).is_some();
        ensure!(closed, "training.data-set: {set} has no closed form");
        let trained = config.training.check()?;
        let horizon = config.training.sde()?.horizon();
        let Config { n, truth, floors, pixels, t, hottest, .. } = *config;
        ensure!(t > 0.0 && t < horizon, "t = {t:?}: must be above 0 and below {horizon:?}");
        ensure!(
            hottest > t && hottest <= horizon,
            "hottest = {hottest:?}: must be above t = {t:?} and at most {horizon:?}"
        );
        // Longer steps than the width of the data leave the numbers.
        checks::within("step", config.step, 1e-9..=1.0)?;
        let rising = config.snapshots.windows(2).all(|w| w[0] < w[1]);
        ensure!(
            rising && config.snapshots.len() > 1,
            "snapshots = {:?}: must rise",
            config.snapshots
        );
        checks::all_at_least(&[("pixels", pixels, 2), ("levels", config.levels, 2)])?;
        checks::memory(&[("pixels", pixels), ("pixels", pixels)], 500)?;
        Sizes { n, truth, floors }.check("")?;
        config.window.check()?;
        let last = config.snapshots.last().copied().unwrap_or(1);
        checks::memory(&[("snapshots", last)], 32)?;
        checks::memory(&[("snapshots", config.snapshots.len()), ("n", n)], 32)?;
        Ok(trained + 6.0 * checks::time(&[("snapshots", last), ("n", n)])?)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let net = config.training.network(config.seed, workspace)?;
        let set = *config.training.data_set;
        let sde = sde_core::sde::parse(&net.sde().name())?;
        let exact = set.under(&*sde).context("no closed form")?;
        let (reach, t) = (config.window.half_width, config.t);
        let area = (2.0 * reach / config.pixels as f64).powi(2);
        let density = |log: &dyn Fn(&Array2<f64>) -> Result<Vec<f64>>| -> Result<Array2<f64>> {
            let values = on_square(&|x| Ok(in_range(log(x)?)), reach, config.pixels)?;
            Ok(&values / (values.sum() * area))
        };
        let (learned, truth, total_variation) = workspace.numbers("contours", || {
            let learned = density(&|x| {
                Ok(net.derivatives(&to_tensor(x, &net)?, &vec![t; x.nrows()])?.potential)
            })?;
            let truth = density(&|x| Ok(exact.log_density(x, t)?))?;
            let tv = 0.5 * area * (&learned - &truth).mapv(f64::abs).sum();
            Ok((rows(&learned), rows(&truth), tv))
        })?;
        let held = Later::new(|| truth_at(config, set, &*sde));
        let floor = workspace.part("floor", || Ok(held.get()?.floor.clone()))?;
        let learned_score = OnRows(&net);
        let energies: [(&str, &dyn Score<Array2<f64>>); 2] =
            [("learned", &learned_score), ("exact", &exact)];
        let mut chains = Vec::new();
        for (energy, score) in energies {
            for start in ["wide", "one mode", "annealed"] {
                let part = format!("{energy}-{}", start.replace(' ', "-"));
                chains.push(workspace.part(&part, || {
                    let found = run(config, score, start)?;
                    let truth = held.get()?;
                    let snapshot = |(steps, x): (&usize, &Array2<f64>)| {
                        Ok(Snapshot { steps: *steps, w2: truth.distance(x.view())? })
                    };
                    let last = found.last().map(rows).unwrap_or_default().into_iter().take(SHOWN);
                    Ok(Chains {
                        energy: energy.into(),
                        start: start.into(),
                        snapshots: config
                            .snapshots
                            .iter()
                            .zip(&found)
                            .map(snapshot)
                            .collect::<Result<_>>()?,
                        ends: last.filter(|x| x.iter().all(|v| v.is_finite())).collect(),
                    })
                })?);
            }
        }
        Ok(Results { learned, truth, total_variation, chains, floor })
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let training = config.training.references().into_iter();
        training.chain(["songermon2019", Metric::W2.info().reference]).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        page::page(config, results)
    }
}

/// A sample of the truth at the time of the chains.
fn truth_at(config: &Config, set: DataSet, sde: &dyn Sde) -> Result<Truth> {
    let key = Key::root(config.seed);
    let (x, m) = (set.sample(key.fold(10), 0, config.truth), sde.marginal(config.t));
    let truth = &x * m.alpha + x.normals_like(key.fold(11), 0)? * m.sigma;
    Truth::new(config.window, truth.view(), config.n, (config.floors, key.fold(12)))
}

/// Logarithms up to a constant, such that the largest of their exponentials is 1.
fn in_range(logs: Vec<f64>) -> Vec<f64> {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.into_iter().map(|v| v - top).collect()
}

/// Chains from a start, looked at after so many steps.
fn run(config: &Config, score: &dyn Score<Array2<f64>>, start: &str) -> Result<Vec<Array2<f64>>> {
    let key = Key::root(config.seed).fold(20).fold(start.len() as u64);
    let spread = if start == "one mode" { 0.2 } else { 1.5 };
    let starts = Array2::zeros((config.n, 2)).normals_like(key.fold(0), 0)? * spread;
    let last = config.snapshots.last().copied().unwrap_or(1);
    let length = last as f64 * config.step;
    let langevin = match start {
        "annealed" => {
            let langevin = Langevin::new(score, config.t);
            langevin.annealed(config.hottest, config.levels, 2.0 / 3.0 * length)
        }
        _ => Langevin::new(score, config.t),
    };
    let times: Vec<f64> = (0..=last).map(|k| k as f64 * config.step).collect();
    on_the_way(&EulerMaruyama, &langevin, &times, &config.snapshots, &starts, key.fold(1))
}
