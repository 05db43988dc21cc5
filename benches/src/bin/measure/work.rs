//! The work: a network, a batch, collocation points, a sampler. All of it is fixed, so that figures
//! of different days and machines are of the same thing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device};
use fp_residual::{CollocationPoints, FokkerPlanckPenalty};
use score_nets::{Dsm, NetConfig, Schedule, ScoreBatch, ScoreNet, TrainConfig, Trainer};
use sde_core::analytic::DataSet;
use sde_core::{Key, TimeGrid};
use solvers::{Control, End, Method, Sampler};

/// Rows of the batch of denoising score matching.
pub(crate) const BATCH: usize = 20_000;
/// Collocation points of the residual.
pub(crate) const POINTS: usize = 5000;
/// Particles that are sampled.
pub(crate) const PARTICLES: u64 = 50_000;
/// Particles that are solved together: few enough to stay in a cache, in whole blocks of the kernels.
pub(crate) const BLOCK: u64 = 480;
/// Steps that each of them takes.
pub(crate) const STEPS: usize = 200;
/// Particles of the path that all sides must agree on.
pub(crate) const PATHS: usize = 2000;
/// Steps of training before anything is timed.
pub(crate) const TRAINING: u64 = 300;

const BATCH_KEY: Key = Key::root(1);
const POINTS_KEY: Key = Key::root(2);
const STARTS_KEY: Key = Key::root(3);
/// Prior and noise of the sampling that is timed.
pub(crate) const SAMPLE_KEY: Key = Key::root(4);

/// Everything that is given before the clock starts.
pub(crate) struct Work {
    pub(crate) net: ScoreNet,
    pub(crate) batch: ScoreBatch,
    pub(crate) points: CollocationPoints,
    /// `[PATHS, D]`, where the path that all sides must agree on begins.
    pub(crate) starts: Vec<f32>,
    /// The `STEPS + 1` times of the sampler.
    pub(crate) times: Vec<f64>,
}

impl Work {
    /// The work on the weights in a file, or on a network that is trained here and now: a fresh one
    /// makes hardly any denormal numbers, a trained one makes them by the million.
    pub(crate) fn new(model: Option<&Path>) -> Result<Self> {
        let net = match model {
            Some(path) => open(path)?,
            None => trained().context("cannot train the network")?,
        };
        // Rounded to f32: the inputs are then the same numbers on every side.
        let mut batch = dsm().batch(&net, BATCH_KEY)?;
        for values in [&mut batch.x, &mut batch.t, &mut batch.target] {
            round(values);
        }
        let mut points = FokkerPlanckPenalty::uniform(POINTS).points(&net, POINTS_KEY)?;
        for values in [&mut points.x, &mut points.t] {
            round(values);
        }
        let weights = batch.weight.iter().chain(&points.weight);
        ensure!(weights.into_iter().all(|&w| w == 1.0), "the work has weights, and must not");
        let mut starts = vec![0.0; PATHS * net.dim()];
        STARTS_KEY.fill_normals_f32(0, &mut starts);
        starts.iter_mut().for_each(|x| *x *= net.sde().prior_std() as f32);
        let times = TimeGrid::Uniform.times(net.sde(), STEPS, net.sde().horizon(), 1e-3)?;
        Ok(Self { net, batch, points, starts, times })
    }

    /// The sampler: Euler-Maruyama, of the reverse SDE (`eta = 1`) or of the flow ODE (0).
    pub(crate) fn sampler(&self, eta: f64) -> Sampler {
        Sampler {
            method: Method::EulerMaruyama,
            eta,
            control: Control::Grid(self.times.clone()),
            end: End::Plain,
            block_rows: BLOCK,
        }
    }

    /// Widths of the inputs, the hidden layers and the output.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let layers = self.net.config().layers();
        let inputs = layers.first().map(|(_, _, inputs)| *inputs);
        inputs.into_iter().chain(layers.iter().map(|(_, outputs, _)| *outputs)).collect()
    }

    /// Names and shapes of the parameters, layer by layer, in the order of every gradient.
    pub(crate) fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let of_layer = |(name, outputs, inputs): (String, usize, usize)| {
            [
                (format!("{name}.weight"), vec![outputs, inputs]),
                (format!("{name}.bias"), vec![outputs]),
            ]
        };
        self.net.config().layers().into_iter().flat_map(of_layer).collect()
    }
}

fn dsm() -> Dsm {
    Dsm::published(Arc::new(DataSet::Blob), BATCH)
}

fn open(path: &Path) -> Result<ScoreNet> {
    let net = ScoreNet::open_published(path, DType::F32, &Device::Cpu)?;
    let same = NetConfig { sde: net.sde().name(), ..NetConfig::published() };
    let found = NetConfig { sde: net.sde().name(), identity: None, ..net.config().clone() };
    ensure!(
        found == same && net.sde().name() == "ou:horizon=10",
        "{}: not the published network: {:?}",
        path.display(),
        net.config()
    );
    Ok(net)
}

fn trained() -> Result<ScoreNet> {
    let net = ScoreNet::new(NetConfig::published(), Key::root(0), DType::F32, &Device::Cpu)?;
    let config = TrainConfig::new(TRAINING, Schedule::Constant { lr: 1e-3 });
    let mut trainer = Trainer::new(net, config)?.term(1.0, Box::new(dsm()));
    trainer.run(&AtomicBool::new(false), &mut |_| Ok(()))?;
    Ok(trainer.into_net())
}

fn round(values: &mut [f64]) {
    values.iter_mut().for_each(|v| *v = f64::from(*v as f32));
}
