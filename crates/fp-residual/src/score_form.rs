//! The Fokker-Planck residual of a score, the gradient of that of its potential.

use std::ops::Range;

use candle_core::{Device, Tensor};
use score_nets::{Gradients, Objective, Result, ScoreNet, as_share};
use sde_core::Key;

use crate::{CollocationPoints, FokkerPlanckPenalty, residual::coefficients};

/// The Fokker-Planck residual of a score at rows `x`, row `b` at time `t[b]`, as a tensor
/// differentiable in the parameters:
///
/// `r = d_t s - grad[(g^2/2) (div s + |s|^2) - f . s - div f]`, `f = a x`.
///
/// For a potential it is the gradient of [`crate::log_density_residual`], the gauge gone; its third
/// derivatives come from tangents carried through the reverse pass, the second derivatives of a
/// vector score from mixed jets: `D` passes for the former, `D (D + 1) / 2` channels for the latter.
///
/// # Shapes
/// `x` and the result are `[B, D]`, `t` is `[B]`.
///
/// # Errors
/// [`score_nets::Error::Shape`] when `x` and `t` do not fit.
///
/// # Reference
/// Lai et al. 2023, arXiv 2210.04296, equation 8.
pub fn score_residual_graph(net: &ScoreNet, x: &Tensor, t: &[f64]) -> Result<Tensor> {
    let s = net.jacobian_graph(x, t)?;
    let (a, half_g2) = coefficients(net, t)?;
    // grad |s|^2 = 2 J^T s and grad (x . s) = s + J^T x; row j of J^T is column j of J.
    let transposed = |y: &Tensor| -> Result<Tensor> {
        let entries: candle_core::Result<Vec<_>> =
            s.columns.iter().map(|c| (c * y)?.sum_keepdim(1)).collect();
        Ok(Tensor::cat(&entries?, 1)?)
    };
    let diffusion = (&s.grad_divergence + (transposed(&s.score)? * 2.0)?)?;
    let advection = (&s.score + transposed(x)?)?;
    let moving = (&s.d_t + advection.broadcast_mul(&a.unsqueeze(1)?)?)?;
    Ok((moving - diffusion.broadcast_mul(&half_g2.unsqueeze(1)?)?)?)
}

/// [`score_residual_graph`] without its graph.
///
/// # Errors
/// As [`score_residual_graph`].
pub fn score_form_residual(net: &ScoreNet, x: &Tensor, t: &[f64]) -> Result<Tensor> {
    Ok(score_residual_graph(net, &x.detach(), t)?.detach())
}

/// The mean over points of `|r|^2`, `r` the residual of the score, with the points of a
/// [`FokkerPlanckPenalty`]; for any kind of network, by candle operations.
///
/// # Reference
/// Lai et al. 2023, arXiv 2210.04296, equation 13.
#[derive(Clone)]
pub struct ScoreFormPenalty(pub FokkerPlanckPenalty);

impl Objective for ScoreFormPenalty {
    fn name(&self) -> &str {
        "score-fokker-planck"
    }

    fn rows(&self) -> u64 {
        self.0.rows()
    }

    fn loss_and_grad(
        &self,
        net: &ScoreNet,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let CollocationPoints { x, t, weight } = self.0.rows_of_points(net, key, rows.clone())?;
        let x = crate::penalty::tensor(net, x, t.len())?;
        let weight = Tensor::from_vec(weight, (t.len(), 1), &Device::Cpu)?;
        let weight = weight.to_dtype(net.dtype())?.to_device(net.device())?;
        let squares = score_residual_graph(net, &x, &t)?.sqr()?.broadcast_mul(&weight)?;
        let loss = (squares.sum_all()? * (1.0 / t.len() as f64))?;
        let value = loss.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
        as_share((value, Gradients::of(&loss, net.parameters())?), &rows, self.0.rows())
    }
}
