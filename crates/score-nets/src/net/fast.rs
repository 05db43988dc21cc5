//! The network on the fused kernels: base, scaled inputs and time around a [`FusedMlp`].

use candle_core::{DType, Device, Tensor, backprop::GradStore};
use rayon::prelude::*;
use sde_core::Derivatives;

use super::{Kernels, ScoreNet, graph::Times};
use crate::{
    Activation, Error, OperatorRow, Output, Result, RowOperator, ScoreBatch,
    fused::{self, FusedMlp, Gradients, Layer},
    mlp::Mlp,
    time::Scales,
    train::empty_store,
};

/// From this many rows on an evaluation is spread over threads (unless it runs on one of them).
const ROWS_IN_PARALLEL: usize = 256;

/// The network's inputs on the host, with what turns its outputs into those of the model.
struct Inputs {
    /// `[B, K]`.
    u: Vec<f32>,
    /// `[B, E]`, `e'(t)`; empty unless asked for.
    rates: Vec<f32>,
    /// One a row, or one for all.
    scales: Vec<Scales>,
}

impl Inputs {
    fn scales(&self, row: usize) -> &Scales {
        &self.scales[if self.scales.len() == 1 { 0 } else { row }]
    }
}

impl ScoreNet {
    /// Whether evaluations and gradients run on the fused kernels.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn uses_fused(&self) -> Result<bool> {
        Ok(self.frozen()?.fused.is_some())
    }

    /// The kernels for these weights, where they apply.
    pub(super) fn build_fused(&self, mlp: &Mlp) -> Result<Option<FusedMlp>> {
        let fits = self.dtype == DType::F32
            && matches!(self.device, Device::Cpu)
            && self.config.output == Output::Potential;
        if self.kernels == Kernels::Composite || !fits {
            return Ok(None);
        }
        let host = |t: &Tensor| -> Result<Vec<f32>> { Ok(t.flatten_all()?.to_vec1()?) };
        let mut values = Vec::with_capacity(mlp.layers.len());
        for layer in &mlp.layers {
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
        let activation = match self.config.activation {
            Activation::Softplus { beta } => fused::Activation::Softplus { beta: beta as f32 },
            Activation::Silu => fused::Activation::Silu,
            Activation::Tanh => fused::Activation::Tanh,
            Activation::Sin => fused::Activation::Sin,
        };
        Ok(FusedMlp::new(&layers, activation))
    }

    fn inputs(&self, x: &[f32], times: Times<'_>, with_rates: bool) -> Inputs {
        let (d, e, sde) = (self.dim(), self.time.width(), self.sde());
        let (k, rows) = (d + e, x.len() / d);
        let mut u = vec![0.0_f32; rows * k];
        let mut rates = vec![0.0_f32; if with_rates { rows * e } else { 0 }];
        let scales = match times {
            Times::Common(t) => {
                let (mut value, mut rate) = (vec![0.0; e], vec![0.0; e]);
                self.time.fill(sde, t, &mut value, &mut rate);
                let scales = self.time.scales(sde, t);
                for (u, x) in u.chunks_exact_mut(k).zip(x.chunks_exact(d)) {
                    u[..e].iter_mut().zip(&value).for_each(|(u, v)| *u = *v as f32);
                    u[e..].iter_mut().zip(x).for_each(|(u, x)| *u = *x * scales.k as f32);
                }
                for rates in rates.chunks_exact_mut(e) {
                    rates.iter_mut().zip(&rate).for_each(|(r, v)| *r = *v as f32);
                }
                vec![scales]
            }
            Times::Each(t) => {
                let blank = self.time.scales(sde, t.first().copied().unwrap_or(0.0));
                let mut scales = vec![blank; rows];
                let fill = |row: usize, u: &mut [f32], scales: &mut Scales, rates: &mut [f32]| {
                    let (mut value, mut rate) = ([0.0; 64], [0.0; 64]);
                    self.time.fill(sde, t[row], &mut value[..e], &mut rate[..e]);
                    *scales = self.time.scales(sde, t[row]);
                    u[..e].iter_mut().zip(&value).for_each(|(u, v)| *u = *v as f32);
                    let x = &x[row * d..(row + 1) * d];
                    u[e..].iter_mut().zip(x).for_each(|(u, x)| *u = *x * scales.k as f32);
                    rates.iter_mut().zip(&rate).for_each(|(r, v)| *r = *v as f32);
                };
                let rows = u.par_chunks_exact_mut(k).zip(&mut scales).enumerate().with_min_len(512);
                if with_rates {
                    let rows = rows.zip(rates.par_chunks_exact_mut(e));
                    rows.for_each(|((row, (u, s)), rates)| fill(row, u, s, rates));
                } else {
                    rows.for_each(|(row, (u, s))| fill(row, u, s, &mut []));
                }
                scales
            }
        };
        Inputs { u, rates, scales }
    }

    /// The score of rows on the kernels, `[B, D]`.
    pub(super) fn score_fused(
        &self,
        net: &FusedMlp,
        x: &Tensor,
        times: Times<'_>,
    ) -> Result<Tensor> {
        let rows = self.check_batch(x, times.each())?;
        times.check(self.sde())?;
        let points = x.flatten_all()?.to_vec1::<f32>()?;
        let inputs = self.inputs(&points, times, false);
        let mut grad = vec![0.0; inputs.u.len()];
        if in_parallel(rows) {
            net.par_value_and_grad(&inputs.u, None, &mut grad);
        } else {
            net.value_and_grad(&inputs.u, None, &mut grad);
        }
        let score = self.scores(&inputs, &points, &grad);
        Ok(Tensor::from_vec(score, (rows, self.dim()), &Device::Cpu)?)
    }

    /// `s = k N_x - x / v` of every row.
    fn scores(&self, inputs: &Inputs, x: &[f32], grad: &[f32]) -> Vec<f32> {
        let (d, k) = (self.dim(), self.config.n_inputs());
        let mut score = vec![0.0; x.len()];
        for (row, s) in score.chunks_exact_mut(d).enumerate() {
            let (factor, precision) =
                (inputs.scales(row).k as f32, inputs.scales(row).precision as f32);
            let g = &grad[row * k + k - d..(row + 1) * k];
            for ((s, g), x) in s.iter_mut().zip(g).zip(&x[row * d..(row + 1) * d]) {
                *s = factor * g - precision * x;
            }
        }
        score
    }

    /// Potential, score, time derivative and Laplacian of rows on the kernels.
    pub(super) fn derivatives_fused(
        &self,
        net: &FusedMlp,
        x: &Tensor,
        t: &[f64],
    ) -> Result<Derivatives<Tensor>> {
        let rows = self.check_batch(x, Some(t))?;
        Times::Each(t).check(self.sde())?;
        let (d, e, k) = (self.dim(), self.time.width(), self.config.n_inputs());
        let points = x.flatten_all()?.to_vec1::<f32>()?;
        let inputs = self.inputs(&points, Times::Each(t), true);
        let space: Vec<usize> = (e..k).collect();
        let (mut value, mut lap) = (vec![0.0; rows], vec![0.0; rows]);
        let mut grad = vec![0.0; rows * k];
        if in_parallel(rows) {
            net.par_laplacian(&inputs.u, &space, Some(&mut value), &mut grad, &mut lap);
        } else {
            net.laplacian(&inputs.u, &space, Some(&mut value), &mut grad, &mut lap);
        }
        let half_d = 0.5 * d as f64;
        let mut result = Derivatives {
            potential: Vec::with_capacity(rows),
            score: Tensor::from_vec(self.scores(&inputs, &points, &grad), (rows, d), &Device::Cpu)?,
            d_t: Vec::with_capacity(rows),
            laplacian: Vec::with_capacity(rows),
        };
        for row in 0..rows {
            let s = inputs.scales(row);
            let (u, g) = (&inputs.u[row * k..(row + 1) * k], &grad[row * k..(row + 1) * k]);
            let rates = &inputs.rates[row * e..(row + 1) * e];
            let square: f64 =
                points[row * d..(row + 1) * d].iter().map(|&x| f64::from(x).powi(2)).sum();
            let half_square = 0.5 * square * s.precision;
            let moving = s.dlogk * dot(&u[e..], &g[e..]) + dot(rates, &g[..e]);
            result.potential.push(f64::from(value[row]) - half_square - half_d * s.log_v);
            result.d_t.push(moving + (half_square - half_d) * s.dlog_v);
            result.laplacian.push(f64::from(lap[row]) * s.k * s.k - d as f64 * s.precision);
        }
        Ok(result)
    }

    /// [`ScoreNet::score_loss_and_grad`] on the kernels.
    pub(crate) fn score_loss_fused(
        &self,
        net: &FusedMlp,
        batch: &ScoreBatch,
    ) -> Result<(f64, GradStore)> {
        let (d, k, n) = (self.dim(), self.config.n_inputs(), batch.t.len());
        let x: Vec<f32> = batch.x.iter().map(|&x| x as f32).collect();
        let inputs = self.inputs(&x, Times::Each(&batch.t), false);
        let share = 1.0 / (n * d) as f64;
        let mut gradients = net.zero_gradients();
        let loss = net.gradient_loss(
            &inputs.u,
            |samples, v| {
                let mut loss = 0.0;
                for i in 0..samples.count {
                    let row = samples.first + i;
                    let s = inputs.scales(row);
                    let weight = batch.weight[row] * share;
                    for j in 0..d {
                        let at = i * k + k - d + j;
                        let base = s.precision * batch.x[row * d + j];
                        let score = s.k * f64::from(samples.grad[at]) - base;
                        let error = score - batch.target[row * d + j];
                        loss += weight * error * error;
                        v[at] = (2.0 * weight * error * s.k) as f32;
                    }
                }
                loss
            },
            &mut gradients,
        );
        Ok((loss, self.store(&gradients)?))
    }

    /// [`ScoreNet::operator_loss_and_grad`] on the kernels; `share` is what the square of a row's
    /// residual counts in the loss.
    pub(crate) fn operator_loss_fused(
        &self,
        net: &FusedMlp,
        x: &[f64],
        t: &[f64],
        share: &(dyn Fn(usize) -> f64 + Sync),
        operator: &RowOperator<'_>,
    ) -> Result<(f64, GradStore)> {
        let (d, e, k) = (self.dim(), self.time.width(), self.config.n_inputs());
        let x32: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let inputs = self.inputs(&x32, Times::Each(t), true);
        let space: Vec<usize> = (e..k).collect();
        // The operator at a row: its direction in x, the coefficient of the Laplacian, the remainder.
        let at = |row: usize, grad: &[f32], direction: &mut [f64]| {
            let s = inputs.scales(row);
            let mut score = [0.0; fused::MAX_INPUTS];
            let x = &x[row * d..(row + 1) * d];
            for j in 0..d {
                score[j] = s.k * f64::from(grad[e + j]) - s.precision * x[j];
            }
            operator(&OperatorRow { row, t: t[row], x, score: &score[..d] }, direction)
        };
        let mut gradients = net.zero_gradients();
        let loss = net.operator_loss(
            &inputs.u,
            &space,
            |samples, coefficients| {
                let mut direction = [0.0; fused::MAX_INPUTS];
                for i in 0..samples.count {
                    let row = samples.first + i;
                    let (s, own) = (inputs.scales(row), i * k..(i + 1) * k);
                    let (l, _) = at(row, &samples.grad[own.clone()], &mut direction[..d]);
                    let m = &mut coefficients.direction[own.clone()];
                    m[..e].copy_from_slice(&inputs.rates[row * e..(row + 1) * e]);
                    for j in 0..d {
                        let u = f64::from(samples.u[own.start + e + j]);
                        m[e + j] = (s.dlogk * u + s.k * direction[j]) as f32;
                    }
                    coefficients.laplacian[i] = (l * s.k * s.k) as f32;
                }
            },
            |samples, values, cotangents| {
                let mut direction = [0.0; fused::MAX_INPUTS];
                let mut loss = 0.0;
                for i in 0..samples.count {
                    let row = samples.first + i;
                    let s = inputs.scales(row);
                    let grad = &samples.grad[i * k..(i + 1) * k];
                    let (l, remainder) = at(row, grad, &mut direction[..d]);
                    let x = &x[row * d..(row + 1) * d];
                    // What the closed-form part adds to the operator.
                    let square: f64 = x.iter().map(|x| x * x).sum();
                    let along: f64 = x.iter().zip(&direction).map(|(x, c)| x * c).sum();
                    let base = 0.5 * (square * s.precision - d as f64) * s.dlog_v
                        - s.precision * (along + l * d as f64);
                    let residual = f64::from(values[i]) + base + remainder;
                    loss += share(row) * residual * residual;
                    cotangents[i] = (2.0 * share(row) * residual) as f32;
                }
                loss
            },
            &mut gradients,
        );
        Ok((loss, self.store(&gradients)?))
    }

    /// Gradients as candle's store; the gauge constant has none.
    fn store(&self, gradients: &Gradients) -> Result<GradStore> {
        let mut store = empty_store()?;
        for (&(w, b), g) in self.layers.iter().zip(&gradients.layers) {
            for (index, values) in [(w, &g.weight), (b, &g.bias)] {
                let (name, var) = &self.vars[index];
                if self.gauge_parameter() != Some(name) {
                    let grad = Tensor::from_slice(values, var.shape(), &Device::Cpu)?;
                    store.insert(var.as_tensor(), grad);
                }
            }
        }
        Ok(store)
    }

    pub(super) fn no_fused(&self) -> Error {
        let needs = format!(
            "f32 on the CPU, a potential and at most {} inputs (here {}, {:?}, {:?}, {})",
            fused::MAX_INPUTS,
            self.dtype.as_str(),
            self.device.location(),
            self.config.output,
            self.config.n_inputs(),
        );
        Error::Unsupported { what: "`fused`", needs }
    }
}

fn in_parallel(rows: usize) -> bool {
    rows >= ROWS_IN_PARALLEL && rayon::current_thread_index().is_none()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
