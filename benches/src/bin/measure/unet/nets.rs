//! Whole networks: a step of training, an evaluation.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use candle_core::{DType, Tensor};
use score_nets::{
    Architecture, Backend, Condition, Gradients, Jet, Model, ModelConfig, Objective, Schedule,
    ScoreModel, TrainConfig, Trainer,
};
use sde_core::{Key, Parametrisation, Preconditioning, State};
use serde_json::{Value, json};

use super::convs::Array;
use crate::side::Side;
use crate::timing::settled;

/// A network and what is done with it. All are `UNet2DModel`s, so that PyTorch has them too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    /// A training step (loss, gradients, Adam) on 64 images of 28 x 28 at widths (32, 64, 64).
    Step28,
    /// An evaluation of the same.
    Eval28,
    /// A training step on 64 images of 8 x 8 at widths (32, 64).
    Step8,
    /// One image through the architecture of `google/ddpm-cifar10-32`.
    Cifar,
}

impl Item {
    pub(crate) const ALL: [Self; 4] = [Self::Step28, Self::Eval28, Self::Step8, Self::Cifar];

    /// The name that requests and keys know it by.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Step28 => "unet28_step",
            Self::Eval28 => "unet28_eval",
            Self::Step8 => "unet8_step",
            Self::Cifar => "cifar_eval",
        }
    }

    fn trains(self) -> bool {
        matches!(self, Self::Step28 | Self::Step8)
    }

    /// The constructor's arguments.
    pub(crate) fn config(self) -> Value {
        let (size, channels, widths, layers) = match self {
            Self::Step28 | Self::Eval28 => (28, 1, vec![32, 64, 64], 1),
            Self::Step8 => (8, 1, vec![32, 64], 1),
            Self::Cifar => (32, 3, vec![128, 256, 256, 256], 2),
        };
        let attention = |at: usize| if self == Self::Cifar && at == 1 { "Attn" } else { "" };
        let n = widths.len();
        let down: Vec<String> = (0..n).map(|i| format!("{}DownBlock2D", attention(i))).collect();
        let up: Vec<String> = (0..n).rev().map(|i| format!("{}UpBlock2D", attention(i))).collect();
        let plain = self != Self::Cifar;
        json!({
            "sample_size": size, "in_channels": channels, "out_channels": channels,
            "layers_per_block": layers, "block_out_channels": widths,
            "down_block_types": down, "up_block_types": up,
            "attention_head_dim": if plain { json!(8) } else { Value::Null },
            "downsample_padding": i32::from(plain), "flip_sin_to_cos": plain,
            "freq_shift": i32::from(!plain), "norm_eps": if plain { 1e-5 } else { 1e-6 },
        })
    }

    fn batch(self) -> usize {
        if self == Self::Cifar { 1 } else { 64 }
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

struct Problem {
    square: Square,
    trainer: Trainer<ScoreModel>,
}

/// Ours.
pub(crate) struct Ours(BTreeMap<Item, Problem>);

impl Ours {
    pub(crate) fn new(items: impl Iterator<Item = Item>) -> Result<Self> {
        Ok(Self(items.map(|item| Ok((item, problem(item)?))).collect::<Result<_>>()?))
    }

    /// Names, numbers and shapes of the inputs, then of the parameters.
    pub(crate) fn inputs(&self, item: Item) -> Result<Vec<(String, Array)>> {
        let Problem { square, trainer } = &self.0[&item];
        let own = [("x", &square.x), ("t", &square.t), ("target", &square.target)];
        let own = own.into_iter().map(|(name, t)| (name.to_owned(), t));
        let parameters = trainer.net().parameters().iter();
        own.chain(parameters.map(|(name, t)| (format!("parameters/{name}"), t)))
            .map(|(name, t)| Ok((name, (values(t)?, t.dims().to_vec()))))
            .collect()
    }

    /// The output; of a step, also the gradients of the first and of the last convolution.
    pub(crate) fn result(&self, item: Item) -> Result<Vec<(&'static str, Vec<f32>)>> {
        let Problem { square, trainer } = &self.0[&item];
        let model = trainer.net();
        let mut found = vec![("output", values(&square.output(model.detached())?)?)];
        if item.trains() {
            let (_, gradients) = square.of_batch(model, 0, Key::root(0))?;
            for name in ["conv_in.weight", "conv_out.weight"] {
                let gradient = gradients.get(model.parameters(), name);
                found.push((name, gradient.map_or(Ok(Vec::new()), values)?));
            }
        }
        Ok(found)
    }

    pub(crate) fn run(&mut self, item: Item) -> Result<()> {
        let Some(Problem { square, trainer }) = self.0.get_mut(&item) else { return Ok(()) };
        if item.trains() {
            // A raised flag stops it after one step.
            trainer.run(&AtomicBool::new(true), &mut |_| Ok(()))?;
        } else {
            std::hint::black_box(square.output(trainer.net().detached())?);
        }
        Ok(())
    }
}

fn problem(item: Item) -> Result<Problem> {
    let network =
        Architecture::from_json(&json!({ "architecture": "diffusers", "args": item.config() }))?;
    let config = ModelConfig {
        network: Some(network),
        output: Parametrisation::Eps,
        preconditioning: Preconditioning::none(),
        sde: "vp".into(),
        sigma_data: None,
        log_variance: None,
        identity: None,
    };
    let key = Key::root(30).fold(item as u64);
    let backend = Backend::cpu();
    let model = ScoreModel::new(config, key.fold(0), &backend)?;
    // Numbers in the place of initial zeros: zeros make work that others may skip.
    for (i, (name, parameter)) in model.parameters().iter().enumerate() {
        let noise = parameter.detach().normals_like(key.fold(1).fold(i as u64), 0)?;
        Model::parameters(&model).set(name, &(parameter + (noise * 0.02)?)?)?;
    }
    let shape: Vec<usize> = [item.batch()].into_iter().chain(model.row_shape()).collect();
    let like = Tensor::zeros(shape, DType::F32, backend.device())?;
    let steps = (0..item.batch()).map(|i| (37 * i % 1000) as f64).collect();
    let square = Square {
        x: like.normals_like(key.fold(2), 0)?,
        t: backend.tensor(steps, &[item.batch()])?,
        target: like.normals_like(key.fold(3), 0)?,
    };
    let train = TrainConfig::new(u64::MAX, Schedule::Constant { lr: 1e-6 });
    let trainer = Trainer::new(model, train)?.term(1.0, Box::new(square.clone()));
    Ok(Problem { square, trainer })
}

fn values(x: &Tensor) -> Result<Vec<f32>> {
    Ok(x.flatten_all()?.to_vec1()?)
}

impl Side<Item> for Ours {
    fn name(&self) -> &str {
        "ours"
    }

    fn time(&mut self, item: Item) -> Result<f64> {
        settled(|| self.run(item))
    }
}
