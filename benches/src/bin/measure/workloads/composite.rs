//! Train steps made of tensor operations, as every network takes them that the fused kernels do not
//! know: the published network when told to, and a network as a user writes one.

use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use score_nets::layers::Linear;
use score_nets::{
    Activation, Backend, Build, Condition, Denoising, Jet, Kernels, Network, Objective, ScoreModel,
};
use sde_core::analytic::DataSet;
use sde_core::{Key, Parametrisation, Preconditioning, Vp};
use serde_json::json;

use super::published::{self, Work, task, weights};
use crate::cli::Options;
use crate::workload::{GRADIENT, Item, LOSS, Ours, Part, Spec, Task, Unit, Workload};

/// Numbers of a row: the noise level and two coordinates; then the hidden layers and the output.
const WIDTHS: [usize; 5] = [3, 128, 128, 128, 2];
/// Rows of the batch.
const ROWS: usize = 4096;
const MODEL_KEY: Key = Key::root(40);
const BATCH_KEY: Key = Key::root(41);

const PEERS: [Spec; 1] = [published::torch("torch", "PyTorch, denormals flushed", &["--flush"])];

pub(crate) fn workload(options: &Options) -> Result<Workload> {
    let work = Rc::new(Work::new(options.model.as_deref())?);
    let inputs = work.inputs()?;
    let net = Rc::new(work.net.duplicate()?.with_kernels(Kernels::Composite)?);
    let ours = Ours::new("", "ours", move |item| {
        Ok(Some(if item == "dsm" { task(&work, &net, item)? } else { own_step()? }))
    });
    let items = ["dsm", "own_step"].map(|key| Item::new(key, Unit::Ms));
    let mut workload = Workload::new(items.to_vec(), vec![ours]);
    workload.peers = &PEERS;
    workload.inputs = inputs;
    workload.facts.insert("weights".into(), weights(options));
    Ok(workload)
}

/// `W_4 silu(W_3 silu(W_2 silu(W_1 (c, x) + b_1) + b_2) + b_3) + b_4`.
struct Own(Vec<Linear>);

impl Own {
    fn new(vb: &VarBuilder<'static>) -> score_nets::Result<Self> {
        let layer = |(i, n): (usize, &[usize])| Linear::new(&vb.pp(i), n[0], n[1], 1.0);
        Ok(Self(WIDTHS.windows(2).enumerate().map(layer).collect::<score_nets::Result<_>>()?))
    }
}

impl Network for Own {
    fn row_shape(&self) -> Vec<usize> {
        vec![WIDTHS[0] - 1]
    }

    fn forward(&self, x: &Jet, c: &Jet, _: &Condition) -> score_nets::Result<Jet> {
        let mut h = Jet::cat(&[&c.map(|c| Ok(c.unsqueeze(1)?))?, x], 1)?;
        for (i, layer) in self.0.iter().enumerate() {
            h = layer.forward(&h)?;
            if i + 1 < self.0.len() {
                h = h.activate(Activation::Silu)?;
            }
        }
        Ok(h)
    }
}

/// Draws a batch for the network of a user's own; its denoising loss and gradients.
fn own_step() -> Result<Task> {
    let build: Build = Arc::new(|vb| Ok(Box::new(Own::new(&vb)?)));
    let (output, given) = (Parametrisation::Eps, Preconditioning::none());
    let sde = Arc::new(Vp::default());
    let model = ScoreModel::of_network(build, output, given, sde, MODEL_KEY, &Backend::cpu())?;
    let model = Rc::new((model, Denoising::new(Arc::new(DataSet::Checker), ROWS)));
    let layers = 0..WIDTHS.len() - 1;
    let names: Vec<String> =
        layers.flat_map(|i| [format!("{i}.weight"), format!("{i}.bias")]).collect();

    let samples = model.1.samples(&model.0, BATCH_KEY, 0..ROWS as u64)?;
    let mut arrays = Vec::new();
    for (name, values) in [("t", &samples.t), ("x", &samples.x), ("target", &samples.target)] {
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        let shape = (ROWS, values.len() / ROWS);
        arrays.push((name.to_owned(), Tensor::from_vec(values, shape, &Device::Cpu)?));
    }
    for (i, name) in names.iter().enumerate() {
        let values = model.0.parameters().get(name).context("a parameter is missing")?;
        arrays.push((format!("parameters/{i:02}"), values.detach()));
    }

    let again = model.clone();
    let step = move || Ok(again.1.of_batch(&again.0, 0, BATCH_KEY)?);
    let result = step.clone();
    let mut task = Task::new(step).result(move || {
        let (loss, gradients) = result()?;
        let mut parts = vec![Part::new(LOSS, "loss", vec![loss])];
        for name in &names {
            let gradient = gradients.get(model.0.parameters(), name).context("no gradient")?;
            parts.push(Part::of(GRADIENT, format!("gradient of {name}"), gradient)?);
        }
        Ok(parts)
    });
    task.inputs.arrays = arrays;
    task.inputs.values.insert("widths".into(), json!(WIDTHS));
    Ok(task)
}
