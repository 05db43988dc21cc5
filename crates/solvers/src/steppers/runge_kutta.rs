//! Explicit Runge-Kutta methods of any tableau.

use sde_core::{Dynamics, Result, State};

use crate::tableau::Tableau;
use crate::{Noise, Past, Step, Stepper};

/// The explicit Runge-Kutta method of a tableau, for ODEs.
#[derive(Clone, Copy, Debug)]
pub struct RungeKutta(pub &'static Tableau);

impl<S: State, P: Dynamics<S> + ?Sized> Stepper<S, P> for RungeKutta {
    fn step(
        &self,
        problem: &P,
        x: &S,
        t0: f64,
        t1: f64,
        past: &Past<S>,
        _: &dyn Noise<S>,
    ) -> Result<Step<S>> {
        let (tableau, h) = (self.0, t1 - t0);
        let mut stages: Vec<S> = Vec::with_capacity(tableau.b.len());
        let mut nfe = 0;
        if let (true, Some((t, f))) = (tableau.fsal, past.get(0))
            && t == t0
        {
            stages.push(f.clone());
        }
        let mut last = None;
        for i in stages.len()..tableau.b.len() {
            let t = if tableau.c[i] == 1.0 { t1 } else { t0 + tableau.c[i] * h };
            let y = combination(Some(x), h, tableau.a[i], &stages)?;
            stages.push(problem.drift(&y, t)?);
            nfe += 1;
            last = Some(y);
        }
        // The point of the last stage of such a method is the solution.
        let x1 = match last {
            Some(y) if tableau.fsal => y,
            _ => combination(Some(x), h, tableau.b, &stages)?,
        };
        let error = match tableau.e {
            [] => None,
            e => Some(combination(None, h, e, &stages)?),
        };
        let past = match stages.pop() {
            Some(f) if tableau.fsal => Past::new(vec![(t1, f)]),
            _ => Past::default(),
        };
        Ok(Step { x: x1, error, past, nfe })
    }

    fn error_order(&self) -> Option<f64> {
        (!self.0.e.is_empty()).then_some(self.0.error_order)
    }
}

/// `x + h sum_i w_i k_i`, over the weights that are not zero.
fn combination<S: State>(x: Option<&S>, h: f64, weights: &[f64], stages: &[S]) -> Result<S> {
    let used = weights.iter().zip(stages).filter(|(w, _)| **w != 0.0);
    let terms: Vec<_> =
        x.map(|x| (1.0, x)).into_iter().chain(used.map(|(w, k)| (h * w, k))).collect();
    S::lincomb(&terms)
}
