//! SEEDS: stochastic explicit exponential derivative-free solvers.

use sde_core::{Result, Semilinear, State};

use super::exponential::{Leap, half_log_snr, phi, unit, with_noise};
use super::predicted_data::data;
use super::{ExponentialEulerMaruyama, limit};
use crate::{Noise, Past, Step, Stepper};

/// SEEDS-1, -2 and -3 in data prediction: exponential Runge-Kutta stages at the shares `c_i` of the
/// step in `lambda`, each with the exact noise of the path up to it, which is carried from stage to
/// stage,
///
/// `N_i = decay_{i-1,i} N_{i-1} + sigma_i sqrt(1 - e^{-2 eta^2 (c_i - c_{i-1}) h}) z_i`.
///
/// - SEEDS-1: exponential Euler-Maruyama.
/// - SEEDS-2, `c = 1/2`: `x1 = decay x0 + gain D_2 + N`.
/// - SEEDS-3, `c = 1/3, 2/3`, with `w = (1 + eta^2) h`:
///   `x_3 = decay x0 + gain D_1 + alpha_3 2/3 w 2 phi_2(-2/3 w) (D_2 - D_1) + N_3`,
///   `x1 = decay x0 + gain D_1 + alpha1 w 3/2 phi_2(-w) (D_3 - D_1) + N`.
///
/// At `eta = 0` they are DDIM, DPM-Solver++(2S) and (3S); `eta = 1` is the published family. The
/// authors' code has other weights in the third stage of its data prediction, which the paper has
/// not. A step to `sigma = 0` has order 1, and so has one from `alpha = 0` with noise; without, such
/// steps are the midpoint rule where the flow is regular.
///
/// # Reference
/// Gonzalez et al. 2023, arXiv 2305.14267, algorithms 1 to 4.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    stages: u32,
}

impl Seeds {
    /// SEEDS-1.
    pub const ONE: Self = Self { stages: 1 };
    /// SEEDS-2.
    pub const TWO: Self = Self { stages: 2 };
    /// SEEDS-3.
    pub const THREE: Self = Self { stages: 3 };
}

/// A point of a step: its leap from the start, its time and the noise gathered up to it.
struct Point<S> {
    t: f64,
    leap: Leap,
    noise: Option<S>,
}

/// The step that points belong to.
struct Whole<'a, S, P: ?Sized> {
    problem: &'a P,
    x: &'a S,
    ends: (f64, f64),
    /// Its length in `lambda`.
    h: f64,
    noise: &'a dyn Noise<S>,
}

impl<S: State, P: Semilinear<S> + ?Sized> Whole<'_, S, P> {
    /// The point at a share of the step, with noise from the one before.
    fn point(&self, share: f64, before: Option<&Point<S>>) -> Result<Point<S>> {
        let (problem, (t0, t1), eta) = (self.problem, self.ends, self.problem.eta());
        let m0 = problem.marginal(t0);
        let t = match share {
            1.0 => t1,
            _ => problem.time_of_half_log_snr(half_log_snr(m0) + share * self.h)?,
        };
        let m = problem.marginal(t);
        let (from, gathered) = before.map_or((t0, None), |b| (b.t, b.noise.as_ref()));
        let leap = Leap::new(problem.marginal(from), m, eta);
        let noise = match leap.draw(|| unit(self.noise, self.x, from, t))? {
            None => None,
            Some(z) => {
                let drawn = [(leap.noise, &z)];
                let carried = gathered.map(|n| (leap.decay, n));
                Some(S::lincomb(&drawn.into_iter().chain(carried).collect::<Vec<_>>())?)
            }
        };
        Ok(Point { t, leap: Leap::new(m0, m, eta), noise })
    }
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for Seeds {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        noise: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (m0, m1, eta) = (problem.marginal(t0), problem.marginal(t1), problem.eta());
        let whole = Leap::new(m0, m1, eta);
        if whole.at_limit() {
            return match self.stages {
                1 => ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise),
                _ => limit::step(problem, x, (t0, t1), noise),
            };
        }
        let d1 = data(problem, x, t0, m1)?;
        let step = Whole { problem, x, ends: (t0, t1), h: whole.h, noise };
        let point = |share: f64, before: Option<&Point<S>>| step.point(share, before);
        // The state at a point, given what it adds to the step with D_1 held.
        let state = |p: &Point<S>, more: f64, d: &S| -> Result<S> {
            let terms = [(p.leap.decay, x), (p.leap.gain - more, &d1), (more, d)];
            with_noise(&terms, 1.0, p.noise.as_ref())
        };
        let x = match self.stages {
            1 => state(&point(1.0, None)?, 0.0, &d1)?,
            2 => {
                let a = point(0.5, None)?;
                let d2 = data(problem, &state(&a, 0.0, &d1)?, a.t, m1)?;
                let end = point(1.0, Some(&a))?;
                state(&end, end.leap.gain, &d2)?
            }
            _ => {
                let a = point(1.0 / 3.0, None)?;
                let d2 = data(problem, &state(&a, 0.0, &d1)?, a.t, m1)?;
                let b = point(2.0 / 3.0, Some(&a))?;
                let slope = |p: &Point<S>, scale: f64| {
                    scale * p.leap.alpha * p.leap.width * phi(2, -p.leap.width)
                };
                let d3 = data(problem, &state(&b, slope(&b, 2.0), &d2)?, b.t, m1)?;
                let end = point(1.0, Some(&b))?;
                state(&end, slope(&end, 1.5), &d3)?
            }
        };
        Ok(Step { x, error: None, past: Past::default(), nfe: u64::from(self.stages) })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
