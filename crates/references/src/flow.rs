//! ODEs to a tight tolerance, a row on its own.

use anyhow::Result;
use ndarray::Array2;
use sde_core::{Dynamics, Key, State, Tolerance};
use solvers::steppers::RungeKutta;
use solvers::tableau::DOPRI5;
use solvers::{Adaptive, IndependentIncrements, SolveError, solve, solve_blocks};

pub(crate) type Rows = Array2<f64>;

/// Of a step; the error of a whole solve stays a hundred times below 1e-8.
const STEP: Tolerance = Tolerance { abs: 1e-11, rel: 1e-11 };

/// Solves an ODE for every row on its own.
pub(crate) fn flow<P: Dynamics<Rows>>(problem: &P, x: &Rows, from: f64, to: f64) -> Result<Rows> {
    by_rows(x.nrows(), |first, len| dopri5(problem, x.slice_rows(first, len)?, from, to))
}

pub(crate) fn dopri5<S: State, P: Dynamics<S>>(
    problem: &P,
    x: S,
    from: f64,
    to: f64,
) -> Result<S, SolveError> {
    let mut steps = Adaptive::new(from, to, STEP)?;
    Ok(solve(&RungeKutta(&DOPRI5), problem, x, from, &mut steps, &no_noise(), &mut ())?.x)
}

/// What `solve` gives for each row, put together.
pub(crate) fn by_rows<S: State>(
    rows: usize,
    solve: impl Fn(usize, usize) -> Result<S, SolveError> + Sync,
) -> Result<S> {
    let block = |first: u64, len: usize| {
        let x = solve(first as usize, len)?;
        Ok(solvers::Solution { t: 0.0, x, stats: solvers::Stats::default() })
    };
    let mut parts = Vec::new();
    let mut keep = |_: u64, part: S| {
        parts.push(part);
        Ok::<(), SolveError>(())
    };
    solve_blocks(rows as u64, 1, &block, &mut keep)?;
    Ok(S::concat_rows(&parts)?)
}

/// No noise that anything should ask for.
pub(crate) fn no_noise() -> IndependentIncrements {
    IndependentIncrements::new(Key::root(0), 0)
}
