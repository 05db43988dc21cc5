//! Image networks and the convolutions they are made of.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Tensor, Var};
use score_nets::ops::{Conv, conv2d};
use score_nets::{
    Architecture, Backend, Condition, Gradients, Jet, Model, ModelConfig, Objective, Schedule,
    ScoreModel, TrainConfig, Trainer,
};
use sde_core::{Key, Parametrisation, Preconditioning, State};
use serde_json::{Value, json};

use crate::workload::{CONVOLUTION, Item, NETWORK, Ours, Part, Spec, Task, Unit, Workload};

const PEERS: [Spec; 1] =
    [Spec { key: "torch", name: "PyTorch", script: "unet_peer.py", flags: &[], optional: false }];

/// 3 x 3 convolutions that keep size and channels: name, batch, channels, size. They are those of the
/// levels of a network on 28 x 28 images, of one on 32 x 32, and of its inner levels.
const CONVOLUTIONS: [(&str, usize, usize, usize); 3] =
    [("conv28", 32, 64, 28), ("conv16", 64, 128, 16), ("conv8", 64, 256, 8)];

/// A `UNet2DModel` of diffusers, which PyTorch computes too.
struct Net {
    key: &'static str,
    batch: usize,
    size: usize,
    channels: usize,
    widths: &'static [usize],
    /// A training step (loss, gradients, Adam) instead of an evaluation.
    trains: bool,
    /// The architecture of `google/ddpm-cifar10-32`.
    cifar: bool,
}

const SMALL: Net = Net {
    key: "unet28_step",
    batch: 64,
    size: 28,
    channels: 1,
    widths: &[32, 64, 64],
    trains: true,
    cifar: false,
};
const NETS: [Net; 4] = [
    SMALL,
    Net { key: "unet28_eval", trains: false, ..SMALL },
    Net { key: "unet8_step", size: 8, widths: &[32, 64], ..SMALL },
    Net {
        key: "cifar_eval",
        batch: 1,
        size: 32,
        channels: 3,
        widths: &[128, 256, 256, 256],
        trains: false,
        cifar: true,
    },
];

pub(crate) fn workload() -> Result<Workload> {
    // The operations of the three products, without what zeros around the image save.
    let conv = |&(key, batch, c, size): &(&str, usize, usize, usize)| {
        Item::new(key, Unit::Gflops).flops((3 * 2 * 9 * batch * size * size * c * c) as f64)
    };
    let net = |net: &Net| Item::new(net.key, Unit::Ms).memory();
    let items = CONVOLUTIONS.iter().map(conv).chain(NETS.iter().map(net)).collect();
    let ours = Ours::new("", "ours", |item| {
        if let Some(number) = CONVOLUTIONS.iter().position(|conv| conv.0 == item) {
            return convolution(number).map(Some);
        }
        let number = NETS.iter().position(|net| net.key == item);
        number.map(|number| network(&NETS[number], number)).transpose()
    });
    let mut workload = Workload::new(items, vec![ours]);
    workload.peers = &PEERS;
    Ok(workload)
}

/// A convolution, the gradient of its input and that of its weights, through candle's graph as in
/// training.
fn convolution(number: usize) -> Result<Task> {
    let (_, batch, c, size) = CONVOLUTIONS[number];
    let normals = |seed, shape: (usize, usize, usize, usize)| -> Result<Tensor> {
        let like = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
        Ok(like.normals_like(Key::root(20).fold(3 * number as u64 + seed), 0)?)
    };
    let image = (batch, size, size, c);
    let weights = (normals(1, (c, c, 3, 3))? * (1.0 / (9 * c) as f64).sqrt())?;
    let x = Var::from_tensor(&normals(0, image)?)?;
    let w = Var::from_tensor(&weights)?;
    let dy = normals(2, image)?;
    let arrays = [("x", x.as_tensor()), ("w", w.as_tensor()), ("dy", &dy)];
    let arrays = arrays.map(|(name, array)| (name.to_owned(), array.detach())).to_vec();
    let compute = move || -> Result<[(&str, Tensor); 3]> {
        let y = conv2d(&x, &w, None, Conv::same(3))?;
        let mut grads = y.apply_op1(Cotangent(dy.clone()))?.backward()?;
        let dx = grads.remove(&x).context("no gradient of the input")?;
        let dw = grads.remove(&w).context("no gradient of the weights")?;
        Ok([("output", y), ("input gradient", dx), ("weight gradient", dw)])
    };
    let result = compute.clone();
    let mut task = Task::new(compute).result(move || {
        result()?.into_iter().map(|(name, found)| Part::of(CONVOLUTION, name, &found)).collect()
    });
    task.inputs.arrays = arrays;
    Ok(task)
}

/// A loss whose gradient is given.
struct Cotangent(Tensor);

impl CustomOp1 for Cotangent {
    fn name(&self) -> &'static str {
        "cotangent"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

impl Net {
    /// The constructor's arguments.
    fn config(&self) -> Value {
        let attention = |at: usize| if self.cifar && at == 1 { "Attn" } else { "" };
        let n = self.widths.len();
        let down: Vec<String> = (0..n).map(|i| format!("{}DownBlock2D", attention(i))).collect();
        let up: Vec<String> = (0..n).rev().map(|i| format!("{}UpBlock2D", attention(i))).collect();
        json!({
            "sample_size": self.size, "in_channels": self.channels, "out_channels": self.channels,
            "layers_per_block": 1 + usize::from(self.cifar), "block_out_channels": self.widths,
            "down_block_types": down, "up_block_types": up,
            "attention_head_dim": if self.cifar { Value::Null } else { json!(8) },
            "downsample_padding": i32::from(!self.cifar), "flip_sin_to_cos": !self.cifar,
            "freq_shift": i32::from(self.cifar), "norm_eps": if self.cifar { 1e-6 } else { 1e-5 },
        })
    }

    fn model(&self, key: Key) -> Result<ScoreModel> {
        let network = json!({ "architecture": "diffusers", "args": self.config() });
        let config = ModelConfig {
            network: Some(Architecture::from_json(&network)?),
            output: Parametrisation::Eps,
            preconditioning: Preconditioning::none(),
            sde: "vp".into(),
            sigma_data: None,
            log_variance: None,
            identity: None,
            data: None,
        };
        let model = ScoreModel::new(config, key.fold(0), &Backend::cpu())?;
        // Numbers in the place of initial zeros, whose work other software may skip.
        for (i, (name, parameter)) in model.parameters().iter().enumerate() {
            let noise = parameter.detach().normals_like(key.fold(1).fold(i as u64), 0)?;
            Model::parameters(&model).set(name, &(parameter + (noise * 0.02)?)?)?;
        }
        Ok(model)
    }
}

/// The mean square of the distance of a network's output to a target.
#[derive(Clone)]
struct Square {
    x: Tensor,
    t: Tensor,
    target: Tensor,
}

impl Square {
    fn output(&self, net: &dyn score_nets::Network) -> score_nets::Result<Tensor> {
        let at = |x: &Tensor| Jet::constant(x.clone());
        Ok(net.forward(&at(&self.x), &at(&self.t), &Condition::default())?.value)
    }
}

impl Objective<ScoreModel> for Square {
    fn name(&self) -> &str {
        "square"
    }

    fn rows(&self) -> u64 {
        self.x.rows() as u64
    }

    fn loss_and_grad(
        &self,
        model: &ScoreModel,
        _: u64,
        _: Key,
        _: Range<u64>,
    ) -> score_nets::Result<(f64, Gradients)> {
        let loss = (self.output(model.network())? - &self.target)?.sqr()?.mean_all()?;
        let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        Ok((value, Gradients::of(&loss, model.parameters())?))
    }
}

/// A training step or an evaluation.
fn network(net: &'static Net, number: usize) -> Result<Task> {
    let (key, backend) = (Key::root(30).fold(number as u64), Backend::cpu());
    let model = net.model(key)?;
    let shape: Vec<usize> = [net.batch].into_iter().chain(model.row_shape()).collect();
    let like = Tensor::zeros(shape, DType::F32, backend.device())?;
    let steps = (0..net.batch).map(|i| (37 * i % 1000) as f64).collect();
    let square = Square {
        x: like.normals_like(key.fold(2), 0)?,
        t: backend.tensor(steps, &[net.batch])?,
        target: like.normals_like(key.fold(3), 0)?,
    };
    let own = [("x", &square.x), ("t", &square.t), ("target", &square.target)];
    let own = own.map(|(name, array)| (name.to_owned(), array.clone()));
    let parameters = model.parameters().iter();
    let parameters = parameters.map(|(name, array)| (format!("parameters/{name}"), array.detach()));
    let arrays = own.into_iter().chain(parameters).collect();
    let train = TrainConfig::new(u64::MAX, Schedule::Constant { lr: 1e-6 });
    let trainer = Trainer::new(model, train)?.term(1.0, Box::new(square.clone()));
    let problem = Rc::new(RefCell::new((trainer, square)));
    let again = problem.clone();
    let run = move || {
        let (trainer, square) = &mut *again.borrow_mut();
        if net.trains {
            // A raised flag stops it after one step.
            trainer.run(&AtomicBool::new(true), &mut |_| Ok(()))?;
        } else {
            std::hint::black_box(square.output(trainer.net().detached())?);
        }
        Ok(())
    };
    let mut task = Task::new(run).result(move || {
        let (trainer, square) = &*problem.borrow();
        let model = trainer.net();
        let mut parts = vec![Part::of(NETWORK, "output", &square.output(model.detached())?)?];
        if net.trains {
            let (_, gradients) = square.of_batch(model, 0, Key::root(0))?;
            for name in ["conv_in.weight", "conv_out.weight"] {
                let gradient = gradients.get(model.parameters(), name).context("no gradient")?;
                parts.push(Part::of(NETWORK, format!("gradient of {name}"), gradient)?);
            }
        }
        Ok(parts)
    });
    task.inputs.arrays = arrays;
    task.inputs.values.insert("config".into(), net.config());
    Ok(task)
}
