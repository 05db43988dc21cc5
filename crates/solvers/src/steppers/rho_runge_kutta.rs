//! Runge-Kutta methods in the noise level: rhoRK-DEIS.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::limit;
use super::ratio::{ratio, time_of_ratio, transfer};
use crate::{Noise, Past, Step, Stepper};

/// An explicit Runge-Kutta method for `dy/drho = eps`, `y = x / alpha`, `rho = sigma / alpha`: its
/// stages lie in the step where the tableau says, in `rho`. Where `alpha` is too small for the predicted
/// noise the step is DDIM's on the predicted data.
///
/// # Reference
/// Zhang, Chen 2022, arXiv 2204.13902, proposition 3 and appendix H.3.
#[derive(Clone, Copy, Debug)]
pub struct RhoRungeKutta {
    /// Row `i` weighs the earlier stages in stage `i`.
    a: &'static [&'static [f64]],
    /// Weights of the solution.
    b: &'static [f64],
    /// Where in the step each stage lies.
    c: &'static [f64],
}

impl RhoRungeKutta {
    /// Heun's method of order 2 (`2heun` in the authors' code).
    pub const HEUN: Self = Self { a: &[&[], &[1.0]], b: &[0.5, 0.5], c: &[0.0, 1.0] };
    /// Kutta's method of order 3 (`3kutta`).
    pub const KUTTA3: Self = Self {
        a: &[&[], &[0.5], &[-1.0, 2.0]],
        b: &[1.0 / 6.0, 4.0 / 6.0, 1.0 / 6.0],
        c: &[0.0, 0.5, 1.0],
    };
    /// The classical method of order 4 (`4rk`).
    pub const RK4: Self = Self {
        a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
        b: &[1.0 / 6.0, 2.0 / 6.0, 2.0 / 6.0, 1.0 / 6.0],
        c: &[0.0, 0.5, 0.5, 1.0],
    };
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for RhoRungeKutta {
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
        if limit::lost(x.resolution(), m0, m1) {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let (rho, h) = (ratio(m0), ratio(m1) - ratio(m0));
        let mut stages: Vec<S> = Vec::with_capacity(self.b.len());
        let weigh = |weights: &[f64]| weights.iter().map(|w| w * h).collect::<Vec<_>>();
        for (row, c) in self.a.iter().zip(self.c) {
            if *c == 0.0 {
                stages.push(problem.eps(x, t0)?);
                continue;
            }
            let t = if *c == 1.0 { t1 } else { time_of_ratio(problem, rho + c * h)? };
            let y = transfer(x, m0, problem.marginal(t), weigh(row).into_iter().zip(&stages))?;
            stages.push(problem.eps(&y, t)?);
        }
        let x1 = transfer(x, m0, m1, weigh(self.b).into_iter().zip(&stages))?;
        let nfe = stages.len() as u64;
        Ok(Step { x: x1, error: None, past: Past::default(), nfe })
    }
}
