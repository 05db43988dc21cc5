//! Options for the steps of a solve upward in time, or down again.

use anyhow::{Context, Result, ensure};
use sde_core::sde::{brief, check_time};
use sde_core::{Sde, TimeGrid, Tolerance};
use solvers::Control;

/// Where the data are, and how long the steps.
#[derive(Debug, clap::Args)]
pub(super) struct StepOptions {
    /// Steps as long as this tolerance allows (absolute and relative), a row on its own
    #[arg(long, value_name = "TOL", conflicts_with = "steps", allow_negative_numbers = true)]
    rtol: Option<f64>,
    /// Instead of --rtol: this many steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// Where the steps lie (`experiment list grids`; default: quadratic, of a fitted model what it was fitted with)
    #[arg(long, value_name = "G", requires = "steps")]
    grid: Option<String>,
    /// The time of the data (default: 0.001 for vp, sub-vp, rectified and cosine, 0.00001 for ve, of a fitted model what it was
    /// fitted with, else 0)
    #[arg(long, value_name = "EPS", allow_negative_numbers = true)]
    t_end: Option<f64>,
}

/// What is done where neither --rtol nor --steps is given.
#[derive(Clone, Copy, Debug)]
pub(super) enum Otherwise {
    Tolerance(f64),
    Steps(u32),
}

/// What holds where nothing is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) otherwise: Otherwise,
    pub(super) grid: TimeGrid,
    /// The time of the data.
    pub(super) t_end: f64,
}

impl StepOptions {
    /// Whether any was given.
    pub(super) fn given(&self) -> bool {
        self.rtol.is_some() || self.steps.is_some() || self.t_end.is_some()
    }

    /// The time of the data.
    pub(super) fn t_end(&self, sde: &dyn Sde) -> Result<f64> {
        self.t_end_or(sde, sde.usual_end())
    }

    /// The time of the data, or another where it is not said.
    pub(super) fn t_end_or(&self, sde: &dyn Sde, usual: f64) -> Result<f64> {
        let t_end = self.t_end.unwrap_or(usual);
        let t_end = check_time(sde, t_end).context("--t-end")?;
        let horizon = sde.horizon();
        ensure!(
            t_end < horizon,
            "--t-end {t_end} is the horizon of {}: nothing is left",
            brief(&sde.name())
        );
        Ok(t_end)
    }

    /// The steps from the time of the data up to the horizon.
    pub(super) fn upward(&self, sde: &dyn Sde, otherwise: Otherwise) -> Result<Control> {
        let (grid, t_end) = (TimeGrid::Quadratic, sde.usual_end());
        self.upward_by(sde, &Defaults { otherwise, grid, t_end })
    }

    /// The same with other defaults.
    pub(super) fn upward_by(&self, sde: &dyn Sde, defaults: &Defaults) -> Result<Control> {
        let (t_start, t_end) = (self.t_end_or(sde, defaults.t_end)?, sde.horizon());
        let steps = match (self.rtol, self.steps, defaults.otherwise) {
            (None, None, Otherwise::Steps(n)) | (_, Some(n), _) => n,
            (Some(tol), None, _) | (None, None, Otherwise::Tolerance(tol)) => {
                let fine = tol.is_finite() && tol > 0.0;
                ensure!(fine, "--rtol is {tol}, expected a finite value above 0");
                let tol = Tolerance { abs: tol, rel: tol };
                return Ok(Control::Adaptive { t_start, t_end, tol });
            }
        };
        let grid = self.grid.as_deref().map(TimeGrid::parse).transpose()?;
        let mut times = grid.unwrap_or(defaults.grid).times(sde, steps as usize, t_end, t_start)?;
        times.reverse();
        Ok(Control::Grid(times))
    }
}

/// The same steps the other way.
pub(super) fn reversed(control: Control) -> Control {
    match control {
        // The way back has no climbs.
        Control::Grid(times) | Control::Restarts(times, _) => {
            Control::Grid(times.into_iter().rev().collect())
        }
        Control::Adaptive { t_start, t_end, tol } => {
            Control::Adaptive { t_start: t_end, t_end: t_start, tol }
        }
        Control::GottaGoFast { t_start, t_end, tol } => {
            Control::GottaGoFast { t_start: t_end, t_end: t_start, tol }
        }
    }
}
