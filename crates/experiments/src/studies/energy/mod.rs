//! `energy`: a learned potential as an energy-based model.

mod page;

use std::path::Path;
use std::rc::Rc;

use ::solvers::steppers::EulerMaruyama;
use anyhow::{Context as _, Result, ensure};
use metrics::Metric;
use metrics::{Estimate, NoiseFloor};
use ndarray::Array2;
use report::Sheet;
use score_nets::ScoreNet;
use sde_core::analytic::DataSet;
use sde_core::{Key, Langevin, Potential, Score, Sde};
use serde::{Deserialize, Serialize};

use super::sampling::on_the_way;
use super::target::on_square;
use super::train::{OnRows, Training};
use crate::checks;
use crate::distance::{Sizes, Truth, Window};
use crate::model::to_tensor;
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
    looks: Vec<usize>,
    levels: usize,
    hottest: f64,
    window: Window,
    training: Training,
}

/// Chains after some steps.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Look {
    steps: usize,
    w2: Option<Estimate>,
}

/// The chains of one energy from one start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Chains {
    energy: String,
    start: String,
    looks: Vec<Look>,
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
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let closed = DataSet::parse(&config.training.data_set).context("training.data-set")?;
        let vp = sde_core::Vp::default();
        ensure!(
            closed.under(&vp).is_some(),
            "training.data-set: {} has no closed form",
            closed.name()
        );
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
        let rising = config.looks.windows(2).all(|w| w[0] < w[1]);
        ensure!(rising && config.looks.len() > 1, "looks = {:?}: must rise", config.looks);
        for (key, value) in [("pixels", pixels), ("levels", config.levels)] {
            checks::at_least(key, value, 2)?;
        }
        checks::memory(&[("pixels", pixels), ("pixels", pixels)], 500)?;
        Sizes { n, truth, floors }.check("")?;
        config.window.check()?;
        let last = config.looks.last().copied().unwrap_or(1);
        checks::memory(&[("looks", last)], 32)?;
        checks::memory(&[("looks", config.looks.len()), ("n", n)], 32)?;
        Ok(trained + 6.0 * checks::time(&[("looks", last), ("n", n)])?)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let net = config.training.network(config.seed, workspace)?;
        let set = DataSet::parse(&config.training.data_set)?;
        let sde = sde_core::sde::parse(&net.sde().name())?;
        let exact = set.under(&*sde).ok_or_else(|| anyhow::anyhow!("no closed form"))?;
        let reach = config.window.half_width;
        let area = (2.0 * reach / config.pixels as f64).powi(2);
        let (learned, truth, total_variation) = workspace.numbers("contours", || {
            let learned = on_square(&|x| potential(&net, x, config.t), reach, config.pixels)?;
            let learned = &learned / (learned.sum() * area);
            let truth = on_square(
                &|x| Ok(in_range(exact.log_density(x, config.t)?)),
                reach,
                config.pixels,
            )?;
            let truth = &truth / (truth.sum() * area);
            let tv = 0.5 * area * (&learned - &truth).mapv(f64::abs).sum();
            let rows =
                |x: &Array2<f64>| x.rows().into_iter().map(|r| r.to_vec()).collect::<Vec<_>>();
            Ok((rows(&learned), rows(&truth), tv))
        })?;
        let mut held = None;
        let mut hold = || -> Result<Rc<Truth>> {
            if held.is_none() {
                held = Some(Rc::new(held_out(config, set, &*sde)?));
            }
            held.clone().context("a truth")
        };
        let floor = workspace.part("floor", || Ok(hold()?.floor.clone()))?;
        let learned_score = OnRows(&net);
        let energies: [(&str, &dyn Score<Array2<f64>>); 2] =
            [("learned", &learned_score), ("exact", &exact)];
        let mut all = Vec::new();
        for (energy, score) in energies {
            for start in ["wide", "one mode", "annealed"] {
                let part = format!("{energy}-{}", start.replace(' ', "-"));
                let part =
                    workspace.part(&part, || chains(config, (energy, score), start, &*hold()?))?;
                all.push(part);
            }
        }
        Ok(Results { learned, truth, total_variation, chains: all, floor })
    }

    fn references(config: &Config) -> Vec<String> {
        let mut all = config.training.references();
        all.extend(["songermon2019".into(), Metric::W2.info().reference.into()]);
        all
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        page::page(config, results)
    }
}

/// A sample of the truth at the time of the energy.
fn held_out(config: &Config, set: DataSet, sde: &dyn Sde) -> Result<Truth> {
    let key = Key::root(config.seed);
    let x = set.sample(key.fold(10), 0, config.truth);
    let m = sde.marginal(config.t);
    let mut z = vec![0.0; x.len()];
    key.fold(11).fill_normals(0, &mut z);
    let truth = &x * m.alpha + Array2::from_shape_vec(x.dim(), z)? * m.sigma;
    Truth::new(config.window, truth.view(), config.n, (config.floors, key.fold(12)))
}

/// Chains of an energy from a start, and how far they are from the truth on the way.
fn chains(
    config: &Config,
    (energy, score): (&str, &dyn Score<Array2<f64>>),
    start: &str,
    truth: &Truth,
) -> Result<Chains> {
    let found = run(config, score, start)?;
    let looks = config.looks.iter().zip(&found);
    let looks = looks.map(|(k, x)| Ok(Look { steps: *k, w2: truth.distance(x.view())? }));
    let shown = |x: &Array2<f64>| -> Vec<Vec<f64>> {
        let rows = x.rows().into_iter().take(SHOWN);
        rows.filter(|r| r.iter().all(|v| v.is_finite())).map(|r| r.to_vec()).collect()
    };
    Ok(Chains {
        energy: energy.into(),
        start: start.into(),
        looks: looks.collect::<Result<_>>()?,
        ends: found.last().map(shown).unwrap_or_default(),
    })
}

/// The network's potential, up to a constant that keeps `exp` in range.
fn potential(net: &ScoreNet, x: &Array2<f64>, t: f64) -> Result<Vec<f64>> {
    let values = net.derivatives(&to_tensor(x, net)?, &vec![t; x.nrows()])?.potential;
    Ok(in_range(values))
}

/// Logarithms up to a constant, such that the largest of their exponentials is 1.
fn in_range(logs: Vec<f64>) -> Vec<f64> {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logs.into_iter().map(|v| v - top).collect()
}

/// Chains from a start, looked at after so many steps.
fn run(config: &Config, score: &dyn Score<Array2<f64>>, start: &str) -> Result<Vec<Array2<f64>>> {
    let key = Key::root(config.seed).fold(20).fold(start.len() as u64);
    let mut z = vec![0.0; 2 * config.n];
    key.fold(0).fill_normals(0, &mut z);
    let spread = if start == "one mode" { 0.2 } else { 1.5 };
    let starts = Array2::from_shape_vec((config.n, 2), z)? * spread;
    let last = config.looks.last().copied().unwrap_or(1);
    let length = last as f64 * config.step;
    let langevin = match start {
        "annealed" => {
            let langevin = Langevin::new(score, config.t);
            langevin.annealed(config.hottest, config.levels, 2.0 / 3.0 * length)
        }
        _ => Langevin::new(score, config.t),
    };
    let times: Vec<f64> = (0..=last).map(|k| k as f64 * config.step).collect();
    on_the_way(&EulerMaruyama, &langevin, &times, &config.looks, &starts, key.fold(1))
}
