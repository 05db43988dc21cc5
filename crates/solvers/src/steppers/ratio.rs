//! The flow ODE in `rho = sigma / alpha` and `y = x / alpha`, where it reads `dy/drho = eps`.

use sde_core::{Marginal, Result, Semilinear, State};

/// The noise level `rho = sigma / alpha`.
pub(super) fn ratio(m: Marginal) -> f64 {
    m.sigma / m.alpha
}

/// The time of a noise level.
pub(super) fn time_of_ratio<S, P: Semilinear<S> + ?Sized>(problem: &P, rho: f64) -> Result<f64> {
    problem.time_of_half_log_snr(-rho.ln())
}

/// `x1 = alpha1 (x0 / alpha0 + sum_i w_i k_i)`.
pub(super) fn transfer<'a, S: State>(
    x: &'a S,
    from: Marginal,
    to: Marginal,
    weighted: impl IntoIterator<Item = (f64, &'a S)>,
) -> Result<S> {
    let mut terms = vec![(to.alpha / from.alpha, x)];
    terms.extend(weighted.into_iter().map(|(w, k)| (to.alpha * w, k)));
    S::lincomb(&terms)
}
