//! The samplers of Karras et al.: Heun's method with an Euler step to `sigma = 0`, and churn.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::limit;
use super::ratio::{ratio, time_of_ratio, transfer};
use crate::{Noise, Past, Step, Stepper};

/// The variable of integration of a Runge-Kutta method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntegrationVariable {
    /// The noise level `rho = sigma / alpha`, on `x / alpha`.
    #[default]
    Ratio,
    /// Time, on `x`.
    Time,
}

/// The method of two stages of Karras et al.: with `d` the slope of the flow ODE,
///
/// `x' = x0 + a h d0`, `x1 = x0 + h ((1 - 1/(2a)) d0 + 1/(2a) d(x'))`,
///
/// the second stage at the fraction `a` of the step: 1 is Heun's method, 1/2 the midpoint. A step
/// to `sigma = 0` is Euler's, and DDIM's on the predicted data where `alpha` is too small for the
/// predicted noise.
///
/// # Reference
/// Karras et al. 2022, arXiv 2206.00364, algorithms 1 and 3 (with `alpha` for `a`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdmHeun {
    /// Where the second stage lies, in `(0, 1]`.
    pub second_stage: f64,
    /// The variable of the steps.
    pub variable: IntegrationVariable,
}

impl Default for EdmHeun {
    fn default() -> Self {
        Self { second_stage: 1.0, variable: IntegrationVariable::Ratio }
    }
}

impl EdmHeun {
    fn advance<S: State, P: Semilinear<S> + ?Sized>(
        self,
        problem: &P,
        x: &S,
        (t0, t1): (f64, f64),
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (m0, m1, a) = (problem.marginal(t0), problem.marginal(t1), self.second_stage);
        if self.variable == IntegrationVariable::Ratio && limit::lost(x.resolution(), m0, m1) {
            let past = Past::default();
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, &past, noise);
        }
        let second = 0.5 / a;
        let euler = m1.sigma == 0.0;
        let x1 = match self.variable {
            IntegrationVariable::Ratio => {
                let (rho, h) = (ratio(m0), ratio(m1) - ratio(m0));
                let d0 = problem.eps(x, t0)?;
                if euler {
                    transfer(x, m0, m1, [(h, &d0)])?
                } else {
                    let t = if a == 1.0 { t1 } else { time_of_ratio(problem, rho + a * h)? };
                    let y = transfer(x, m0, problem.marginal(t), [(a * h, &d0)])?;
                    let d = problem.eps(&y, t)?;
                    transfer(x, m0, m1, [(h * (1.0 - second), &d0), (h * second, &d)])?
                }
            }
            IntegrationVariable::Time => {
                let h = t1 - t0;
                let d0 = problem.drift(x, t0)?;
                if euler {
                    S::lincomb(&[(1.0, x), (h, &d0)])?
                } else {
                    let y = S::lincomb(&[(1.0, x), (a * h, &d0)])?;
                    let d = problem.drift(&y, if a == 1.0 { t1 } else { t0 + a * h })?;
                    S::lincomb(&[(1.0, x), (h * (1.0 - second), &d0), (h * second, &d)])?
                }
            }
        };
        let nfe = if euler { 1 } else { 2 };
        Ok(Step { x: x1, error: None, past: Past::default(), nfe })
    }
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for EdmHeun {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        self.advance(problem, x, (t0, t1), noise)
    }
}

/// The stochastic sampler of Karras et al.: the noise level `rho = sigma / alpha` is first lifted to
/// `(1 + gamma) rho` by fresh noise, then taken down by [`EdmHeun`] on the flow ODE,
///
/// `gamma = min(churn / steps, sqrt 2 - 1)` while `lowest <= rho <= highest`, else 0.
///
/// It draws noise of its own over the flow ODE, `eta = 0`: one normal array a step. The lift is to
/// a level the process has; where there is none that high, the step is without.
///
/// # Reference
/// Karras et al. 2022, arXiv 2206.00364, algorithm 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdmChurn {
    /// The number of steps `N` of the whole solve.
    pub steps: u64,
    /// `S_churn`: how much noise is added in the whole solve.
    pub churn: f64,
    /// `S_min`: no noise is added below this level.
    pub lowest: f64,
    /// `S_max`: nor above this one.
    pub highest: f64,
    /// `S_noise`: the size of the noise, against too good a denoiser.
    pub noise_scale: f64,
}

impl Default for EdmChurn {
    /// The constants for ImageNet (table 5) but for a `S_noise` of 1, and 256 steps.
    fn default() -> Self {
        Self { steps: 256, churn: 40.0, lowest: 0.05, highest: 50.0, noise_scale: 1.0 }
    }
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for EdmChurn {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let m0 = problem.marginal(t0);
        let rho = ratio(m0);
        let inside = (self.lowest..=self.highest).contains(&rho);
        let gamma = (self.churn / self.steps.max(1) as f64).min(std::f64::consts::SQRT_2 - 1.0);
        let lifted = if inside && gamma > 0.0 { (1.0 + gamma) * rho } else { rho };
        let start = EdmHeun::default();
        match time_of_ratio(problem, lifted) {
            Ok(t) if lifted > rho => {
                let added = self.noise_scale * ((lifted - rho) * (lifted + rho)).sqrt();
                let w = noise.increment(x, t0, t1)?;
                let scale = added / (t1 - t0).abs().sqrt();
                let x = transfer(x, m0, problem.marginal(t), [(scale, &w)])?;
                start.advance(problem, &x, (t, t1), noise)
            }
            _ => start.advance(problem, x, (t0, t1), noise),
        }
    }
}
