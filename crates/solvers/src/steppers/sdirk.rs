//! An implicit method for stiff ODEs.

use std::f64::consts::FRAC_1_SQRT_2;

use sde_core::{Dynamics, Result, State};

use crate::newton::{Equation, solve_rows};
use crate::{Noise, Past, Step, Stepper};

/// `1 - 1/sqrt(2)`.
const GAMMA: f64 = 1.0 - FRAC_1_SQRT_2;

/// The singly diagonally implicit Runge-Kutta method of order 2, L-stable: a component that decays
/// faster than a step is damped instead of amplified.
///
/// `y1 = x0 + gamma h b(y1, t0 + gamma h)`, `x1 = x0 + (1 - gamma) h b(y1, t0 + gamma h) + gamma h
/// b(x1, t1)`, `gamma = 1 - 1/sqrt(2)`. The error estimate is the distance to the embedded solution of
/// order 1, `x0 + h b(y1)`. Both equations are solved by Newton's method with Krylov subspaces, each
/// row to rounding or until it makes no more progress, with derivatives along directions by finite
/// differences: no Jacobian is formed, and a step costs as many evaluations as it needs.
///
/// # Reference
/// Alexander 1977, "Diagonally implicit Runge-Kutta methods for stiff ODEs", theorem 5.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sdirk2;

impl<S: State, P: Dynamics<S> + ?Sized> Stepper<S, P> for Sdirk2 {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        _: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let h = t1 - t0;
        let drift = |t: f64| move |y: &S| problem.drift(y, t);
        let (middle, mut nfe) = (t0 + GAMMA * h, 0);
        // The slope of the last step is the first guess.
        let guess = match past.get(0) {
            Some((_, f)) => S::lincomb(&[(1.0, x), (GAMMA * h, f)])?,
            None => x.clone(),
        };
        let first = Equation { drift: &drift(middle), known: x, weight: GAMMA * h };
        let (_, f1) = solve_rows(&first, guess, &mut nfe)?;
        let known = S::lincomb(&[(1.0, x), ((1.0 - GAMMA) * h, &f1)])?;
        let guess = S::lincomb(&[(1.0, x), (h, &f1)])?;
        let second = Equation { drift: &drift(t1), known: &known, weight: GAMMA * h };
        let (x1, f2) = solve_rows(&second, guess.clone(), &mut nfe)?;
        let error = S::lincomb(&[(1.0, &x1), (-1.0, &guess)])?;
        Ok(Step { x: x1, error: Some(error), past: Past::new(vec![(t1, f2)]), nfe })
    }

    fn error_order(&self) -> Option<f64> {
        Some(2.0)
    }
}
