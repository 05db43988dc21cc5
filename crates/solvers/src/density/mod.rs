//! Log-densities of what samplers draw from: along the flow, and of every stochasticity.
//!
//! All of it is a solve of particles together with integrals along their paths ([`Augmented`]), upward
//! in time, by the one loop.

mod augmented;
mod bits;
mod flow;
mod noised;
mod paths;

use sde_core::sde::check_time;
use sde_core::{Error, Probe, Sde, State};

pub use augmented::Augmented;
pub use bits::{Pixels, bits_per_dim, dequantise};
pub use flow::{
    Divergence, FlowDensity, FlowWithDensity, LogDensity, extrapolated_log_density,
    flow_log_density,
};
pub use noised::{NoisedLogDensity, NoisedPaths, reverse_sde_log_density};
pub use paths::{PathDensity, PathLogDensity, sampler_log_density};

use crate::{Control, Result, SolveError};

/// `log p_T` of every row: [`standard_log_prior`], or the exact one where it is known.
pub type LogPrior<'a, S> = dyn Fn(&S) -> sde_core::Result<Vec<f64>> + Sync + 'a;

/// The log-density of every row under the prior of samplers, `N(0, prior_std^2 I)`:
///
/// `-|x|^2 / (2 s^2) - D/2 log(2 pi s^2)`, `s = prior_std`.
///
/// # Errors
/// Whatever the state fails with.
///
/// ```
/// use ndarray::array;
/// use sde_core::Vp;
/// let log_p = solvers::density::standard_log_prior(&Vp::default(), &array![[0.0, 0.0]])?;
/// assert!((log_p[0] + std::f64::consts::TAU.ln()).abs() < 1e-15);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn standard_log_prior<S: State>(sde: &dyn Sde, x: &S) -> sde_core::Result<Vec<f64>> {
    let variance = sde.prior_std() * sde.prior_std();
    let constant = 0.5 * x.row_len() as f64 * (std::f64::consts::TAU * variance).ln();
    Ok(x.row_dot(x)?.into_iter().map(|square| -0.5 * square / variance - constant).collect())
}

impl Control {
    /// Where a solve upward in time begins and ends.
    fn upward(&self, sde: &dyn Sde) -> Result<(f64, f64)> {
        if let Self::Restarts(..) = self {
            return Err(SolveError::Setup(Error::Parameter {
                name: "control".into(),
                value: "restarts".into(),
                reason: "a path with restarts has no density: give plain steps".into(),
            }));
        }
        let (start, end) = self.ends()?;
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
