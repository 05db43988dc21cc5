//! The reverse SDE put together from its two parts.

use ::solvers::{Noise, Past, Step, Stepper};
use sde_core::{Dynamics, Result, Reverse, State};

/// A step of the reverse SDE as a step of the flow ODE followed by one of Langevin dynamics:
///
/// `y = x + h v(x, t0)` (Heun's method), `v = a x - g^2 s / 2`, and then, at the time `t1`,
/// `x1 = y + |h| g^2 s(y, t1) / 2 + g dW`.
///
/// The second part leaves `p_t1` as it is. Its generator and that of the first add up to the
/// SDE's, so the law of both in turn is the SDE's up to `O(h)` (Lie-Trotter splitting).
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, section 4.2 (the corrector); the sum of the two: Karras et
/// al. 2022, arXiv 2206.00364, equation 6.
pub(super) struct FlowThenLangevin<'a, S> {
    /// The flow ODE of the SDE that is stepped.
    pub(super) flow: &'a Reverse<'a, S>,
}

impl<S: State, P: Dynamics<S> + ?Sized> Stepper<S, P> for FlowThenLangevin<'_, S> {
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
        let v0 = self.flow.drift(x, t0)?;
        let guess = S::lincomb(&[(1.0, x), (h, &v0)])?;
        let v1 = self.flow.drift(&guess, t1)?;
        let y = S::lincomb(&[(1.0, x), (0.5 * h, &v0), (0.5 * h, &v1)])?;
        // g^2 s / 2, which is what the SDE's drift a x - g^2 s has beyond the flow's.
        let (flow, drift) = (self.flow.drift(&y, t1)?, problem.drift(&y, t1)?);
        let dw = noise.increment(x, t0, t1)?;
        let pull = h.abs();
        let terms = [(1.0, &y), (pull, &flow), (-pull, &drift), (problem.diffusion(t1), &dw)];
        Ok(Step { x: S::lincomb(&terms)?, error: None, past: Past::default(), nfe: 4 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
