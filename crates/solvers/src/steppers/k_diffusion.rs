//! Samplers known by their names in Katherine Crowson's k-diffusion.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::limit;
use super::ratio::{ratio, time_of_ratio, transfer};
use crate::{Noise, Past, Step, Stepper};

/// KDPM2, or DPM-Solver-2 with the middle stage at `r = 1/2`: the midpoint method in
/// `rho = sigma / alpha` with its middle at the geometric mean of the noise levels,
///
/// `y' = y0 + (sqrt(rho0 rho1) - rho0) eps0`, `y1 = y0 + (rho1 - rho0) eps(y')`, `y = x / alpha`.
///
/// A step to `sigma = 0` is Euler's; from there the middle is halfway, and where `alpha` is too small
/// for the predicted noise the step is the midpoint method on the predicted data, in `1 / rho`.
///
/// # Reference
/// Karras et al. 2022, arXiv 2206.00364, section 3 and `k-diffusion`, `sample_dpm_2`; Lu et al.
/// 2022, arXiv 2206.00927, algorithm 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kdpm2;

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for Kdpm2 {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (m0, m1) = (problem.marginal(t0), problem.marginal(t1));
        if m0.sigma == 0.0 || limit::lost(x.resolution(), m0, m1) {
            return limit::step(problem, x, (t0, t1), noise);
        }
        let (rho0, rho1) = (ratio(m0), ratio(m1));
        let eps = problem.eps(x, t0)?;
        if m1.sigma == 0.0 {
            let x1 = transfer(x, m0, m1, [(rho1 - rho0, &eps)])?;
            return Ok(Step { x: x1, error: None, past: Past::default(), nfe: 1 });
        }
        let middle = (rho0 * rho1).sqrt();
        let t = time_of_ratio(problem, middle)?;
        let y = transfer(x, m0, problem.marginal(t), [(middle - rho0, &eps)])?;
        let x1 = transfer(x, m0, m1, [(rho1 - rho0, &problem.eps(&y, t)?)])?;
        Ok(Step { x: x1, error: None, past: Past::default(), nfe: 2 })
    }
}

/// The ancestral Euler sampler: in `rho = sigma / alpha` and `y = x / alpha`,
///
/// `y1 = y0 + (down - rho0) eps + up z`, `up = min(rho1, eta rho1 sqrt(1 - rho1^2 / rho0^2))`,
/// `down^2 = rho1^2 - up^2`,
///
/// `eta` that of [`sde_core::Reverse`], to whose noise `up` belongs up to higher orders in the step
/// (exactly for `eta = 1`). On a discrete schedule with `eta = 1` it is the sampler of DDPM with
/// the smaller of its variances; with other `eta` it is DDIM's. Where `alpha` is too small for the
/// predicted noise it is the exponential Euler-Maruyama step.
///
/// # Reference
/// `k-diffusion`, `sample_euler_ancestral`; Ho et al. 2020, arXiv 2006.11239, equations 6 and 7;
/// Song, Meng, Ermon 2021, arXiv 2010.02502, equations 12 and 16.
#[derive(Clone, Copy, Debug, Default)]
pub struct EulerAncestral;

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for EulerAncestral {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (m0, m1, eta) = (problem.marginal(t0), problem.marginal(t1), problem.eta());
        if limit::lost(x.resolution(), m0, m1) {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let (rho0, rho1) = (ratio(m0), ratio(m1));
        let eps = problem.eps(x, t0)?;
        let x1 = if eta == 0.0 || rho1 == 0.0 {
            transfer(x, m0, m1, [(rho1 - rho0, &eps)])?
        } else {
            let full = eta * rho1 * ((rho0 - rho1) * (rho0 + rho1)).sqrt() / rho0;
            let up = if full > rho1 { rho1 } else { full };
            let down = ((rho1 - up) * (rho1 + up)).sqrt();
            let w = noise.increment(x, t0, t1)?;
            let scale = up / (t1 - t0).abs().sqrt();
            transfer(x, m0, m1, [(down - rho0, &eps), (scale, &w)])?
        };
        Ok(Step { x: x1, error: None, past: Past::default(), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
