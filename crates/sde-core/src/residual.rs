//! The Fokker-Planck residual of a log-density.

use crate::{Derivatives, Error, Potential, Result, Sde, State};

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
/// [`Error::Shape`] when they do not fit; [`Error::NonFinite`] at a time where the coefficients are infinite.
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
    if let Some(b) = t.iter().position(|t| !sde.drift_coef(*t).is_finite()) {
        let value = sde.drift_coef(t[b]);
        return Err(Error::NonFinite { what: "the drift coefficient a(t)", value, row: b });
    }
    let d = x.row_len() as f64;
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
