//! SA-Solver: stochastic Adams methods, predicting and correcting.

use sde_core::{Result, Semilinear, State};

use super::ExponentialEulerMaruyama;
use super::exponential::{Leap, half_log_snr, unit, with_noise};
use super::predicted_data::data;
use crate::{Noise, Past, Step, Stepper};

/// SA-Solver in data prediction. The polynomial in `lambda` through the last `s` predicted data is
/// integrated exactly,
///
/// `x1 = sigma1/sigma0 e^{-eta^2 h} x0 + sum_i b_i D_i + sigma1 sqrt(1 - e^{-2 eta^2 h}) z`,
///
/// for the predictor through `D_0, ..., D_{1-s}`. Before it, the corrector takes the step that led
/// here again, from where it began and with its noise, now through the data of both its ends (mode
/// PEC: each state is evaluated once, as predicted). The last step is not corrected; one to
/// `sigma = 0` gives `alpha1 D_0`, and one from there or from `alpha = 0` is the exponential
/// Euler-Maruyama step.
///
/// Its own start, a predictor of order 1 once corrected, leaves an error of order 3, but one too small
/// to be seen beside that of order 4: a twelfth of it at 1280 equal steps of the order test.
///
/// # Reference
/// Xue et al. 2023, arXiv 2309.05019, algorithm 1, equations 14 to 18.
#[derive(Clone, Copy, Debug)]
pub struct SaSolver {
    /// Data the predictor uses; 3 in the authors' code.
    pub predictor: usize,
    /// Data the corrector uses, those at the end of its step included; 4 in the authors' code, 0
    /// for none.
    pub corrector: usize,
}

impl Default for SaSolver {
    fn default() -> Self {
        Self { predictor: 3, corrector: 4 }
    }
}

impl SaSolver {
    /// The step from `x` at `t0` to `t1`, through data at times, and the normals it took.
    fn adams<S: State, P: Semilinear<S> + ?Sized>(
        problem: &P,
        x: &S,
        (t0, t1): (f64, f64),
        through: &[(f64, &S)],
        normals: impl FnOnce() -> Result<S>,
    ) -> Result<(S, Option<S>)> {
        let (m0, m1) = (problem.marginal(t0), problem.marginal(t1));
        let leap = Leap::new(m0, m1, problem.eta());
        let share = |t: f64| {
            if t == t0 {
                return 0.0;
            }
            (half_log_snr(problem.marginal(t)) - half_log_snr(m0)) / leap.h
        };
        let nodes: Vec<f64> = through.iter().map(|(t, _)| share(*t)).collect();
        let weights = leap.adams(&nodes);
        let used = weights.into_iter().zip(through).map(|(w, (_, d))| (w, *d));
        let terms: Vec<_> = std::iter::once((leap.decay, x)).chain(used).collect();
        let z = leap.draw(normals)?;
        Ok((with_noise(&terms, leap.noise, z.as_ref())?, z))
    }
}

impl<S: State, P: Semilinear<S> + ?Sized> Stepper<S, P> for SaSolver {
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
        // Without a past: in lambda a limit is infinitely far away.
        if m1.sigma > 0.0 && Leap::new(m0, m1, problem.eta()).at_limit() {
            return ExponentialEulerMaruyama.step(problem, x, t0, t1, past, noise);
        }
        let d = data(problem, x, t0, m1)?;
        // Entry 0 is the corrected state of the step before, entry 1 its normals (without noise, the
        // state again), the others are data, newest first.
        let mut known = vec![(t0, &d)];
        known.extend((2..past.len()).filter_map(|i| past.get(i)));
        let corrected = match (past.get(0), past.get(1)) {
            (Some((t, start)), Some((_, z))) if self.corrector > 0 => {
                let through = &known[..known.len().min(self.corrector)];
                Self::adams(problem, start, (t, t0), through, || Ok(z.clone()))?.0
            }
            _ => x.clone(),
        };
        let (x1, z) = if m1.sigma == 0.0 {
            (S::lincomb(&[(m1.alpha, &d)])?, None)
        } else {
            let through = &known[..known.len().min(self.predictor.max(1))];
            let normals = || unit(noise, &corrected, t0, t1);
            Self::adams(problem, &corrected, (t0, t1), through, normals)?
        };
        let keep = known.len().min(self.predictor.max(self.corrector).max(2) - 1);
        let entries = known[..keep].iter().map(|(t, d)| (*t, (*d).clone())).collect::<Vec<_>>();
        let z = z.unwrap_or_else(|| corrected.clone());
        let entries = [(t0, corrected), (t0, z)].into_iter().chain(entries).collect();
        Ok(Step { x: x1, error: None, past: Past::new(entries), nfe: 1 })
    }

    fn takes_noise(&self) -> bool {
        true
    }
}
