//! From points and times to the inputs of the kernels, and from their outputs back to scores.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::{Result, ScoreNet, fused, net::graph::Times, time::Scales};

/// The network's inputs on the host, with what turns its outputs into those of the model.
pub(super) struct Inputs {
    /// `[B, K]`.
    pub(super) u: Vec<f32>,
    /// `[B, E]`, `e'(t)`; empty unless asked for.
    pub(super) rates: Vec<f32>,
    /// One a row, or one for all.
    scales: Vec<Scales>,
}

impl Inputs {
    pub(super) fn scales(&self, row: usize) -> &Scales {
        &self.scales[if self.scales.len() == 1 { 0 } else { row }]
    }
}

impl ScoreNet {
    /// The inputs `u = (e(t), k x)` of points `[B, D]`.
    pub(super) fn inputs(&self, x: &[f32], times: Times<'_>, with_rates: bool) -> Inputs {
        let (d, e, sde) = (self.dim(), self.time.width(), self.sde());
        let (k, rows) = (d + e, x.len() / d);
        let mut u = vec![0.0_f32; rows * k];
        let mut rates = vec![0.0_f32; if with_rates { rows * e } else { 0 }];
        let scales = match times {
            Times::Common(t) => {
                let (mut value, mut rate) = (vec![0.0; e], vec![0.0; e]);
                self.time.fill(sde, t, &mut value, &mut rate);
                let scales = self.time.scales(sde, t);
                let factor = scales.k as f32;
                for (j, value) in value.iter().enumerate() {
                    u.iter_mut().skip(j).step_by(k).for_each(|u| *u = *value as f32);
                }
                for j in 0..d {
                    let x = x.iter().skip(j).step_by(d);
                    u.iter_mut().skip(e + j).step_by(k).zip(x).for_each(|(u, x)| *u = x * factor);
                }
                for rates in rates.chunks_exact_mut(e) {
                    rates.iter_mut().zip(&rate).for_each(|(r, v)| *r = *v as f32);
                }
                vec![scales]
            }
            Times::Each(t) => {
                let blank = self.time.scales(sde, t.first().copied().unwrap_or(0.0));
                let mut scales = vec![blank; rows];
                type Room = [[f64; fused::MAX_INPUTS]; 2];
                let room = || -> Room { [[0.0; fused::MAX_INPUTS]; 2] };
                let fill = |room: &mut Room,
                            row,
                            u: &mut [f32],
                            scales: &mut Scales,
                            rates: &mut [f32]| {
                    let [value, rate] = room;
                    self.time.fill(sde, t[row], &mut value[..e], &mut rate[..e]);
                    *scales = self.time.scales(sde, t[row]);
                    u[..e].iter_mut().zip(value).for_each(|(u, v)| *u = *v as f32);
                    let x = &x[row * d..(row + 1) * d];
                    u[e..].iter_mut().zip(x).for_each(|(u, x)| *u = *x * scales.k as f32);
                    rates.iter_mut().zip(rate).for_each(|(r, v)| *r = *v as f32);
                };
                let rows = u.par_chunks_exact_mut(k).zip(&mut scales).enumerate().with_min_len(512);
                if with_rates {
                    let rows = rows.zip(rates.par_chunks_exact_mut(e));
                    rows.for_each_init(room, |room, ((row, (u, s)), rates)| {
                        fill(room, row, u, s, rates)
                    });
                } else {
                    rows.for_each_init(room, |room, (row, (u, s))| fill(room, row, u, s, &mut []));
                }
                scales
            }
        };
        Inputs { u, rates, scales }
    }

    /// What directions `v`, `[B, D]`, are at the inputs: `du = (0, k v)`.
    pub(super) fn directions(&self, inputs: &Inputs, v: &[f32]) -> Vec<f32> {
        let (d, k) = (self.dim(), self.config.n_inputs());
        let mut du = vec![0.0; v.len() / d * k];
        for (row, (du, v)) in du.chunks_exact_mut(k).zip(v.chunks_exact(d)).enumerate() {
            let factor = inputs.scales(row).k as f32;
            du[k - d..].iter_mut().zip(v).for_each(|(du, v)| *du = factor * v);
        }
        du
    }

    /// `k y - x / v` of every row, `[B, D]`, the rows of `part` ending with `y`.
    pub(super) fn with_base(&self, inputs: &Inputs, x: &[f32], part: &[f32]) -> Result<Tensor> {
        let d = self.dim();
        let rows = x.len() / d;
        let mut score = vec![0.0; x.len()];
        // Rows with a time in common and nothing between them are as good as one long row.
        let long = inputs.scales.len() == 1 && part.len() == x.len();
        let count = if long { 1 } else { rows }.max(1);
        let (each, width) = ((x.len() / count).max(1), (part.len() / count).max(1));
        let all = score.chunks_exact_mut(each).zip(x.chunks_exact(each));
        for (row, ((score, x), part)) in all.zip(part.chunks_exact(width)).enumerate() {
            let scales = inputs.scales(row);
            let (factor, precision) = (scales.k as f32, scales.precision as f32);
            for ((s, y), x) in score.iter_mut().zip(&part[width - each..]).zip(x) {
                *s = factor * y - precision * x;
            }
        }
        Ok(Tensor::from_vec(score, (rows, d), &Device::Cpu)?)
    }
}
