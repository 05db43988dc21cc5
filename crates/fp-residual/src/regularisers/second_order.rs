//! Denoising score matching of second order.

use std::ops::Range;

use score_nets::{Gradients, Noising, Objective, Result, ScoreNet};
use sde_core::Key;

use super::batch::{column, dot, noised, of_rows, signs};
use crate::penalty::tensor;

/// Denoising score matching of second order: with `e = sigma s + z` (no gradient through it) and random signs `v`, the mean
/// over noised rows of
///
/// `(|sigma^2 J v + v - (e . v) e|^2 + (sigma^2 v . J v + |v|^2 - (e . v)^2)^2) / D^2`, `J = ds/dx`.
///
/// Where the score is right its minimiser is the right Jacobian: the derivatives of the residual are trained on data, not
/// on an equation.
///
/// # Reference
/// Lu et al. 2022, arXiv 2206.08265 (the losses of second order, with Hutchinson's probes).
#[derive(Clone)]
pub struct SecondOrderMatching(pub Noising);

impl Objective for SecondOrderMatching {
    fn name(&self) -> &str {
        "second-order-matching"
    }

    fn rows(&self) -> u64 {
        self.0.batch as u64
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let batch = noised(&self.0, net, key, rows.clone())?;
        let (n, d) = (batch.t.len(), net.dim() as f64);
        let (x, z) = (tensor(net, batch.x, n)?, tensor(net, batch.z, n)?);
        let v = signs(net, key.fold(5), &rows)?;
        let sigma: Vec<f64> = batch.t.iter().map(|t| net.sde().marginal(*t).sigma).collect();
        let (score, along) = net.score_jvp_graph(&x, &batch.t, &v)?;
        let variance = column(net, sigma.iter().map(|s| s * s).collect())?;
        let e = (score.detach().broadcast_mul(&column(net, sigma)?)? + z)?;
        let projected = dot(&e, &v)?;
        let along = along.broadcast_mul(&variance)?;
        let vector = ((&along + &v)? - e.broadcast_mul(&projected)?)?;
        let trace = ((dot(&v, &along)? + d)? - projected.sqr()?)?;
        let each = (dot(&vector, &vector)? + trace.sqr()?)?.affine(1.0 / (d * d), 0.0)?;
        of_rows(net, &each, batch.time_weight, self.0.batch)
    }
}
