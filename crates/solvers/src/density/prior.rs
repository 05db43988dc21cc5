//! The density that samplers start from.

use sde_core::{Result, Sde, State};

/// `log p_T` of every row: [`standard_log_prior`], or the exact one where it is known.
pub type LogPrior<'a, S> = dyn Fn(&S) -> Result<Vec<f64>> + Sync + 'a;

/// The log-density of every row under the prior of samplers, `N(0, prior_std^2 I)`:
///
/// `-|x|^2 / (2 s^2) - D/2 log(2 pi s^2)`, `s = prior_std`.
///
/// # Errors
/// Whatever the state fails with.
///
/// ```
/// use ndarray::array;
/// use sde_core::Vp;
/// let log_p = solvers::density::standard_log_prior(&Vp::default(), &array![[0.0, 0.0]])?;
/// assert!((log_p[0] + std::f64::consts::TAU.ln()).abs() < 1e-15);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn standard_log_prior<S: State>(sde: &dyn Sde, x: &S) -> Result<Vec<f64>> {
    let variance = sde.prior_std() * sde.prior_std();
    let constant = 0.5 * x.row_len() as f64 * (std::f64::consts::TAU * variance).ln();
    Ok(x.row_dot(x)?.into_iter().map(|square| -0.5 * square / variance - constant).collect())
}
