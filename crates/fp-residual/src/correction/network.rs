//! The paths of a network's reverse SDE, and the network that is trained on them.

use candle_core::{DType, Tensor};
use score_nets::{Base, NetConfig, Output, Result, ScoreNet, TimeFeature};
use sde_core::{Key, State as _, potential_residual};

use super::{CorrectionData, PathLevel, gap_paths};
use crate::score_form_residual;

impl CorrectionData {
    /// `n` paths of the reverse SDE of a network on the grid `times` from the horizon down, with [`super::GapGradient`] along
    /// them ([`gap_paths`]) and the gradient of the residual from [`residual_gradient`].
    ///
    /// # Errors
    /// As [`gap_paths`].
    pub fn of_network(net: &ScoreNet, times: &[f64], n: usize, key: Key) -> Result<Self> {
        let residual = |x: &Tensor, t: f64| Ok(residual_gradient(net, x, t)?);
        let like = Tensor::zeros((1, net.dim()), net.dtype(), net.device())?;
        let paths = gap_paths(net.sde(), net, &residual, times, n, key, &like)?;
        let host = |x: &Tensor| -> Result<Vec<f64>> {
            Ok(x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
        };
        let mut data = Self::new(net.dim());
        for path in paths {
            data.push(PathLevel { t: path.t, x: host(&path.x)?, target: host(&path.gap)? });
        }
        Ok(data)
    }
}

/// Half the distance of the points of a difference, in units of the scale of the process: what truncation and the rounding of
/// `f32` leave is about 3e-4 of the gradient, with a bias of 1e-4 (a trained network of 80-80-80 at times from 1e-3 to 8).
const SHIFT: f64 = 3e-3;

/// `grad R` of a potential at rows `x` at a common time: by central differences of the residual where the fused kernels evaluate
/// it, which takes a tenth of the time, and by [`score_form_residual`] elsewhere.
///
/// # Shapes
/// `x` and the result are `[B, D]`.
///
/// # Errors
/// [`score_nets::Error::Shape`] when `x` does not fit; [`score_nets::Error::Unsupported`] for fused kernels and an output that is
/// no potential.
pub fn residual_gradient(net: &ScoreNet, x: &Tensor, t: f64) -> Result<Tensor> {
    if !net.uses_fused()? {
        return score_form_residual(net, x, &vec![t; x.rows()]);
    }
    let (rows, d, m) = (x.rows(), net.dim(), net.sde().marginal(t));
    let shift = SHIFT * m.alpha.hypot(m.sigma);
    let mut moved = Vec::with_capacity(2 * d);
    for j in 0..d {
        let axis: Vec<f32> = (0..d).map(|i| if i == j { shift as f32 } else { 0.0 }).collect();
        let axis = Tensor::from_vec(axis, (1, d), x.device())?;
        moved.extend([x.broadcast_add(&axis)?, x.broadcast_sub(&axis)?]);
    }
    let points = Tensor::cat(&moved, 0)?;
    let residual = potential_residual(net, &points, &vec![t; 2 * d * rows], net.sde())?;
    let difference = |b: usize, j: usize| {
        let [ahead, behind] = [2 * j, 2 * j + 1].map(|block| residual[block * rows + b]);
        ((ahead - behind) / (2.0 * f64::from(shift as f32))) as f32
    };
    let each = (0..rows).flat_map(|b| (0..d).map(move |j| (b, j)));
    let gradient: Vec<f32> = each.map(|(b, j)| difference(b, j)).collect();
    Ok(Tensor::from_vec(gradient, (rows, d), x.device())?)
}

/// The configuration of a correction of a model: a potential on nothing, with other hidden layers, that resolves times evenly in
/// their logarithm. Near the horizon the correction goes from the mismatch of the prior to what follows from it, at noise levels
/// that are all but the same. It should be about as large as the model: what it describes is as fine.
pub fn correction_config(model: &NetConfig, hidden: Vec<usize>) -> NetConfig {
    NetConfig {
        hidden,
        time: TimeFeature::LogTime { shift: 1e-3 },
        output: Output::Potential,
        base: Base::None,
        ..model.clone()
    }
}

/// A network whose last layer is zero: a correction that corrects nothing yet, with element type, device and kernels of the
/// model `like`.
///
/// # Errors
/// As [`ScoreNet::new`].
pub fn without_correction(config: NetConfig, key: Key, like: &ScoreNet) -> Result<ScoreNet> {
    let net = ScoreNet::new(config, key, like.dtype(), like.device())?;
    for (name, value) in net.parameters().iter() {
        if name.starts_with("output") {
            net.parameters().set(name, &value.zeros_like()?)?;
        }
    }
    net.with_kernels(like.kernels())
}
