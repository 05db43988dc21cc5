//! Stochastic Runge-Kutta methods of strong order 1.5 for additive noise.

use sde_core::{Dynamics, Result, State};

use crate::{Noise, Past, Step, Stepper};

/// SRA1, with `c_i` the noise amplitude at `t_i`, `W` the increment and `H` the space-time Levy area
/// of the step (`I_10 / h = W/2 + H`):
///
/// `y = x0 + 3/4 h b(x0, t0) + c_1 (3/4 W + 3/2 H)`,
/// `x1 = x0 + h (1/3 b(x0, t0) + 2/3 b(y, t0 + 3/4 h)) + c_0 W + (c_1 - c_0) (W/2 - H)`.
///
/// Its error estimate is the distance to the Euler step.
///
/// # Reference
/// Rossler 2010, "Runge-Kutta methods for the strong approximation of solutions of stochastic
/// differential equations", SIAM J. Numer. Anal. 48(3), table 6.2.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sra1;

impl<S: State, P: Dynamics<S> + ?Sized> Stepper<S, P> for Sra1 {
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
        let noise = PathPart::new(problem, x, t0, t1, noise)?;
        let f1 = problem.drift(x, t0)?;
        let y = noise.add(&[(1.0, x), (0.75 * h, &f1)], |p| (0.75 * p.c1, 1.5 * p.c1))?;
        let f2 = problem.drift(&y, t0 + 0.75 * h)?;
        let terms = [(1.0, x), (h / 3.0, &f1), (2.0 * h / 3.0, &f2)];
        let x = noise.add(&terms, PathPart::whole)?;
        let error = S::lincomb(&[(2.0 * h / 3.0, &f2), (-2.0 * h / 3.0, &f1)])?;
        Ok(Step { x, error: Some(error), past: Past::default(), nfe: 2 })
    }

    fn error_order(&self) -> Option<f64> {
        Some(2.0)
    }

    fn takes_noise(&self) -> bool {
        true
    }
}

/// ShARK, the shifted additive-noise Runge-Kutta method:
///
/// `y = x0 + c_0 H`, `z = y + 5/6 h b(y, t0) + 5/6 c_0 W`,
/// `x1 = x0 + h (2/5 b(y, t0) + 3/5 b(z, t0 + 5/6 h)) + c_0 W + (c_1 - c_0) (W/2 - H)`
///
/// in the notation of [`Sra1`]. Its error estimate is the distance to the Euler step from `y`.
///
/// # Reference
/// Foster, dos Reis, Strange 2023, arXiv 2210.17543, definition 1.6.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shark;

impl<S: State, P: Dynamics<S> + ?Sized> Stepper<S, P> for Shark {
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
        let noise = PathPart::new(problem, x, t0, t1, noise)?;
        let y = noise.add(&[(1.0, x)], |p| (0.0, p.c0))?;
        let f1 = problem.drift(&y, t0)?;
        let c = 5.0 / 6.0;
        let z = noise.add(&[(1.0, x), (c * h, &f1)], |p| (c * p.c0, p.c0))?;
        let f2 = problem.drift(&z, t0 + c * h)?;
        let terms = [(1.0, x), (0.4 * h, &f1), (0.6 * h, &f2)];
        let x = noise.add(&terms, PathPart::whole)?;
        let error = S::lincomb(&[(0.6 * h, &f2), (-0.6 * h, &f1)])?;
        Ok(Step { x, error: Some(error), past: Past::default(), nfe: 2 })
    }

    fn error_order(&self) -> Option<f64> {
        Some(2.0)
    }

    fn takes_noise(&self) -> bool {
        true
    }
}

/// SEA, the shifted Euler method for additive noise: the drift at the mean of the path,
///
/// `x1 = x0 + h b(x0 + c_0 (W/2 + H), t0) + c_0 W + (c_1 - c_0) (W/2 - H)`
///
/// in the notation of [`Sra1`]. Strong order 1, with a smaller constant than Euler-Maruyama's.
///
/// # Reference
/// Foster, dos Reis, Strange 2023, arXiv 2210.17543, definition 1.7.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sea;

impl<S: State, P: Dynamics<S> + ?Sized> Stepper<S, P> for Sea {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        _: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let noise = PathPart::new(problem, x, t0, t1, noise)?;
        let y = noise.add(&[(1.0, x)], |p| (0.5 * p.c0, p.c0))?;
        let f = problem.drift(&y, t0)?;
        let x = noise.add(&[(1.0, x), (t1 - t0, &f)], PathPart::whole)?;
        Ok(Step { x, error: None, past: Past::default(), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}

/// The path in one step: increment and area, with the amplitudes at both ends.
struct PathPart<S> {
    c0: f64,
    c1: f64,
    path: Option<(S, S)>,
}

impl<S: State> PathPart<S> {
    fn new<P: Dynamics<S> + ?Sized>(
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        noise: &dyn Noise<S>,
    ) -> Result<Self> {
        let (c0, c1) = (problem.diffusion(t0), problem.diffusion(t1));
        let none = c0 == 0.0 && c1 == 0.0;
        let path = if none { None } else { Some(noise.increment_and_area(x, t0, t1)?) };
        Ok(Self { c0, c1, path })
    }

    /// Weights of `W` and `H` in the integral of the amplitude's line over the path.
    fn whole(&self) -> (f64, f64) {
        let change = self.c1 - self.c0;
        (self.c0 + 0.5 * change, -change)
    }

    /// The terms, and the path with its weights.
    fn add(&self, terms: &[(f64, &S)], weights: impl Fn(&Self) -> (f64, f64)) -> Result<S> {
        match &self.path {
            None => S::lincomb(terms),
            Some((w, area)) => {
                let (a, b) = weights(self);
                S::lincomb(&[terms, &[(a, w), (b, area)]].concat())
            }
        }
    }
}
