//! Paths of the reverse SDE with the integral along them.

use std::ops::ControlFlow;

use rayon::prelude::*;
use sde_core::{Error, Key, Result, Reverse, Score, Sde, State};
use solvers::{Event, Grid, IndependentIncrements, Method, SolveError, solve};

use super::{GapGradient, prior_mismatch};

/// Paths at one time.
#[derive(Clone, Debug)]
pub struct PathStates<S> {
    /// The time.
    pub t: f64,
    /// Where they are.
    pub x: S,
    /// The integral `A_t` along each, see [`GapGradient`].
    pub gap: S,
}

/// Paths that are solved together.
const BLOCK: usize = 250;

/// Draws `n` paths of the reverse SDE of a score by stochastic Heun on the grid `times` from the horizon down, with
/// [`GapGradient`] along each; hands back one [`PathStates`] a time. `residual` is the gradient of the Fokker-Planck residual,
/// `grad R(x, t)`, of all rows at a common time.
///
/// Path `i` is a function of `key` and `i` alone; it starts from the prior under `key.fold(0)`, its noise is under `key.fold(1)`.
/// On each path the solver has weak order 2, as has the rule of the integral.
///
/// # Shapes
/// `like` has a row of the shape of a particle; its values are not used.
///
/// # Errors
/// [`Error::Parameter`] for no paths; whatever the solver, the score and `residual` fail with.
///
/// ```
/// use fp_residual::gap_paths;
/// use ndarray::Array2;
/// use sde_core::{FnScore, Key, Ou, TimeGrid};
/// // phi = -x^2 / 2 under dX = -X dt + dW: grad R = x, and the prior N(0, 1/2) has grad h = -x.
/// let (sde, score) = (Ou::new(2.0)?, FnScore::new(|x: &Array2<f64>, _| Ok(-x)));
/// let times = TimeGrid::Quadratic.times(&sde, 40, 2.0, 0.0)?;
/// let residual = |x: &Array2<f64>, _| Ok(x.clone());
/// let paths = gap_paths(&sde, &score, &residual, &times, 4000, Key::root(1), &Array2::zeros((1, 1)))?;
/// // Least squares of A on x: grad r = (1 - 1/V) x, where the variance of this SDE is V = 1/2 + t at T - t.
/// let end = &paths[40];
/// let slope = (&end.x * &end.gap).sum() / (&end.x * &end.x).sum();
/// assert!((slope - (1.0 - 1.0 / 2.5)).abs() < 0.05);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn gap_paths<S: State>(
    sde: &dyn Sde,
    score: &dyn Score<S>,
    residual: &(dyn Fn(&S, f64) -> Result<S> + Sync),
    times: &[f64],
    n: usize,
    key: Key,
    like: &S,
) -> Result<Vec<PathStates<S>>> {
    if n == 0 || times.is_empty() {
        let (value, reason) = ((n * times.len()).to_string(), "must be at least 1".into());
        return Err(Error::Parameter { name: "paths".into(), value, reason });
    }
    let plan = Plan { sde, score, residual, times, key };
    let blocks: Vec<_> = (0..n.div_ceil(BLOCK))
        .into_par_iter()
        .map(|b| plan.block(b * BLOCK, BLOCK.min(n - b * BLOCK), like))
        .collect::<Result<_>>()?;
    let joined = |k: usize| {
        let of = |pick: fn(&PathStates<S>) -> &S| {
            let parts: Vec<S> = blocks.iter().map(|block| pick(&block[k]).clone()).collect();
            S::concat_rows(&parts)
        };
        Ok(PathStates { t: blocks[0][k].t, x: of(|p| &p.x)?, gap: of(|p| &p.gap)? })
    };
    (0..times.len()).map(joined).collect()
}

/// What all blocks have in common.
struct Plan<'a, S> {
    sde: &'a dyn Sde,
    score: &'a dyn Score<S>,
    residual: &'a (dyn Fn(&S, f64) -> Result<S> + Sync),
    times: &'a [f64],
    key: Key,
}

impl<S: State> Plan<'_, S> {
    /// The paths `first .. first + rows`.
    fn block(&self, first: usize, rows: usize, like: &S) -> Result<Vec<PathStates<S>>> {
        let t = self.times[0];
        let numbers: Vec<u64> = (first as u64..(first + rows) as u64).collect();
        let score = self.score.for_rows(&numbers)?;
        let z = S::concat_rows(&vec![like.slice_rows(0, 1)?; rows])?;
        let z = z.normals_like(self.key.fold(0), first as u64)?;
        let x = S::lincomb(&[(self.sde.prior_std(), &z)])?;
        let mismatch = prior_mismatch(self.sde, &x, &score.score(&x, t)?)?;
        let mut gap = GapGradient::start(t, mismatch, (self.residual)(&x, t)?);
        let mut paths = vec![PathStates { t, x: x.clone(), gap: gap.value().clone() }];
        let mut failed = None;
        let mut visit = |event: &Event<'_, S>| -> Result<()> {
            gap.advance(self.sde, event.t, (self.residual)(event.x, event.t)?)?;
            let gap = gap.value().clone();
            paths.push(PathStates { t: event.t, x: event.x.clone(), gap });
            Ok(())
        };
        let mut observer = |event: Event<'_, S>| match visit(&event) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        };
        let other = |e: SolveError| Error::Model(Box::new(e));
        let mut grid = Grid::new(self.times.to_vec()).map_err(other)?;
        let noise = IndependentIncrements::new(self.key.fold(1), first as u64);
        let (stepper, problem) = (Method::Heun.stepper(), Reverse::sde(self.sde, &*score));
        solve(&*stepper, &problem, x, t, &mut grid, &noise, &mut observer).map_err(other)?;
        match failed {
            Some(error) => Err(error),
            None => Ok(paths),
        }
    }
}
