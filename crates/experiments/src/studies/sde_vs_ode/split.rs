//! The reverse SDE put together from its two parts.

use ::solvers::{Noise, Past, Step, Stepper};
use sde_core::{Result, Semilinear, State};

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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlowThenLangevin;

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for FlowThenLangevin {
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
        // With eta = 1 the drift is a x - g^2 s, and the noise amplitude g.
        let flow = |x: &S, t: f64| -> Result<(S, S)> {
            let (g, sigma) = (problem.diffusion(t), problem.marginal(t).sigma);
            let eps = problem.eps(x, t)?;
            let drift = problem.drift(x, t)?;
            let v = S::lincomb(&[(1.0, &drift), (-0.5 * g * g / sigma, &eps)])?;
            Ok((v, S::lincomb(&[(-1.0 / sigma, &eps)])?))
        };
        let (v0, _) = flow(x, t0)?;
        let guess = S::lincomb(&[(1.0, x), (h, &v0)])?;
        let (v1, _) = flow(&guess, t1)?;
        let y = S::lincomb(&[(1.0, x), (0.5 * h, &v0), (0.5 * h, &v1)])?;
        let (_, score) = flow(&y, t1)?;
        let g = problem.diffusion(t1);
        let dw = noise.increment(x, t0, t1)?;
        let x = S::lincomb(&[(1.0, &y), (0.5 * g * g * h.abs(), &score), (g, &dw)])?;
        // `drift` and `eps` evaluate the score once each.
        Ok(Step { x, error: None, past: Past::default(), nfe: 6 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
