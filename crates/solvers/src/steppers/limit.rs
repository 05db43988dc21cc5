//! The ends of the flow, where `sigma` or `alpha` is zero, or `alpha` too small for what is predicted.
//!
//! `lambda = log(alpha / sigma)` is infinite there, but the flow ODE is regular in another variable,
//!
//! `d(x / alpha) / d rho = eps` in `rho = sigma / alpha` near the data,
//! `d(x / sigma) / d u = D` in `u = alpha / sigma` near the noise,
//!
//! `D = (x - sigma eps) / alpha` the predicted data. Euler's step in either is DDIM's, and so is the
//! limit of a step of every exponential method: [`super::ExponentialEulerMaruyama`] takes it.

use sde_core::{Marginal, Result, Semilinear, State};

use super::exponential_euler_maruyama::ExponentialEulerMaruyama;
use super::predicted_data::{data, loss};
use super::ratio::{ratio, time_of_ratio, transfer};
use crate::{Noise, Past, Step, Stepper};

/// Whether a step is to be taken on the predicted data, by DDIM, and not on the predicted noise: it would
/// lose half of its digits, come near the end of the numbers, or go up in the noise so far that no
/// polynomial in `rho` does; or it stays where the signal is below the rounding of a square, `alpha`
/// under 1e-8, and DDIM is exact, while extrapolated noise amplifies its own rounding.
pub(super) fn lost(resolution: f64, from: Marginal, to: Marginal) -> bool {
    let (rho0, rho1) = (ratio(from), ratio(to));
    let kept = loss(resolution, from, to) <= resolution.sqrt();
    let leaps = rho0 > 1.0 && rho1 > 1e8 * rho0;
    let silent = |m: Marginal| m.alpha < 1e-8 * m.sigma.min(1.0);
    let beyond = rho0 > 1e100 || rho1 > 1e100;
    !kept || leaps || beyond || (silent(from) && silent(to))
}

/// A step at a limit for methods of order 2 and more: the midpoint rule on the flow ODE, with the
/// distance to Euler's step for an error; Euler's to `sigma = 0`, as published samplers end, and where
/// there is noise.
pub(super) fn step<S: State, P: Semilinear<S> + ?Sized>(
    problem: &P,
    x: &S,
    (t0, t1): (f64, f64),
    noise: &dyn Noise<S>,
) -> Result<Step<S>> {
    let (m0, m1) = (problem.marginal(t0), problem.marginal(t1));
    if m1.sigma == 0.0 || problem.eta() != 0.0 {
        return ExponentialEulerMaruyama.step(problem, x, t0, t1, &Past::default(), noise);
    }
    if m0.sigma == 0.0 { from_data(problem, x, t0, m1) } else { in_noise(problem, x, t0, m1) }
}

fn done<S>(x: S, error: S, nfe: u64) -> Result<Step<S>> {
    Ok(Step { x, error: Some(error), past: Past::default(), nfe })
}

/// From `sigma = 0`, in `rho`: `y1 = y0 + rho1 eps(y0 + rho1/2 eps0)`, `y = x / alpha`.
fn from_data<S: State, P: Semilinear<S> + ?Sized>(
    problem: &P,
    x: &S,
    t0: f64,
    m1: Marginal,
) -> Result<Step<S>> {
    let (m0, rho) = (problem.marginal(t0), ratio(m1));
    let t = time_of_ratio(problem, 0.5 * rho)?;
    let first = problem.eps(x, t0)?;
    let y = transfer(x, m0, problem.marginal(t), [(0.5 * rho, &first)])?;
    let middle = problem.eps(&y, t)?;
    let error = S::lincomb(&[(m1.sigma, &middle), (-m1.sigma, &first)])?;
    done(transfer(x, m0, m1, [(rho, &middle)])?, error, 2)
}

/// To or from times without signal, in `u`: `z1 = z0 + (u1 - u0) D(z0 + (u1 - u0)/2 D0)`,
/// `z = x / sigma`.
fn in_noise<S: State, P: Semilinear<S> + ?Sized>(
    problem: &P,
    x: &S,
    t0: f64,
    m1: Marginal,
) -> Result<Step<S>> {
    let m0 = problem.marginal(t0);
    let (u, h) = (m0.alpha / m0.sigma, m1.alpha / m1.sigma - m0.alpha / m0.sigma);
    let stretch = m1.sigma / m0.sigma;
    // No signal at either end, or less than there are numbers for.
    if u + 0.5 * h == 0.0 {
        return done(S::lincomb(&[(stretch, x)])?, S::lincomb(&[(0.0, x)])?, 0);
    }
    let t = problem.time_of_half_log_snr((u + 0.5 * h).ln())?;
    let m = problem.marginal(t);
    let first = data(problem, x, t0, m1)?;
    let y = S::lincomb(&[(m.sigma / m0.sigma, x), (0.5 * h * m.sigma, &first)])?;
    let middle = data(problem, &y, t, m1)?;
    let error = S::lincomb(&[(m1.sigma * h, &middle), (-m1.sigma * h, &first)])?;
    done(S::lincomb(&[(stretch, x), (m1.sigma * h, &middle)])?, error, 2)
}
