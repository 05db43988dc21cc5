//! Losses of second-order operators on a potential, with parameter gradients.

use candle_core::{Device, Tensor};

use super::{ScoreNet, to_host};
use crate::{Error, Gradients, Output, Result};

/// Rows that one graph of tensor operations takes at a time.
const ROWS_A_GRAPH: usize = 8192;

/// What an operator may depend on at a row.
#[derive(Clone, Copy, Debug)]
pub struct OperatorRow<'a> {
    /// Number of the row in the batch.
    pub row: usize,
    /// Its time.
    pub t: f64,
    /// The point.
    pub x: &'a [f64],
    /// The score there.
    pub score: &'a [f64],
}

/// An operator at a row: writes its direction `c`, returns its coefficient `l` and remainder `r`.
pub type RowOperator<'a> = dyn Fn(&OperatorRow<'_>, &mut [f64]) -> (f64, f64) + Sync + 'a;

/// An operator on the rows of a batch.
pub(super) struct Operated<'a> {
    pub(super) x: &'a [f64],
    pub(super) t: &'a [f64],
    weight: &'a [f64],
    pub(super) operator: &'a RowOperator<'a>,
}

impl Operated<'_> {
    /// What the square of a row's residual counts in the loss.
    pub(super) fn share(&self, row: usize) -> f64 {
        self.weight.get(row).copied().unwrap_or(1.0) / self.t.len() as f64
    }
}

impl ScoreNet {
    /// The mean over rows of `weight R^2` and its gradients, for the residual of a potential
    ///
    /// `R = d_t phi + c . grad phi + l Lap phi + r`.
    ///
    /// `operator` writes the direction `c` of a row and returns `(l, r)`. All three may depend on
    /// the score; the gradient is that of the operator frozen there, `dR = d_t dphi + c . grad dphi +
    /// l Lap dphi`. A residual with `F(grad phi)` in it is given exactly by its linearisation:
    /// `c = F'`, `r = F - F' grad phi`.
    ///
    /// # Shapes
    /// `x` is `[B, D]` row by row, `t` and `weight` `[B]`; no `weight` at all stands for ones.
    ///
    /// # Errors
    /// [`Error::Shape`] when they do not fit, [`Error::Unsupported`] when the network's output
    /// is not a potential.
    pub fn operator_loss_and_grad(
        &self,
        x: &[f64],
        t: &[f64],
        weight: &[f64],
        operator: &RowOperator<'_>,
    ) -> Result<(f64, Gradients)> {
        let (n, d) = (t.len(), self.dim());
        self.needs("the loss of an operator", Output::Potential)?;
        if n == 0 || x.len() != n * d {
            let (expected, found) = (vec![n.max(1), d], vec![x.len() / d, d]);
            return Err(Error::Shape { what: "points x".into(), expected, found });
        }
        if !weight.is_empty() && weight.len() != n {
            let (expected, found) = (vec![n], vec![weight.len()]);
            return Err(Error::Shape { what: "weight".into(), expected, found });
        }
        self.evaluator()?.operator_loss(self, &Operated { x, t, weight, operator })
    }

    /// The definition of the loss, on tensors.
    pub(super) fn operator_loss_composite(&self, all: &Operated<'_>) -> Result<(f64, Gradients)> {
        let (n, d) = (all.t.len(), self.dim());
        let (mut loss, mut grads) = (0.0, Gradients::none(&self.parameters));
        let mut direction = vec![0.0; ROWS_A_GRAPH.min(n) * d];
        for start in (0..n).step_by(ROWS_A_GRAPH) {
            let end = (start + ROWS_A_GRAPH).min(n);
            let (rows, points, t) = (end - start, &all.x[start * d..end * d], &all.t[start..end]);
            let tensor = |values: &[f64], shape: &[usize]| -> Result<Tensor> {
                let t = Tensor::from_slice(values, shape, &Device::Cpu)?;
                Ok(t.to_dtype(self.dtype())?.to_device(self.device())?)
            };
            let phi = self.derivatives_graph(&tensor(points, &[rows, d])?, t)?;
            let (score, d_t) = (to_host(&phi.score)?, to_host(&phi.d_t)?);
            let laplacian = to_host(&phi.laplacian)?;
            let (mut l, mut cotangent) = (vec![0.0; rows], vec![0.0; rows]);
            for i in 0..rows {
                let own = i * d..(i + 1) * d;
                let (x, score) = (&points[own.clone()], &score[own.clone()]);
                let row = OperatorRow { row: start + i, t: t[i], x, score };
                let c = &mut direction[own];
                let (coefficient, remainder) = (all.operator)(&row, c);
                let along: f64 = c.iter().zip(score).map(|(c, s)| c * s).sum();
                let residual = d_t[i] + along + coefficient * laplacian[i] + remainder;
                let share = all.share(start + i);
                loss += share * residual * residual;
                (l[i], cotangent[i]) = (coefficient, 2.0 * share * residual);
            }
            let advection = (&phi.score * tensor(&direction[..rows * d], &[rows, d])?)?.sum(1)?;
            let linear = ((&phi.d_t + advection)? + (&phi.laplacian * tensor(&l, &[rows])?)?)?;
            let frozen = (linear * tensor(&cotangent, &[rows])?)?.sum_all()?;
            grads.add(1.0, &Gradients::of(&frozen, &self.parameters)?)?;
        }
        Ok((loss, grads))
    }
}
