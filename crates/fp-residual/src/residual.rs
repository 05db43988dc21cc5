//! The residual of a log-density.

use candle_core::{DType, Device, Tensor};
use score_nets::ScoreNet;
use sde_core::{Derivatives, Error, Key, Potential, Result, Sde, State};

/// The Fokker-Planck residual of a potential at rows `x`, row `b` at time `t[b]`:
///
/// `R = d_t phi + a D + a x . s - (g^2/2) (Lap phi + |s|^2)`, `s = grad phi`.
///
/// It is in units of 1/time, and zero everywhere exactly for `phi = log p_t + const`.
///
/// # Shapes
/// `x` and `phi.score` have `B` rows of `D` elements; all else has `B` entries.
///
/// # Errors
/// [`Error::Shape`] when they do not fit.
///
/// # Reference
/// Deveney et al. 2025, arXiv 2311.15996, equation 19; Lai et al. 2023, arXiv 2210.04296.
pub fn log_density_residual<S: State>(
    phi: &Derivatives<S>,
    x: &S,
    t: &[f64],
    sde: &dyn Sde,
) -> Result<Vec<f64>> {
    let rows = x.rows();
    for n in [t.len(), phi.d_t.len(), phi.laplacian.len(), phi.score.rows()] {
        if n != rows {
            return Err(Error::Shape { expected: vec![rows], found: vec![n] });
        }
    }
    if rows == 0 {
        return Ok(Vec::new());
    }
    let d = row_size(x)?;
    let along = x.row_dot(&phi.score)?;
    let square = phi.score.row_dot(&phi.score)?;
    let residual = |b: usize| {
        let (a, half_g2) = (sde.drift_coef(t[b]), 0.5 * sde.diffusion_squared(t[b]));
        phi.d_t[b] + a * (d + along[b]) - half_g2 * (phi.laplacian[b] + square[b])
    };
    Ok((0..rows).map(residual).collect())
}

/// [`log_density_residual`] of a model.
///
/// # Errors
/// As [`log_density_residual`]; whatever the model fails with.
pub fn potential_residual<S: State>(
    model: &dyn Potential<S>,
    x: &S,
    t: &[f64],
    sde: &dyn Sde,
) -> Result<Vec<f64>> {
    log_density_residual(&model.derivatives(x, t)?, x, t, sde)
}

/// [`log_density_residual`] of a network at rows `x` (`[B, D]` on the host, row by row), computed in
/// double precision whatever the network's own: `R` is what is left when terms up to a hundred times
/// as large cancel, which takes two of the seven digits of single precision.
///
/// # Errors
/// As [`log_density_residual`]; whatever the network fails with.
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

/// Elements of a row: the squared length of a row of signs.
fn row_size<S: State>(x: &S) -> Result<f64> {
    let signs = x.slice_rows(0, 1)?.signs_like(Key::root(0), 0)?;
    Ok(signs.row_dot(&signs)?[0])
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
