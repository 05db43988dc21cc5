//! Restart sampling.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::limit;
use crate::{Noise, Past, Step, Stepper};

/// Restart: down in time, a Heun step of the flow ODE `d(x/alpha)/d(rho) = eps` in
/// `rho = sigma / alpha` (an Euler step to `sigma = 0`); up in time, noise by the forward transition
/// kernel,
///
/// `x1 = alpha1/alpha0 x0 + sqrt(sigma1^2 - (alpha1/alpha0)^2 sigma0^2) z`, `t1 > t0`,
///
/// which costs no evaluation. [`crate::Grid::with_restarts`] goes up and down. Every restart has noise
/// of its own, also over an interval climbed before. Where `alpha` is too small for the predicted noise
/// the step down is DDIM's on the predicted data. Without restarts it is the deterministic sampler
/// of EDM.
///
/// # Reference
/// Xu et al. 2023, arXiv 2306.14878, algorithm 1 and equation 2; the inner sampler: Karras et al.
/// 2022, arXiv 2206.00364, algorithm 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restart;

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for Restart {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (m0, m1) = (problem.marginal(t0), problem.marginal(t1));
        // Up from no signal everything is new.
        let scale = if m0.alpha == 0.0 { 0.0 } else { m1.alpha / m0.alpha };
        let done = |x, nfe| Ok(Step { x, error: None, past: Past::default(), nfe });
        if t1 > t0 {
            let z = noise.normals(x, t1, past.steps())?;
            let variance = m1.sigma * m1.sigma - scale * scale * m0.sigma * m0.sigma;
            return done(S::lincomb(&[(scale, x), (variance.sqrt(), &z)])?, 0);
        }
        if limit::lost(x.resolution(), m0, m1) {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let e0 = problem.eps(x, t0)?;
        // alpha1 (rho1 - rho0)
        let change = m1.sigma - scale * m0.sigma;
        let y = S::lincomb(&[(scale, x), (change, &e0)])?;
        if m1.sigma == 0.0 {
            return done(y, 1);
        }
        let e1 = problem.eps(&y, t1)?;
        done(S::lincomb(&[(scale, x), (0.5 * change, &e0), (0.5 * change, &e1)])?, 2)
    }
}
