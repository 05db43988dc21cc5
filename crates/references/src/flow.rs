//! ODEs to a tight tolerance, a row on its own.

use anyhow::Result;
use ndarray::Array2;
use rayon::prelude::*;
use sde_core::{Dynamics, Key, State, Tolerance};
use solvers::steppers::RungeKutta;
use solvers::tableau::DOPRI5;
use solvers::{Adaptive, IndependentIncrements, SolveError, solve};

pub(crate) type Rows = Array2<f64>;

/// Of a step; the error of a whole solve stays a hundred times below 1e-8.
const STEP: Tolerance = Tolerance { abs: 1e-11, rel: 1e-11 };

/// Solves an ODE for every row on its own.
pub(crate) fn flow<P: Dynamics<Rows>>(problem: &P, x: &Rows, from: f64, to: f64) -> Result<Rows> {
    by_rows(x.nrows(), |row| dopri5(problem, x.slice_rows(row, 1)?, from, to))
}

pub(crate) fn dopri5<S: State, P: Dynamics<S>>(
    problem: &P,
    x: S,
    from: f64,
    to: f64,
) -> Result<S, SolveError> {
    let mut steps = Adaptive::new(from, to, STEP)?;
    let no_noise = IndependentIncrements::new(Key::root(0), 0);
    Ok(solve(&RungeKutta(&DOPRI5), problem, x, from, &mut steps, &no_noise, &mut ())?.x)
}

/// What `solve` gives for each row, put together.
pub(crate) fn by_rows<S: State>(
    rows: usize,
    solve: impl Fn(usize) -> Result<S, SolveError> + Send + Sync,
) -> Result<S> {
    let parts = (0..rows).into_par_iter().map(solve).collect::<Result<Vec<S>, _>>()?;
    Ok(S::concat_rows(&parts)?)
}
