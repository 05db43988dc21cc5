//! The network on the fused kernels: where they apply, and what both kinds of output have in common.
//!
//! The score is `s = k y - x / v`, its part `y` of the network being the gradient of a potential by
//! the inputs of space, or the outputs themselves. A row of the kernels holds `y` at its end: after
//! the gradient by the inputs of time, or alone.

mod inputs;
mod potential;
mod vector;

use candle_core::{DType, Device, Tensor};
use sde_core::Derivatives;

use super::{
    Kernels, ScoreBatch, ScoreNet, evaluator::Evaluator, graph::Times, operator::Operated,
};
use crate::{
    Error, Gradients, Output, Result,
    fused::{self, FusedMlp, Layer},
};
use inputs::Inputs;

/// From this many rows on an evaluation is spread over threads (unless it runs on one of them).
const ROWS_IN_PARALLEL: usize = 256;

/// The evaluator of the fused kernels: `f32` on the CPU.
pub(super) struct Fused(FusedMlp);

impl Fused {
    /// The kernels for the weights of a network, where they apply.
    pub(super) fn new(net: &ScoreNet) -> Result<Option<Self>> {
        let fits = net.dtype() == DType::F32 && matches!(net.device(), Device::Cpu);
        if net.kernels == Kernels::Composite || !fits {
            return Ok(None);
        }
        let host = |t: &Tensor| -> Result<Vec<f32>> { Ok(t.flatten_all()?.to_vec1()?) };
        let mut values = Vec::with_capacity(net.detached.layers.len());
        for layer in &net.detached.layers {
            values.push((layer.weight.dims2()?, host(&layer.weight)?, host(&layer.bias)?));
        }
        let layers: Vec<_> = values
            .iter()
            .map(|((outputs, inputs), weight, bias)| Layer {
                inputs: *inputs,
                outputs: *outputs,
                weight,
                bias,
            })
            .collect();
        let activation = net.config.activation.fused();
        Ok(FusedMlp::new(&layers, activation).map(Self))
    }
}

impl Evaluator for Fused {
    fn is_fused(&self) -> bool {
        true
    }

    fn score(&self, net: &ScoreNet, x: &Tensor, times: Times<'_>) -> Result<Tensor> {
        net.check_batch(x, times.each())?;
        times.check(net.sde())?;
        let points = x.flatten_all()?.to_vec1::<f32>()?;
        let inputs = net.inputs(&points, times, false);
        let part = match net.config.output {
            Output::Potential => potential::gradients(&self.0, &inputs.u, net.dim()),
            Output::Score => vector::values(&self.0, &inputs.u),
        };
        net.with_base(&inputs, &points, &part)
    }

    fn score_jvp(
        &self,
        net: &ScoreNet,
        x: &Tensor,
        times: Times<'_>,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        net.check_direction(x, times.each(), v)?;
        times.check(net.sde())?;
        let points = x.flatten_all()?.to_vec1::<f32>()?;
        let along = v.flatten_all()?.to_vec1::<f32>()?;
        let inputs = net.inputs(&points, times, false);
        let du = net.directions(&inputs, &along);
        let (part, tangent) = match net.config.output {
            Output::Potential => potential::hessian_products(&self.0, &inputs.u, &du),
            Output::Score => vector::tangents(&self.0, &inputs.u, &du),
        };
        let score = net.with_base(&inputs, &points, &part)?;
        Ok((score, net.with_base(&inputs, &along, &tangent)?))
    }

    fn potential(&self, net: &ScoreNet, x: &Tensor, times: Times<'_>) -> Result<Vec<f64>> {
        net.potential_fused(&self.0, x, times)
    }

    fn derivatives(&self, net: &ScoreNet, x: &Tensor, t: &[f64]) -> Result<Derivatives<Tensor>> {
        net.derivatives_fused(&self.0, x, t)
    }

    fn divergence(&self, net: &ScoreNet, x: &Tensor, times: Times<'_>) -> Result<Vec<f64>> {
        net.divergence_fused(&self.0, x, times)
    }

    fn score_loss(&self, net: &ScoreNet, batch: &ScoreBatch) -> Result<(f64, Gradients)> {
        let (dim, width) = (net.dim(), net.part_width());
        let x: Vec<f32> = batch.x.iter().map(|&x| x as f32).collect();
        let inputs = &net.inputs(&x, Times::Each(&batch.t), false);
        let share = 1.0 / (batch.t.len() * dim) as f64;
        let matching = Matching { inputs, batch, dim, width, share };
        let mut gradients = self.0.zero_gradients();
        let loss = match net.config.output {
            Output::Potential => self.0.gradient_loss(
                &inputs.u,
                |samples, v| matching.block(samples.first, samples.grad, v),
                &mut gradients,
            ),
            Output::Score => self.0.output_loss(
                &inputs.u,
                |samples, v| matching.block(samples.first, samples.values, v),
                &mut gradients,
            ),
        };
        Ok((loss, net.store(&gradients)?))
    }

    fn operator_loss(&self, net: &ScoreNet, points: &Operated<'_>) -> Result<(f64, Gradients)> {
        net.operator_loss_fused(&self.0, points)
    }
}

impl ScoreNet {
    /// Numbers of a row that ends with the network's part of the score.
    fn part_width(&self) -> usize {
        match self.config.output {
            Output::Potential => self.config.n_inputs(),
            Output::Score => self.dim(),
        }
    }

    /// Gradients by parameter; the gauge constant has none.
    fn store(&self, gradients: &fused::Gradients) -> Result<Gradients> {
        let mut found = Gradients::none(&self.parameters);
        for ((name, ..), g) in self.config.layers().iter().zip(&gradients.layers) {
            for (part, values) in [("weight", &g.weight), ("bias", &g.bias)] {
                let name = format!("{name}.{part}");
                let place =
                    self.parameters.place(&name).filter(|_| self.gauge_parameter() != Some(&name));
                if let (Some(place), Some(of)) = (place, self.parameters.get(&name)) {
                    found.0[place] = Some(Tensor::from_slice(values, of.shape(), &Device::Cpu)?);
                }
            }
        }
        Ok(found)
    }

    pub(super) fn no_fused(&self) -> Error {
        let needs = format!(
            "f32 on the CPU and at most {} inputs (here {}, {:?}, {})",
            fused::MAX_INPUTS,
            self.dtype().as_str(),
            self.device().location(),
            self.config.n_inputs(),
        );
        Error::Unsupported { what: "`fused`", needs }
    }
}

/// The loss of score matching as the kernels ask for it.
struct Matching<'a> {
    inputs: &'a Inputs,
    batch: &'a ScoreBatch,
    dim: usize,
    width: usize,
    /// What the square of an error of weight 1 counts.
    share: f64,
}

impl Matching<'_> {
    /// The loss of rows from `first` on, of which `part` ends with the network's part of the score,
    /// and its derivatives by that, written to the same places of `v`.
    fn block(&self, first: usize, part: &[f32], v: &mut [f32]) -> f64 {
        let &Self { inputs, batch, dim, width, share } = self;
        let mut loss = 0.0;
        let rows = part.chunks_exact(width).zip(v.chunks_exact_mut(width));
        for (row, (part, v)) in (first..).zip(rows) {
            let s = inputs.scales(row);
            let weight = batch.weight[row] * share;
            for j in 0..dim {
                let at = width - dim + j;
                let base = s.precision * batch.x[row * dim + j];
                let score = s.k * f64::from(part[at]) - base;
                let error = score - batch.target[row * dim + j];
                loss += weight * error * error;
                v[at] = (2.0 * weight * error * s.k) as f32;
            }
        }
        loss
    }
}

fn in_parallel(rows: usize) -> bool {
    rows >= ROWS_IN_PARALLEL && rayon::current_thread_index().is_none()
}
