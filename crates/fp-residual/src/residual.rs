//! The Fokker-Planck residual of a network whose output is a potential.

use candle_core::{DType, Device, Tensor};
use score_nets::ScoreNet;
use sde_core::potential_residual;

/// [`sde_core::log_density_residual`] of a network at rows `x` (`[B, D]` on the host, row by row), computed in
/// double precision whatever the network's own: `R` is what is left when terms up to a hundred times
/// as large cancel, which takes two of the seven digits of single precision.
///
/// # Errors
/// As [`sde_core::log_density_residual`]; whatever the network fails with.
pub fn network_residual(net: &ScoreNet, x: &[f64], t: &[f64]) -> score_nets::Result<Vec<f64>> {
    let wide;
    let net = match net.dtype() {
        DType::F64 => net,
        _ => {
            wide = net.copy_as(DType::F64)?;
            &wide
        }
    };
    let x = Tensor::from_slice(x, (x.len() / net.dim(), net.dim()), &Device::Cpu)?;
    let x = x.to_device(net.device())?;
    Ok(potential_residual(net, &x, t, net.sde())?)
}

/// The residual `[B]` of a network whose output is a potential as a tensor, differentiable in the
/// parameters and in `x`.
///
/// # Errors
/// [`score_nets::Error::Shape`] when `x` and `t` do not fit, [`score_nets::Error::Unsupported`] when
/// the output is not a potential.
pub fn residual_graph(net: &ScoreNet, x: &Tensor, t: &[f64]) -> score_nets::Result<Tensor> {
    let phi = net.derivatives_graph(x, t)?;
    let (a, half_g2) = coefficients(net, t)?;
    let along = ((x * &phi.score)?.sum(1)? + net.dim() as f64)?;
    let curvature = (&phi.laplacian + phi.score.sqr()?.sum(1)?)?;
    Ok(((phi.d_t + (along * a)?)? - (curvature * half_g2)?)?)
}

/// `a(t)` and `g(t)^2 / 2`, `[B]` each.
pub(crate) fn coefficients(net: &ScoreNet, t: &[f64]) -> score_nets::Result<(Tensor, Tensor)> {
    let tensor = |values: Vec<f64>| -> score_nets::Result<Tensor> {
        let t = Tensor::from_vec(values, t.len(), &Device::Cpu)?;
        Ok(t.to_dtype(net.dtype())?.to_device(net.device())?)
    };
    let sde = net.sde();
    let a = t.iter().map(|&t| sde.drift_coef(t)).collect();
    Ok((tensor(a)?, tensor(t.iter().map(|&t| 0.5 * sde.diffusion_squared(t)).collect())?))
}
