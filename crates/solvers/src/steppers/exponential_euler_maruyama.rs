//! The exponential Euler-Maruyama method: DDIM with noise.

use sde_core::{Result, Semilinear, State};

use super::exponential::{Leap, unit, with_noise};
use super::predicted_data::data;
use crate::{Noise, Past, Step, Stepper};

/// The linear part and the noise of a step exactly, with the predicted data `D = D(x0, t0)` held:
///
/// `x1 = sigma1/sigma0 e^{-eta^2 h} x0 + alpha1 (1 - e^{-(1 + eta^2) h}) D
///      + sigma1 sqrt(1 - e^{-2 eta^2 h}) z`, `h = lambda1 - lambda0`.
///
/// DDIM at `eta = 0`; at `eta = 1` the first-order methods of DPM-Solver++ (SDE) and SEEDS-1. A step
/// to or from `sigma = 0` gives `alpha1 D`, and from `alpha = 0` (`h` infinite) what is left of the
/// formula: it is the step of every exponential method there.
///
/// # Reference
/// Lu et al. 2022, arXiv 2211.01095, equation 18 (SDE-DPM-Solver++ 1) at `eta = 1`; Xue et al. 2023,
/// arXiv 2309.05019, proposition 4.2 for any `eta`; Song, Meng, Ermon 2021, arXiv 2010.02502 (DDIM).
#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialEulerMaruyama;

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for ExponentialEulerMaruyama {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let end = problem.marginal(t1);
        let leap = Leap::new(problem.marginal(t0), end, problem.eta());
        let d = data(problem, x, t0, end)?;
        let z = leap.draw(|| unit(noise, x, t0, t1))?;
        let x = with_noise(&[(leap.decay, x), (leap.gain, &d)], leap.noise, z.as_ref())?;
        Ok(Step { x, error: None, past: Past::default(), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
