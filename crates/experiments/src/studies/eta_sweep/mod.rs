//! `eta-sweep`: what noise does to samples, from the flow ODE (`eta = 0`) through the reverse SDE (1)
//! and beyond, with the exact score and with wrong ones.

mod page;

use std::path::{Path, PathBuf};

use ::solvers::{ConfiguredMethod, Control, End, Sampler, Scheme};
use anyhow::{Context as _, Result, ensure};
use candle_core::{DType, Device, Tensor};
use metrics::{Estimate, Metric, NoiseFloor};
use ndarray::Array2;
use rayon::prelude::*;
use report::Sheet;
use score_nets::ScoreNet;
use sde_core::analytic::DataSet;
use sde_core::{Key, Score, Sde, State, TimeGrid};
use serde::{Deserialize, Serialize};

use super::blurred::Blurred;
use super::networks::{self, Network};
use super::sampling;
use super::target::Target;
use crate::distance::{Later, Sizes, Truth, Window};
use crate::model::to_rows;
use crate::named::Named;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EtaSweep;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    sde: Named<dyn Sde>,
    target: Named<Target>,
    smoothing: f64,
    tilt: f64,
    etas: Vec<f64>,
    steps: Vec<usize>,
    grid: Named<TimeGrid>,
    method: Named<ConfiguredMethod>,
    end: Named<End>,
    t_end: f64,
    n: usize,
    truth: usize,
    floors: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    models: Option<String>,
    window: Window,
}

/// Distances of one score at one number of steps, one an eta.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    /// What the score is.
    score: String,
    steps: usize,
    /// Evaluations of the score for one particle.
    nfe: u64,
    floor: NoiseFloor,
    /// Squared W2; nothing where the sampler left the window or the numbers.
    distances: Vec<Option<Estimate>>,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    #[serde(with = "crate::number")]
    etas: Vec<f64>,
    rows: Vec<Row>,
}

/// Purposes of keys.
const TRUTH: u64 = 0;
const SAMPLES: u64 = 1;
const FLOOR: u64 = 2;

/// A score that is swept.
enum Model {
    /// Of a mixture, or of its `p_t` blurred by the same standard deviation at every time.
    Closed {
        name: &'static str,
        target: Target,
        blur: f64,
    },
    Network {
        name: String,
        net: Box<ScoreNet>,
        set: DataSet,
    },
}

impl Experiment for EtaSweep {
    const NAME: &'static str = "eta-sweep";
    const ABOUT: &'static str = "distance to the truth as the noise goes from none (ODE) to much, with exact and with wrong scores";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("eta-sweep");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let (sde, method) = (&*config.sde, &*config.method);
        checks::below_horizon("t-end", sde, config.t_end)?;
        config.target.in_dimensions("target", 2)?;
        ensure!(!config.etas.is_empty() && !config.steps.is_empty(), "etas, steps: none given");
        checks::all_within("etas", &config.etas, 0.0..=1e6)?;
        checks::within("smoothing", config.smoothing, 0.0..=1e3)?;
        checks::within("tilt", config.tilt, 1e-6..=1e6)?;
        ensure!(method.method().stochastic(), "method = {:?}: solves ODEs only", config.method);
        let Config { n, truth, floors, .. } = *config;
        Sizes { n, truth, floors }.check("")?;
        config.window.check()?;
        // The samples of all etas at a time.
        checks::memory(&[("n", n), ("etas", config.etas.len())], 64)?;
        let mut work = 0.0;
        for steps in config.steps.iter().copied() {
            let counts = [("steps", steps), ("n", n), ("etas", config.etas.len())];
            work += checks::time(&counts)? * method.nfe(steps as u64) as f64 / steps as f64;
            let control = Control::Grid(config.times(sde, steps)?);
            Scheme::<Array2<f64>>::control(method, sde, control).context("method")?;
        }
        Ok(4.0 * work)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let mut rows = Vec::new();
        let models = models(config)?;
        // Networks have processes of their own.
        for model in &models {
            if let Model::Network { name, net, .. } = model {
                for steps in &config.steps {
                    config.times(net.sde(), *steps).with_context(|| name.clone())?;
                }
            }
        }
        for model in models {
            let truth = Later::new(|| truth(config, &model));
            for steps in &config.steps {
                let part = format!("{}-{steps}", model.name());
                rows.push(workspace.part(&part, || row(config, &model, *steps, truth.get()?))?);
            }
        }
        Ok(Results { etas: config.etas.clone(), rows })
    }

    fn given(config: &Config) -> Result<Vec<(String, PathBuf)>> {
        networks::given(config.models.as_deref())
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let method = config.method.method().reference();
        vec![method, citations::sde(&*config.sde), Metric::W2.info().reference]
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        Ok(page::page(config, results))
    }
}

impl Config {
    fn times(&self, sde: &dyn Sde, steps: usize) -> Result<Vec<f64>> {
        let times = self.grid.times(sde, steps, sde.horizon(), self.t_end);
        times.with_context(|| {
            format!("grid = {:?}, steps: {steps}, t-end = {:?}", self.grid, self.t_end)
        })
    }
}

impl Model {
    fn name(&self) -> &str {
        match self {
            Self::Closed { name, .. } => name,
            Self::Network { name, .. } => name,
        }
    }
}

/// The exact score and two wrong ones, or the networks of a folder.
fn models(config: &Config) -> Result<Vec<Model>> {
    if let Some(dir) = &config.models {
        let networks = networks::networks(dir)?.into_iter();
        let model = |Network { name, net, set }| Model::Network { name, net: Box::new(net), set };
        return Ok(networks.map(model).collect());
    }
    let exact = Target::clone(&config.target);
    let mut smoothed = exact.clone();
    for s in &mut smoothed.stds {
        *s = s.hypot(config.smoothing);
    }
    let mut tilted = exact.clone();
    tilted.weights[0] *= config.tilt;
    let closed = |name, target, blur| Model::Closed { name, target, blur };
    Ok(vec![
        closed("exact", exact.clone(), 0.0),
        closed("blurred", exact, config.smoothing),
        closed("smoothed", smoothed, 0.0),
        closed("wrong-weight", tilted, 0.0),
    ])
}

fn truth(config: &Config, model: &Model) -> Result<Truth> {
    let key = Key::root(config.seed).fold(TRUTH);
    let truth = match model {
        Model::Closed { .. } => config.target.mixture()?.sample(key, 0, config.truth),
        Model::Network { set, .. } => set.sample(key, 0, config.truth),
    };
    let draws = (config.floors, Key::root(config.seed).fold(FLOOR));
    Truth::new(config.window, truth.view(), config.n, draws)
}

fn row(config: &Config, model: &Model, steps: usize, truth: &Truth) -> Result<Row> {
    let one = |eta: f64| -> Result<(Option<Estimate>, u64)> {
        let sweep = Sweep { config, steps, eta };
        let found = match model {
            Model::Closed { target, blur, .. } => {
                let (sde, mixture, like) = (&*config.sde, target.mixture()?, Array2::zeros((1, 2)));
                let blurred = Blurred { target, width: *blur, sde };
                let exact = mixture.under(sde);
                let score: &dyn Score<_> = if *blur == 0.0 { &exact } else { &blurred };
                sweep.draw(sde, score, like, &Ok)
            }
            Model::Network { net, .. } => {
                let like = Tensor::zeros((1, 2), DType::F32, &Device::Cpu)?;
                sweep.draw(net.sde(), net.as_ref(), like, &|x| to_rows(&x))
            }
        };
        let (x, nfe) = found.with_context(|| format!("eta = {eta}"))?;
        Ok((truth.distance(x.view())?, nfe))
    };
    let found: Vec<(Option<Estimate>, u64)> =
        config.etas.par_iter().map(|eta| one(*eta)).collect::<Result<_>>()?;
    Ok(Row {
        score: model.name().into(),
        steps,
        nfe: found.iter().map(|f| f.1).max().unwrap_or(0),
        floor: truth.floor.clone(),
        distances: found.into_iter().map(|f| f.0).collect(),
    })
}

/// One sampler.
struct Sweep<'a> {
    config: &'a Config,
    steps: usize,
    eta: f64,
}

impl Sweep<'_> {
    /// Samples, and evaluations for one particle; a sampler that leaves the numbers, or does not take
    /// steps as long, gives none.
    fn draw<S: State>(
        &self,
        sde: &dyn Sde,
        score: &dyn Score<S>,
        like: S,
        rows: &(dyn Fn(S) -> Result<Array2<f64>> + Sync),
    ) -> Result<(Array2<f64>, u64)> {
        let (config, steps) = (self.config, self.steps);
        let key = Key::root(config.seed).fold(SAMPLES).fold(steps as u64);
        let sampler = Sampler {
            method: ConfiguredMethod::clone(&config.method),
            eta: self.eta,
            control: Control::Grid(config.times(sde, steps)?),
            end: *config.end,
            block_rows: sampling::BLOCK as u64,
        };
        let mut out = Array2::zeros((0, 2));
        let mut keep = |_: u64, x| -> ::solvers::Result<()> {
            let ours = |e: anyhow::Error| sde_core::Error::Model(e.into());
            let x = rows(x).map_err(ours)?;
            Ok(out.append(ndarray::Axis(0), x.view()).map_err(|e| ours(e.into()))?)
        };
        let n = config.n as u64;
        match ::solvers::sample(&sampler, sde, score, n, key, &like, &mut keep) {
            Ok(done) => Ok((out, done.nfe)),
            Err(error) if error.of_a_row() => {
                Ok((Array2::from_elem((1, 2), f64::NAN), sampler.method.nfe(steps as u64)))
            }
            Err(error) => Err(error.into()),
        }
    }
}
