//! The predicted data of a problem, where digits of it are left.

use sde_core::{Error, Marginal, Result, Semilinear, State};

use super::ratio::ratio;

/// What is left in a step to `to` of a rounding error of the predicted noise at `from`, in units of
/// the larger of `alpha` and `sigma` there: `resolution sigma0/alpha0 alpha1 / max(alpha1, sigma1)`.
pub(super) fn loss(resolution: f64, from: Marginal, to: Marginal) -> f64 {
    resolution * ratio(from) * (to.alpha / to.alpha.max(to.sigma))
}

/// The predicted data `D` at `x` and `t`, for a step to `to`: from the predicted noise, or, where half
/// of the digits would be lost, from the model, if it knows them.
///
/// # Errors
/// [`Error::Parameter`] where neither gives a useful digit; whatever the problem fails with.
pub(crate) fn data<S: State, P: Semilinear<S> + ?Sized>(
    problem: &P,
    x: &S,
    t: f64,
    to: Marginal,
) -> Result<S> {
    let (m, resolution) = (problem.marginal(t), x.resolution());
    if resolution * ratio(m) > resolution.sqrt() {
        if let Some(data) = problem.denoised(x, t)? {
            return Ok(data);
        }
        let useful = loss(resolution, m, to) <= 0.1 && m.alpha.recip().is_finite();
        if !useful {
            let reason = format!(
                "at t = {t} no digit is left of the data predicted from the noise, (x - sigma eps) / alpha: begin where alpha is larger, take shorter steps, or give a model that predicts the data itself"
            );
            let value = format!("{:e}", m.alpha);
            return Err(Error::Parameter { name: "alpha".into(), value, reason });
        }
    }
    let eps = problem.eps(x, t)?;
    S::lincomb(&[(1.0 / m.alpha, x), (-m.sigma / m.alpha, &eps)])
}
