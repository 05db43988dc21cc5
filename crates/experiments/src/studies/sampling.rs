//! Samples in memory, and states on the way there.

use ::solvers::{
    Event, Grid, IndependentIncrements, Sampler, SolveError, Stepper, Summary, sample_from, solve,
};
use anyhow::Result;
use ndarray::{Array2, Axis, concatenate, s};
use rayon::prelude::*;
use sde_core::{Dynamics, Key, Score, Sde};
use std::ops::ControlFlow;

/// Particles solved together.
pub(crate) const BLOCK: usize = 250;

/// All rows of `starts` through a sampler.
///
/// # Errors
/// As the sampler.
pub(crate) fn all(
    sampler: &Sampler,
    sde: &dyn Sde,
    score: &dyn Score<Array2<f64>>,
    starts: &Array2<f64>,
    key: Key,
) -> ::solvers::Result<(Array2<f64>, Summary)> {
    let mut out = Array2::zeros((0, starts.ncols()));
    let start = |first: u64, len: usize| {
        let first = first as usize;
        Ok(starts.slice(s![first..first + len, ..]).to_owned())
    };
    let n = starts.nrows() as u64;
    let mut keep = |_: u64, x: Array2<f64>| -> ::solvers::Result<()> {
        let shape = |e: ndarray::ShapeError| sde_core::Error::Model(Box::new(e));
        Ok(out.append(Axis(0), x.view()).map_err(shape)?)
    };
    let summary = sample_from(sampler, sde, score, n, key, &start, &mut keep)?;
    Ok((out, summary))
}

/// The states at the steps number `keep` (0 is the start) of a fixed grid; not a number for the
/// particles solved together with one that left the numbers, from there on.
///
/// # Errors
/// As [`solve`].
pub(crate) fn on_the_way<P: Dynamics<Array2<f64>>>(
    stepper: &dyn Stepper<Array2<f64>, P>,
    problem: &P,
    times: &[f64],
    keep: &[usize],
    starts: &Array2<f64>,
    key: Key,
) -> Result<Vec<Array2<f64>>> {
    let blocks = starts.nrows().div_ceil(BLOCK);
    let block = |b: usize| -> Result<Vec<Array2<f64>>> {
        let rows = b * BLOCK..((b + 1) * BLOCK).min(starts.nrows());
        let x = starts.slice(s![rows, ..]).to_owned();
        let mut kept: Vec<Array2<f64>> = Vec::with_capacity(keep.len());
        if keep.contains(&0) {
            kept.push(x.clone());
        }
        let mut watch = |event: Event<'_, Array2<f64>>| {
            if keep.contains(&(event.index as usize)) {
                kept.push(event.x.clone());
            }
            ControlFlow::Continue(())
        };
        let mut grid = Grid::new(times.to_vec())?;
        let noise = IndependentIncrements::new(key, (b * BLOCK) as u64);
        let shape = x.dim();
        match solve(stepper, problem, x, times[0], &mut grid, &noise, &mut watch) {
            Err(SolveError::NonFinite { .. }) => {
                kept.resize_with(keep.len(), || Array2::from_elem(shape, f64::NAN));
            }
            done => {
                done?;
            }
        }
        Ok(kept)
    };
    let blocks: Vec<Vec<Array2<f64>>> =
        (0..blocks).into_par_iter().map(block).collect::<Result<_>>()?;
    let join = |k: usize| {
        let views: Vec<_> = blocks.iter().map(|b| b[k].view()).collect();
        Ok(concatenate(Axis(0), &views)?)
    };
    (0..keep.len()).map(join).collect()
}
