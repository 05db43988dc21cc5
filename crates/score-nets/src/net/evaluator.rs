//! What computes the numbers of a network: the definition on tensors, or what is faster.

use candle_core::Tensor;
use sde_core::Derivatives;

use super::{
    ScoreBatch, ScoreNet,
    graph::{Times, to_host},
    operator::Operated,
};
use crate::{Gradients, Result};

/// How a network is evaluated detached from the autograd graph, and how losses on it get their gradients. What is
/// written here is the definition, by ordinary operations on tensors; it stands for everything that an evaluator
/// does not do in another way.
pub(super) trait Evaluator: Send + Sync {
    /// Whether it is made of the fused kernels.
    fn is_fused(&self) -> bool {
        false
    }

    /// The score of rows, `[B, D]`.
    fn score(&self, net: &ScoreNet, x: &Tensor, times: Times<'_>) -> Result<Tensor> {
        net.score_of(&net.detached, &x.detach(), times)
    }

    /// The score of rows and its derivative along `v`.
    fn score_jvp(
        &self,
        net: &ScoreNet,
        x: &Tensor,
        times: Times<'_>,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        net.score_jvp_of(&net.detached, &x.detach(), times, &v.detach())
    }

    /// The potential of rows.
    fn potential(&self, net: &ScoreNet, x: &Tensor, times: Times<'_>) -> Result<Vec<f64>> {
        to_host(&net.potential_of(&net.detached, &x.detach(), times)?)
    }

    /// Potential, score, time derivative and Laplacian of rows of a potential.
    fn derivatives(&self, net: &ScoreNet, x: &Tensor, t: &[f64]) -> Result<Derivatives<Tensor>> {
        let d = net.derivatives_of(&net.detached, &x.detach(), t)?;
        Ok(Derivatives {
            potential: to_host(&d.potential)?,
            score: d.score,
            d_t: to_host(&d.d_t)?,
            laplacian: to_host(&d.laplacian)?,
        })
    }

    /// The divergence of rows of an output that is the score.
    fn divergence(&self, net: &ScoreNet, x: &Tensor, times: Times<'_>) -> Result<Vec<f64>> {
        let jacobian = net.jacobian_of(&net.detached, &x.detach(), times, false)?;
        let mut trace = vec![0.0; x.dim(0)?];
        for (j, column) in jacobian.columns.iter().enumerate() {
            let entries = to_host(&column.narrow(1, j, 1)?)?;
            trace.iter_mut().zip(entries).for_each(|(a, b)| *a += b);
        }
        Ok(trace)
    }

    /// [`ScoreNet::score_loss_and_grad`] of a batch that fits.
    fn score_loss(&self, net: &ScoreNet, batch: &ScoreBatch) -> Result<(f64, Gradients)> {
        net.score_loss_composite(batch)
    }

    /// [`ScoreNet::operator_loss_and_grad`] of points that fit.
    fn operator_loss(&self, net: &ScoreNet, points: &Operated<'_>) -> Result<(f64, Gradients)> {
        net.operator_loss_composite(points)
    }
}

/// The definition, for any element type on any device.
pub(super) struct Composite;

impl Evaluator for Composite {}
