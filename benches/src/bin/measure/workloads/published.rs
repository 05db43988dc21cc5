//! The published network: score matching, the residual, sampling. All inputs are fixed, so that figures
//! of different days and machines are of the same work.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use fp_residual::{CollocationPoints, FokkerPlanckPenalty, residual_loss_and_grad};
use score_nets::fused::Isa;
use score_nets::{
    Dsm, Gradients, Kernels, NetConfig, Schedule, ScoreBatch, ScoreNet, TrainConfig, Trainer,
};
use sde_core::analytic::DataSet;
use sde_core::{Key, State, TimeGrid};
use serde_json::{Value, json};
use solvers::{Control, End, Method, Sampler, sample, sample_from};

use super::flops::{BATCH, PARTICLES, POINTS, SGEMM, STEPS, flops};
use crate::cli::Options;
use crate::workload::{
    GRADIENT, Inputs, Item, LOSS, Ours, PATH, Part, Spec, Task, Unit, Workload, slug,
};

/// Particles solved together: few enough to stay in a cache, in whole blocks of the kernels.
const BLOCK: u64 = 480;
/// Particles whose paths along the flow ODE are compared.
const PATHS: usize = 2000;
/// Steps of training before anything is timed.
const TRAINING: u64 = 300;

const BATCH_KEY: Key = Key::root(1);
const POINTS_KEY: Key = Key::root(2);
const STARTS_KEY: Key = Key::root(3);
const SAMPLE_KEY: Key = Key::root(4);

const PEERS: [Spec; 5] = [
    torch("torch", "PyTorch", &[]),
    torch("torch_flushed", "PyTorch, denormals flushed", &["--flush"]),
    // Compiling needs a C++ compiler, which not every machine has.
    Spec {
        optional: true,
        ..torch("torch_compiled", "PyTorch, flushed and compiled", &["--flush", "--compile"])
    },
    jax("jax_reverse", "JAX, reverse Laplacian", &["--laplacian", "reverse"]),
    jax("jax_forward", "JAX, forward Laplacian", &["--laplacian", "forward"]),
];

pub(super) const fn torch(
    key: &'static str,
    name: &'static str,
    flags: &'static [&'static str],
) -> Spec {
    Spec { key, name, script: "torch_peer.py", flags, optional: false }
}

const fn jax(key: &'static str, name: &'static str, flags: &'static [&'static str]) -> Spec {
    Spec { key, name, script: "jax_peer.py", flags, optional: false }
}

/// Some of the items `sgemm`, `dsm`, `dsm_fp` and `sample`.
pub(crate) fn workload(options: &Options, items: &[&str]) -> Result<Workload> {
    let work = Rc::new(Work::new(options.model.as_deref())?);
    let candle = Rc::new(work.net.duplicate()?.with_kernels(Kernels::Composite)?);
    let double = Rc::new(work.net.copy_as(DType::F64)?);
    let mut ours = vec![side("", "ours", &work, &work.net, &["sgemm", "dsm", "dsm_fp", "sample"])];
    if let Some(net) = without_tiles(&work.net)? {
        let items = &["dsm", "dsm_fp", "sample"];
        ours.push(side("avx512", "ours with AVX-512", &work, &Rc::new(net), items));
    }
    let steps = &["dsm", "dsm_fp"];
    if items.contains(&"dsm") {
        ours.push(side("composite", "ours by tensor operations", &work, &candle, steps));
    }
    let item = |&key: &&str| {
        let unit = match key {
            "sgemm" => Unit::Gflops,
            "sample" => Unit::S,
            _ => Unit::Ms,
        };
        Item::new(key, unit).flops(flops(key))
    };
    let mut workload = Workload::new(items.iter().map(item).collect(), ours);
    workload.exact = Some(side("exact", "double precision", &work, &double, steps));
    workload.peers = &PEERS;
    workload.inputs = work.inputs()?;
    workload.facts.insert("weights".into(), weights(options));
    Ok(workload)
}

/// The train step where arithmetic is known to become slow, beside the usual one: the ratios show it.
pub(crate) fn cliffs(options: &Options) -> Result<Workload> {
    let work = Work::new(options.model.as_deref())?;
    let biases = |by: f64| move |name: &str| (1.0, if name.ends_with("bias") { by } else { 0.0 });
    let weights_by = |factor: f64| move |_: &str| (factor, 0.0);
    let cases = [
        ("as it is", work.changed(weights_by(1.0), 1.0)?),
        ("weights times 1000", work.changed(weights_by(1e3), 1.0)?),
        ("weights times 1e-6", work.changed(weights_by(1e-6), 1.0)?),
        ("biases plus 1000", work.changed(biases(1e3), 1.0)?),
        ("biases minus 1000", work.changed(biases(-1e3), 1.0)?),
        ("inputs times 1e6", work.changed(weights_by(1.0), 1e6)?),
        ("inputs times 1e30", work.changed(weights_by(1.0), 1e30)?),
        ("weights that are no numbers", work.changed(weights_by(f64::NAN), 1.0)?),
    ];
    let ours = cases.into_iter().map(|(name, work)| {
        let work = Rc::new(work);
        Ours::new(&slug(name), name, move |item| {
            let (work, fp) = (work.clone(), item == "dsm_fp");
            Ok(Some(Task::new(move || work.gradient(&work.net, fp))))
        })
    });
    let items = ["dsm", "dsm_fp"].map(|key| Item::new(key, Unit::Ms));
    let mut workload = Workload::new(items.to_vec(), ours.collect());
    workload.facts.insert("weights".into(), weights(options));
    Ok(workload)
}

/// Whose weights are used, in words.
pub(super) fn weights(options: &Options) -> Value {
    match &options.model {
        Some(path) => json!(path.display().to_string()),
        None => json!(format!("trained for {TRAINING} steps")),
    }
}

/// Those of `items` that a network does.
fn side(
    key: &str,
    name: &str,
    work: &Rc<Work>,
    net: &Rc<ScoreNet>,
    items: &'static [&'static str],
) -> Ours {
    let (work, net) = (work.clone(), net.clone());
    Ours::new(key, name, move |item| {
        items.contains(&item).then(|| task(&work, &net, item)).transpose()
    })
}

/// An item, done with a network.
pub(super) fn task(work: &Rc<Work>, net: &Rc<ScoreNet>, item: &str) -> Result<Task> {
    let (run, result) = ((work.clone(), net.clone()), (work.clone(), net.clone()));
    Ok(match item {
        "sgemm" => {
            let square = Tensor::zeros((SGEMM, SGEMM), DType::F32, &Device::Cpu)?;
            let matrix = |seed| square.normals_like(Key::root(seed), 0);
            let (a, b) = (matrix(5)?, matrix(6)?);
            Task::new(move || Ok(a.matmul(&b)?))
        }
        "sample" => Task::new(move || run.0.samples(&run.1)).result(move || {
            Ok(vec![Part::of(PATH, "the end of the paths", &result.0.path(&result.1)?)?])
        }),
        _ => {
            let fp = item == "dsm_fp";
            Task::new(move || run.0.gradient(&run.1, fp))
                .result(move || result.0.step(&result.1, fp))
        }
    })
}

/// Everything that is given before the clock starts.
pub(super) struct Work {
    pub(super) net: Rc<ScoreNet>,
    batch: ScoreBatch,
    points: CollocationPoints,
    /// `[PATHS, D]`, where the compared paths begin.
    starts: Tensor,
    /// The `STEPS + 1` times of the sampler.
    times: Vec<f64>,
}

impl Work {
    /// The work on the weights in a file, or on a network that is trained here and now: a fresh one
    /// makes hardly any denormal numbers, a trained one makes them by the million.
    pub(super) fn new(model: Option<&Path>) -> Result<Self> {
        let net = match model {
            Some(path) => open(path)?,
            None => trained().context("cannot train the network")?,
        };
        // Rounded to f32: the inputs are then the same numbers on every side.
        let mut batch = dsm().batch(&net, BATCH_KEY)?;
        for values in [&mut batch.x, &mut batch.t, &mut batch.target] {
            values.iter_mut().for_each(|v| *v = f64::from(*v as f32));
        }
        let mut points = FokkerPlanckPenalty::uniform(POINTS).points(&net, POINTS_KEY)?;
        for values in [&mut points.x, &mut points.t] {
            values.iter_mut().for_each(|v| *v = f64::from(*v as f32));
        }
        let weights = batch.weight.iter().chain(&points.weight);
        ensure!(weights.into_iter().all(|&w| w == 1.0), "the work has weights, and must not");
        let mut starts = vec![0.0; PATHS * net.dim()];
        STARTS_KEY.fill_normals_f32(0, &mut starts);
        starts.iter_mut().for_each(|x| *x *= net.sde().prior_std() as f32);
        let starts = Tensor::from_vec(starts, (PATHS, net.dim()), &Device::Cpu)?;
        let times = TimeGrid::Uniform.times(net.sde(), STEPS, net.sde().horizon(), 1e-3)?;
        Ok(Self { net: Rc::new(net), batch, points, starts, times })
    }

    /// The same with every parameter `p` changed to `a p + b`, where `by` gives `(a, b)` from its name,
    /// and every coordinate multiplied by `x`.
    fn changed(&self, by: impl Fn(&str) -> (f64, f64), x: f64) -> Result<Self> {
        let net = self.net.duplicate()?;
        for (name, parameter) in net.parameters().iter() {
            let (a, b) = by(name);
            // A copy: a variable cannot be set to what is derived from it.
            net.parameters().set(name, &parameter.detach().affine(a, b)?)?;
        }
        let scaled = |values: &[f64]| values.iter().map(|v| x * v).collect();
        let batch = ScoreBatch { x: scaled(&self.batch.x), ..self.batch.clone() };
        let points = CollocationPoints { x: scaled(&self.points.x), ..self.points.clone() };
        let (starts, times) = (self.starts.clone(), self.times.clone());
        Ok(Self { net: Rc::new(net), batch, points, starts, times })
    }

    /// Loss and gradients of score matching; with the mean square of the residual if `fp`.
    fn gradient(&self, net: &ScoreNet, fp: bool) -> Result<(f64, Gradients)> {
        let (mut loss, mut gradients) = net.score_loss_and_grad(&self.batch)?;
        if fp {
            let (residual, its) = residual_loss_and_grad(net, &self.points)?;
            loss += residual;
            gradients.add(1.0, &its)?;
        }
        Ok((loss, gradients))
    }

    /// The same in parts, the gradients layer by layer.
    fn step(&self, net: &ScoreNet, fp: bool) -> Result<Vec<Part>> {
        let (loss, gradients) = self.gradient(net, fp)?;
        let part = |(name, parameter): (String, Tensor)| {
            // The last bias shifts the potential by a constant: no loss depends on it.
            let gradient = gradients.get(net.parameters(), &name).cloned();
            let gradient = gradient.map_or_else(|| parameter.zeros_like(), Ok)?;
            Part::of(GRADIENT, format!("gradient of {name}"), &gradient)
        };
        let loss = Part::new(LOSS, "loss", vec![loss]);
        let gradients = in_order(net)?.into_iter().map(part).collect::<Result<Vec<_>>>()?;
        Ok([vec![loss], gradients].concat())
    }

    /// Euler-Maruyama, of the reverse SDE (`eta = 1`) or of the flow ODE (0).
    fn sampler(&self, eta: f64) -> Sampler {
        Sampler {
            method: Method::EulerMaruyama,
            eta,
            control: Control::Grid(self.times.clone()),
            end: End::Plain,
            block_rows: BLOCK,
        }
    }

    /// Samples of the reverse SDE, block by block.
    fn samples(&self, net: &ScoreNet) -> Result<Vec<Tensor>> {
        let like = Tensor::zeros((1, net.dim()), DType::F32, &Device::Cpu)?;
        let (sampler, mut blocks) = (self.sampler(1.0), Vec::new());
        let mut keep = |_, x| {
            blocks.push(x);
            Ok::<(), solvers::SolveError>(())
        };
        sample(&sampler, net.sde(), net, PARTICLES, SAMPLE_KEY, &like, &mut keep)?;
        Ok(blocks)
    }

    /// Where the flow ODE takes the given starts, row by row.
    fn path(&self, net: &ScoreNet) -> Result<Tensor> {
        let starts = &self.starts;
        let start = |first: u64, rows: usize| starts.slice_rows(first as usize, rows);
        let (sampler, mut blocks) = (self.sampler(0.0), Vec::new());
        let mut keep = |_, x| {
            blocks.push(x);
            Ok::<(), solvers::SolveError>(())
        };
        sample_from(&sampler, net.sde(), net, PATHS as u64, SAMPLE_KEY, &start, &mut keep)?;
        Ok(Tensor::cat(&blocks, 0)?)
    }

    /// What other software computes the same from.
    pub(super) fn inputs(&self) -> Result<Inputs> {
        let d = self.net.dim();
        let narrow = |name: &str, values: &[f64], columns: usize| -> Result<_> {
            let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            let shape = (values.len() / columns, columns);
            Ok((name.to_owned(), Tensor::from_vec(values, shape, &Device::Cpu)?))
        };
        let mut arrays = vec![
            narrow("batch/t", &self.batch.t, 1)?,
            narrow("batch/x", &self.batch.x, d)?,
            narrow("batch/target", &self.batch.target, d)?,
            narrow("points/t", &self.points.t, 1)?,
            narrow("points/x", &self.points.x, d)?,
            ("starts".to_owned(), self.starts.clone()),
        ];
        let parameters = in_order(&self.net)?.into_iter().enumerate();
        arrays.extend(parameters.map(|(i, (_, values))| (format!("parameters/{i:02}"), values)));
        let sde = self.net.sde();
        let values = json!({
            "beta": 100.0,
            "drift": sde.drift_coef(0.0),
            "diffusion": sde.diffusion(0.0),
            "prior_std": sde.prior_std(),
            "particles": PARTICLES,
            "times": self.times,
            "side": SGEMM,
        });
        Ok(Inputs { arrays, values: values.as_object().cloned().unwrap_or_default() })
    }
}

/// The parameters by name, layer by layer, weights before biases.
fn in_order(net: &ScoreNet) -> Result<Vec<(String, Tensor)>> {
    let layers = net.config().layers().into_iter();
    let names = layers.flat_map(|(name, _, _)| [format!("{name}.weight"), format!("{name}.bias")]);
    let of = |name: String| {
        let values = net.parameters().get(&name).cloned();
        let values = values.with_context(|| format!("the network has no parameter `{name}`"))?;
        Ok((name, values.detach()))
    };
    names.map(of).collect()
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

/// The network on AVX-512 alone, where the machine also has AMX.
fn without_tiles(net: &ScoreNet) -> Result<Option<ScoreNet>> {
    let best = Isa::detect();
    if best != Isa::Amx {
        return Ok(None);
    }
    Isa::Avx512.choose()?;
    let other = net.duplicate()?.with_kernels(Kernels::Fused)?;
    let built = other.uses_fused();
    best.choose()?;
    Ok(built?.then_some(other))
}
