//! Euler's method, and Euler-Maruyama where there is noise.

use sde_core::{Dynamics, Result, State};

use crate::{Noise, Past, Step, Stepper};

/// `x1 = x0 + h b(x0, t0) + c(t0) W`.
///
/// # Reference
/// Kloeden, Platen 1992, equation 10.2.4.
#[derive(Clone, Copy, Debug, Default)]
pub struct EulerMaruyama;

impl<S: State, P: Dynamics<S> + ?Sized> Stepper<S, P> for EulerMaruyama {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let drift = problem.drift(x, t0)?;
        let c = problem.diffusion(t0);
        let terms = [(1.0, x), (t1 - t0, &drift)];
        let x = if c == 0.0 {
            S::lincomb(&terms)?
        } else {
            let w = noise.increment(x, t0, t1)?;
            S::lincomb(&[terms[0], terms[1], (c, &w)])?
        };
        Ok(Step { x, error: None, past: Past::default(), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
