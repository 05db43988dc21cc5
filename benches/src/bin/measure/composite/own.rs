//! A network as a user writes one, and a step of its training.

use std::sync::Arc;

use anyhow::{Context, Result};
use candle_core::Tensor;
use candle_nn::VarBuilder;
use score_nets::layers::Linear;
use score_nets::{
    Activation, Backend, Build, Condition, Denoising, Jet, Network, Objective, ScoreModel,
};
use sde_core::analytic::DataSet;
use sde_core::{Key, Parametrisation, Preconditioning, Vp};

use crate::check::Step;

/// Numbers of a row: the noise level and two coordinates; then the hidden layers and the output.
pub(super) const WIDTHS: [usize; 5] = [3, 128, 128, 128, 2];
/// Rows of the batch.
pub(super) const ROWS: usize = 4096;

const MODEL_KEY: Key = Key::root(40);
const BATCH_KEY: Key = Key::root(41);

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

/// The network in a model, and its loss.
pub(super) struct Problem {
    model: ScoreModel,
    loss: Denoising,
}

/// Arrays by name, with their shapes.
pub(super) type Arrays = Vec<(String, Vec<f32>, Vec<usize>)>;

impl Problem {
    pub(super) fn new() -> Result<Self> {
        let build: Build = Arc::new(|vb| Ok(Box::new(Own::new(&vb)?)));
        let model = ScoreModel::of_network(
            build,
            Parametrisation::Eps,
            Preconditioning::none(),
            Arc::new(Vp::default()),
            MODEL_KEY,
            &Backend::cpu(),
        )?;
        Ok(Self { model, loss: Denoising::new(Arc::new(DataSet::Checker), ROWS) })
    }

    /// Draws the batch; its loss and gradients.
    pub(super) fn step(&self) -> Result<(f64, score_nets::Gradients)> {
        Ok(self.loss.of_batch(&self.model, 0, BATCH_KEY)?)
    }

    /// Names in the order of the layers.
    fn names() -> Vec<String> {
        let layers = 0..WIDTHS.len() - 1;
        layers.flat_map(|i| [format!("{i}.weight"), format!("{i}.bias")]).collect()
    }

    /// What [`Problem::step`] comes to.
    pub(super) fn expected(&self) -> Result<Step> {
        let (loss, gradients) = self.step()?;
        let of = |name: String| -> Result<(String, Vec<f32>)> {
            let gradient = gradients.get(self.model.parameters(), &name);
            let gradient = gradient.with_context(|| format!("`{name}` has no gradient"))?;
            let values = values(gradient)?;
            Ok((name, values))
        };
        let gradient = Self::names().into_iter().map(of).collect::<Result<_>>()?;
        Ok(Step { loss, gradient })
    }

    /// The batch that the step draws, and the parameters.
    pub(super) fn inputs(&self) -> Result<(Arrays, Arrays)> {
        let samples = self.loss.samples(&self.model, BATCH_KEY, 0..ROWS as u64)?;
        let narrow = |name: &str, values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            let shape = vec![ROWS, values.len() / ROWS];
            (name.to_owned(), values, shape)
        };
        let batch = [("t", &samples.t), ("x", &samples.x), ("target", &samples.target)];
        let batch = batch.map(|(name, values)| narrow(name, values)).to_vec();
        let of = |name: String| -> Result<_> {
            let parameter = self.model.parameters().get(&name);
            let parameter = parameter.with_context(|| format!("no parameter `{name}`"))?;
            Ok((name, values(parameter)?, parameter.dims().to_vec()))
        };
        Ok((batch, Self::names().into_iter().map(of).collect::<Result<_>>()?))
    }
}

fn values(x: &Tensor) -> Result<Vec<f32>> {
    Ok(x.flatten_all()?.to_vec1()?)
}
