//! Log-densities of what samplers draw from: along the flow, and of every stochasticity.
//!
//! All of it is a solve of particles together with integrals along their paths ([`Augmented`]), upward
//! in time, by the one loop.

mod augmented;
mod bits;
mod flow;
mod paths;
mod prior;

use sde_core::sde::check_time;
use sde_core::{Error, Probe, Sde, State};

pub use augmented::Augmented;
pub use bits::{Pixels, bits_per_dim, dequantise};
pub use flow::{
    Divergence, FlowDensity, FlowWithDensity, LogDensity, extrapolated_log_density,
    flow_log_density,
};
pub use paths::{PathDensity, PathLogDensity, sampler_log_density};
pub use prior::{LogPrior, standard_log_prior};

use crate::{Adaptive, Control, Controller, GottaGoFast, Grid, Result, SolveError};

impl Control {
    /// Where a solve upward in time begins and ends.
    fn upward(&self, sde: &dyn Sde) -> Result<(f64, f64)> {
        let (start, end) = match self {
            Self::Grid(times) => {
                let end = Grid::new(times.clone())?.end();
                (times[0], end)
            }
            Self::Restarts(..) => return Err(no_way_up()),
            Self::Adaptive { t_start, t_end, .. } | Self::GottaGoFast { t_start, t_end, .. } => {
                (*t_start, *t_end)
            }
        };
        check_time(sde, start)?;
        check_time(sde, end)?;
        if end != sde.horizon() || start >= end {
            let reason = format!(
                "a density is found from its time up to the horizon {}, not up to {end}",
                sde.horizon()
            );
            let (name, value) = ("t_start".into(), start.to_string());
            return Err(SolveError::Setup(Error::Parameter { name, value, reason }));
        }
        Ok((start, end))
    }

    fn controller(&self) -> Result<Box<dyn Controller>> {
        Ok(match self {
            Self::Grid(times) => Box::new(Grid::new(times.clone())?),
            Self::Restarts(..) => return Err(no_way_up()),
            Self::Adaptive { t_start, t_end, tol } => {
                Box::new(Adaptive::new(*t_start, *t_end, *tol)?)
            }
            Self::GottaGoFast { t_start, t_end, tol } => {
                Box::new(GottaGoFast::new(*t_start, *t_end, *tol)?)
            }
        })
    }

    /// Rows of a block: one where steps are chosen for each row.
    fn rows_in_a_block(&self, asked: u64) -> Result<u64> {
        if asked == 0 {
            let (name, value) = ("block-rows".into(), "0".into());
            let reason = "a block needs at least one row".into();
            return Err(SolveError::Setup(Error::Parameter { name, value, reason }));
        }
        Ok(if matches!(self, Self::Grid(_)) { asked } else { 1 })
    }
}

fn no_way_up() -> SolveError {
    SolveError::Setup(Error::Parameter {
        name: "control".into(),
        value: "restarts".into(),
        reason: "a path with restarts has no density: give plain steps".into(),
    })
}

/// Mean of the rows of several estimates, and its standard error where there are
/// [`Probe::FEWEST_FOR_ERROR`] at least.
fn mean_and_error(estimates: &[Vec<f64>]) -> (Vec<f64>, Option<Vec<f64>>) {
    let (rows, k) = (estimates.first().map_or(0, Vec::len), estimates.len() as f64);
    let mean = |b: usize| estimates.iter().map(|e| e[b]).sum::<f64>() / k;
    let means: Vec<f64> = (0..rows).map(mean).collect();
    let error = |b: usize| {
        let spread: f64 = estimates.iter().map(|e| (e[b] - means[b]).powi(2)).sum();
        (spread / (k * (k - 1.0))).sqrt()
    };
    let errors =
        (estimates.len() >= Probe::FEWEST_FOR_ERROR).then(|| (0..rows).map(error).collect());
    (means, errors)
}

/// A row that could not be solved.
fn nan_row<S: State>(x: S, integrals: usize) -> Result<Augmented<S>> {
    Ok(Augmented::lincomb(&[(f64::NAN, &Augmented::start(x, integrals))])?)
}

/// One entry a row, or the error that says so.
fn one_a_row(rows: usize, values: Vec<f64>) -> Result<Vec<f64>> {
    if values.len() == rows {
        return Ok(values);
    }
    let (expected, found) = (vec![rows], vec![values.len()]);
    Err(SolveError::Setup(Error::Shape { expected, found }))
}
