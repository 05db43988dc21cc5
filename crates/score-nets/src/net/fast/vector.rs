//! A vector output on the kernels: values, tangents, the divergence.

use candle_core::Tensor;

use super::in_parallel;
use crate::{Result, ScoreNet, fused::FusedMlp, net::graph::Times};

/// The outputs of every row, `[B, D]`.
pub(super) fn values(net: &FusedMlp, u: &[f32]) -> Vec<f32> {
    let rows = u.len() / net.inputs();
    let mut values = vec![0.0; rows * net.outputs()];
    if in_parallel(rows) {
        net.par_values(u, &mut values);
    } else {
        net.values(u, &mut values);
    }
    values
}

/// The outputs of every row and their derivatives along a direction, `[B, D]` each.
pub(super) fn tangents(net: &FusedMlp, u: &[f32], du: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let rows = u.len() / net.inputs();
    let n = rows * net.outputs();
    let (mut values, mut tangents) = (vec![0.0; n], vec![0.0; n]);
    if in_parallel(rows) {
        net.par_tangent(u, du, &mut values, &mut tangents);
    } else {
        net.tangent(u, du, &mut values, &mut tangents);
    }
    (values, tangents)
}

impl ScoreNet {
    /// The divergence of the score of rows on the kernels: `k^2` times that of the outputs, less
    /// `D / v`.
    pub(super) fn divergence_fused(
        &self,
        net: &FusedMlp,
        x: &Tensor,
        times: Times<'_>,
    ) -> Result<Vec<f64>> {
        let rows = self.check_batch(x, times.each())?;
        times.check(self.sde())?;
        let points = x.flatten_all()?.to_vec1::<f32>()?;
        let inputs = self.inputs(&points, times, false);
        let (d, e) = (self.dim(), self.time.width());
        let pairs: Vec<_> = (0..d).map(|j| (e + j, j)).collect();
        let mut trace = vec![0.0; rows];
        if in_parallel(rows) {
            net.par_trace(&inputs.u, &pairs, None, &mut trace);
        } else {
            net.trace(&inputs.u, &pairs, None, &mut trace);
        }
        let of_score = |(row, trace): (usize, f32)| {
            let s = inputs.scales(row);
            f64::from(trace) * s.k * s.k - d as f64 * s.precision
        };
        Ok(trace.into_iter().enumerate().map(of_score).collect())
    }
}
