//! Heun's method, deterministic and stochastic.

use sde_core::{Dynamics, Result, State};

use crate::{Noise, Past, Step, Stepper};

/// The explicit trapezoid: `y = x0 + h b(x0, t0) + c(t0) W`, then
/// `x1 = x0 + h/2 (b(x0, t0) + b(y, t1)) + (c(t0) + c(t1))/2 W`. Its error estimate is the
/// distance `x1 - y` to the Euler-Maruyama step.
///
/// # Reference
/// Kloeden, Platen 1992, section 15.1 (Platen's scheme of weak order 2 for additive noise). As the
/// stochastic improved Euler method, with this estimate: Jolicoeur-Martineau et al. 2021, arXiv
/// 2105.14080, algorithm 1, whose step control is [`crate::GottaGoFast`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Heun;

impl<S: State, P: Dynamics<S> + ?Sized> Stepper<S, P> for Heun {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let h = t1 - t0;
        let (c0, c1) = (problem.diffusion(t0), problem.diffusion(t1));
        let f0 = problem.drift(x, t0)?;
        let (x1, error) = if c0 == 0.0 && c1 == 0.0 {
            let y = S::lincomb(&[(1.0, x), (h, &f0)])?;
            let f1 = problem.drift(&y, t1)?;
            let x1 = S::lincomb(&[(1.0, x), (0.5 * h, &f0), (0.5 * h, &f1)])?;
            (x1, S::lincomb(&[(0.5 * h, &f1), (-0.5 * h, &f0)])?)
        } else {
            let w = noise.increment(x, t0, t1)?;
            let y = S::lincomb(&[(1.0, x), (h, &f0), (c0, &w)])?;
            let f1 = problem.drift(&y, t1)?;
            let c = 0.5 * (c0 + c1);
            let x1 = S::lincomb(&[(1.0, x), (0.5 * h, &f0), (0.5 * h, &f1), (c, &w)])?;
            let drawn = 0.5 * (c1 - c0);
            (x1, S::lincomb(&[(0.5 * h, &f1), (-0.5 * h, &f0), (drawn, &w)])?)
        };
        Ok(Step { x: x1, error: Some(error), past: Past::default(), nfe: 2 })
    }

    fn error_order(&self) -> Option<f64> {
        Some(2.0)
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
