//! The residual without second derivatives.

use std::ops::Range;

use candle_core::Tensor;
use score_nets::{Gradients, Noising, Objective, Result, ScoreNet};
use sde_core::Key;

use super::batch::{column, dot, noised, of_rows};
use crate::penalty::tensor;

/// The weak residual: the mean of `R_1 R_2` over noised rows, where for independent `v_i ~ N(0, scale^2 I)`
///
/// `R_i = (g^2/2) v_i . (s(x + v_i) - s(x - v_i)) / (2 scale^2) + gamma(x + v_i)`,
/// `gamma = (g^2/2) |s|^2 - f . s - div f - d_t phi`.
///
/// By Stein's identity `E R_i = -E R(x + v)`, the residual smoothed over `scale`; the product of two makes the square without
/// bias. A single batch may come out negative. Here `d_t phi` is exact.
///
/// # Reference
/// ScoreMD: Plainer et al. 2025, arXiv 2506.17139.
#[derive(Clone)]
pub struct WeakPenalty {
    noising: Noising,
    scale: f64,
}

impl WeakPenalty {
    /// On noised rows, smoothed over `scale`.
    pub fn new(noising: Noising, scale: f64) -> Self {
        Self { noising, scale }
    }

    /// `R_i` of rows with shifts `v`, `[B, 1]`, as a tensor that leads back to the parameters.
    ///
    /// # Errors
    /// [`score_nets::Error::Unsupported`] unless the output is a potential; whatever the shapes do not fit.
    pub fn weak_residual(
        &self,
        net: &ScoreNet,
        x: &Tensor,
        t: &[f64],
        v: &Tensor,
    ) -> Result<Tensor> {
        let sde = net.sde();
        let ahead = (x + v)?;
        let phi = net.derivatives_graph(&ahead, t)?;
        let behind = net.score_graph(&(x - v)?, t)?;
        let of_times = |f: &dyn Fn(f64) -> f64| column(net, t.iter().map(|&t| f(t)).collect());
        let (a, half_g2) =
            (of_times(&|t| sde.drift_coef(t))?, of_times(&|t| 0.5 * sde.diffusion_squared(t))?);
        let bent = dot(v, &(&phi.score - behind)?)?.affine(0.5 / self.scale.powi(2), 0.0)?;
        let diffusion = ((bent + dot(&phi.score, &phi.score)?)? * half_g2)?;
        let advection = ((dot(&ahead, &phi.score)? + net.dim() as f64)? * a)?;
        Ok(((diffusion - advection)? - phi.d_t.unsqueeze(1)?)?)
    }
}

impl Objective for WeakPenalty {
    fn name(&self) -> &str {
        "weak-residual"
    }

    fn rows(&self) -> u64 {
        self.noising.batch as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let batch = noised(&self.noising, net, key, rows.clone())?;
        let x = tensor(net, batch.x, batch.t.len())?;
        let shift = |purpose: u64| {
            let mut v = vec![0.0; batch.t.len() * net.dim()];
            key.fold(purpose).fill_normals(rows.start * net.dim() as u64, &mut v);
            v.iter_mut().for_each(|v| *v *= self.scale);
            tensor(net, v, batch.t.len())
        };
        let first = self.weak_residual(net, &x, &batch.t, &shift(5)?)?;
        let second = self.weak_residual(net, &x, &batch.t, &shift(6)?)?;
        of_rows(net, &(first * second)?, batch.time_weight, self.noising.batch)
    }
}
