//! What the terms have in common: noised rows, and losses that are functions of residuals.

use std::ops::Range;

use candle_core::{DType, Tensor};
use score_nets::{Error, Gradients, NoisedRows, Noising, OperatorRow, Result, ScoreNet};
use sde_core::{Key, potential_residual};

use crate::penalty::tensor;

/// Rows `rows` of the noised batch under `key`, once they fit the network.
pub(super) fn noised(
    noising: &Noising,
    net: &ScoreNet,
    key: Key,
    rows: Range<u64>,
) -> Result<NoisedRows> {
    let (d, found) = (net.dim(), noising.source.dim());
    if found != d {
        let n = rows.end.saturating_sub(rows.start) as usize;
        let (expected, found) = (vec![n, d], vec![n, found]);
        return Err(Error::Shape { what: "training data".into(), expected, found });
    }
    noising.rows(net.sde(), key, rows)
}

/// Random signs in the shape of the rows, by their numbers.
pub(super) fn signs(net: &ScoreNet, key: Key, rows: &Range<u64>) -> Result<Tensor> {
    let (n, d) = ((rows.end - rows.start) as usize, net.dim());
    let mut signs = vec![0.0; n * d];
    key.fill_signs(rows.start * d as u64, &mut signs);
    tensor(net, signs, n)
}

/// Numbers, one a row, as `[B, 1]`.
pub(super) fn column(net: &ScoreNet, values: Vec<f64>) -> Result<Tensor> {
    let n = values.len();
    let column = Tensor::from_vec(values, (n, 1), &candle_core::Device::Cpu)?;
    Ok(column.to_dtype(net.dtype())?.to_device(net.device())?)
}

/// The dot product of every row, `[B, 1]`.
pub(super) fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((a * b)?.sum_keepdim(1)?)
}

/// The value and the gradients of a term: the weighted sum of its rows over the size of the whole batch.
pub(super) fn of_rows(
    net: &ScoreNet,
    each: &Tensor,
    weight: Vec<f64>,
    batch: usize,
) -> Result<(f64, Gradients)> {
    let loss = (each * column(net, weight)?)?.sum_all()?.affine(1.0 / batch as f64, 0.0)?;
    let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    Ok((value, Gradients::of(&loss, net.parameters())?))
}

/// The residual at rows, in the network's own precision, by its fast path.
pub(super) fn residuals(net: &ScoreNet, x: &[f64], t: &[f64]) -> Result<Vec<f64>> {
    let x = tensor(net, x.to_vec(), t.len())?;
    Ok(potential_residual(net, &x, t, net.sde())?)
}

/// The gradients of `sum_i c_i R_i` for cotangents `c` of residuals that were computed before: with them any function of all
/// residuals of a batch has its gradient by two passes of the fused kernels.
pub(super) fn pulled_back(
    net: &ScoreNet,
    (x, t): (&[f64], &[f64]),
    residual: &[f64],
    cotangent: &[f64],
) -> Result<Gradients> {
    let (sde, half) = (net.sde(), 0.5 * t.len() as f64);
    // The gradient of the mean square of what the operator calls its residual is 2/n times that times dR: the remainder
    // makes it n/2 times the cotangent.
    let operator = |row: &OperatorRow<'_>, direction: &mut [f64]| {
        let (a, g2) = (sde.drift_coef(row.t), sde.diffusion_squared(row.t));
        let mut square = 0.0;
        for ((c, x), s) in direction.iter_mut().zip(row.x).zip(row.score) {
            *c = a * x - g2 * s;
            square += s * s;
        }
        let linear = a * direction.len() as f64 + 0.5 * g2 * square;
        (-0.5 * g2, linear + half * cotangent[row.row] - residual[row.row])
    };
    Ok(net.operator_loss_and_grad(x, t, &[], &operator)?.1)
}
