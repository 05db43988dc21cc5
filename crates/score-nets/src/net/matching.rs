//! The loss of score matching on given targets.

use candle_core::{Device, Tensor};

use super::{ScoreNet, to_host};
use crate::{Error, Gradients, Result};

/// Rows that one graph of tensor operations takes at a time.
const ROWS_A_GRAPH: usize = 16_384;

/// A batch of regression targets for the score, on the host.
///
/// # Shapes
/// `x` and `target` are `[B, D]` row by row, `t` and `weight` `[B]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreBatch {
    /// Perturbed points.
    pub x: Vec<f64>,
    /// Their times.
    pub t: Vec<f64>,
    /// What the score should be there.
    pub target: Vec<f64>,
    /// Weight of each row.
    pub weight: Vec<f64>,
}

impl ScoreNet {
    /// The mean over rows and coordinates of `weight (s - target)^2` and its gradients.
    ///
    /// # Errors
    /// [`Error::Shape`] when the batch does not fit.
    pub fn score_loss_and_grad(&self, batch: &ScoreBatch) -> Result<(f64, Gradients)> {
        self.check_score_batch(batch)?;
        self.evaluator()?.score_loss(self, batch)
    }

    /// The definition of the loss, on tensors.
    pub(super) fn score_loss_composite(&self, batch: &ScoreBatch) -> Result<(f64, Gradients)> {
        let n = batch.t.len();
        let (mut loss, mut grads) = (0.0, Gradients::none(self.parameters()));
        for start in (0..n).step_by(ROWS_A_GRAPH) {
            let end = (start + ROWS_A_GRAPH).min(n);
            let part = self.score_loss_graph(batch, start, end, true)?;
            loss += to_host(&part)?[0];
            grads.add(1.0, &Gradients::of(&part, self.parameters())?)?;
        }
        Ok((loss, grads))
    }

    /// The mean over rows and coordinates of `weight (s - target)^2`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the batch does not fit.
    pub fn score_loss(&self, batch: &ScoreBatch) -> Result<f64> {
        let n = self.check_score_batch(batch)?;
        let mut loss = 0.0;
        for start in (0..n).step_by(ROWS_A_GRAPH) {
            let end = (start + ROWS_A_GRAPH).min(n);
            loss += to_host(&self.score_loss_graph(batch, start, end, false)?)?[0];
        }
        Ok(loss)
    }

    fn check_score_batch(&self, batch: &ScoreBatch) -> Result<usize> {
        let (n, d) = (batch.t.len(), self.dim());
        let columns = [
            ("batch x", batch.x.len(), n * d),
            ("batch target", batch.target.len(), n * d),
            ("batch weight", batch.weight.len(), n),
        ];
        for (what, found, expected) in columns {
            if found != expected || n == 0 {
                let (expected, found) = (vec![expected.max(1)], vec![found]);
                return Err(Error::Shape { what: what.into(), expected, found });
            }
        }
        Ok(n)
    }

    /// The part of the loss that rows `start..end` contribute.
    fn score_loss_graph(
        &self,
        batch: &ScoreBatch,
        start: usize,
        end: usize,
        live: bool,
    ) -> Result<Tensor> {
        let d = self.dim();
        let tensor = |values: &[f64], width: usize| -> Result<Tensor> {
            let rows = &values[start * width..end * width];
            let t = Tensor::from_slice(rows, (end - start, width), &Device::Cpu)?;
            Ok(t.to_dtype(self.dtype())?.to_device(self.device())?)
        };
        let (x, t) = (tensor(&batch.x, d)?, &batch.t[start..end]);
        let s = if live { self.score_graph(&x, t)? } else { self.score_frozen(&x, t)? };
        let error = (s - tensor(&batch.target, d)?)?.sqr()?;
        let share = 1.0 / (batch.t.len() * d) as f64;
        Ok((error.broadcast_mul(&tensor(&batch.weight, 1)?)?.sum_all()? * share)?)
    }
}
