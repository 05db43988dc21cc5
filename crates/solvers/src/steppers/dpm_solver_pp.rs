//! The DPM-Solver++ family.

use sde_core::{Marginal, Result, Semilinear, State};

use crate::{Noise, Past, Step, Stepper};

/// DPM-Solver++(2M): a two-step exponential integrator of the flow ODE in `lambda = log(alpha /
/// sigma)` on the predicted data `D = (x - sigma eps) / alpha`,
///
/// `x1 = sigma1/sigma0 x0 - alpha1 (e^{-h} - 1) ((1 + 1/(2r)) D_0 - 1/(2r) D_{-1})`,
/// `h = lambda1 - lambda0`, `r = (lambda0 - lambda_{-1}) / h`.
///
/// The first step has order 1, and so has a step to `sigma = 0`, whose limit is `alpha1 D_0`.
///
/// # Reference
/// Lu et al. 2022, arXiv 2211.01095, algorithm 2.
#[derive(Clone, Copy, Debug, Default)]
pub struct DpmSolverPP2M {
    /// Steps that end here have order 1 (the authors' `lower_order_final`, which they use with
    /// fewer than ten steps).
    pub first_order_at: Option<f64>,
}

fn lambda(m: Marginal) -> f64 {
    (m.alpha / m.sigma).ln()
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for DpmSolverPP2M {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        _: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (m0, m1) = (problem.marginal(t0), problem.marginal(t1));
        let eps = problem.eps(x, t0)?;
        let data = S::lincomb(&[(1.0 / m0.alpha, x), (-m0.sigma / m0.alpha, &eps)])?;
        let h = lambda(m1) - lambda(m0);
        let (decay, gain) = (m1.sigma / m0.sigma, -m1.alpha * (-h).exp_m1());
        let earlier = past.get(0).filter(|_| h.is_finite() && self.first_order_at != Some(t1));
        let x1 = match earlier {
            None => S::lincomb(&[(decay, x), (gain, &data)])?,
            Some((t, before)) => {
                let c = 0.5 * h / (lambda(m0) - lambda(problem.marginal(t)));
                S::lincomb(&[(decay, x), (gain * (1.0 + c), &data), (-gain * c, before)])?
            }
        };
        Ok(Step { x: x1, error: None, past: Past::new(vec![(t0, data)]), nfe: 1 })
    }
}
