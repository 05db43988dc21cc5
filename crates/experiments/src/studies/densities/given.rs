//! A model as it is solved.

use anyhow::Result;
use fp_residual::fokker_planck::{Density, Evolution, FiniteVolumes, Model as Potential, OnRows};
use ndarray::Array2;
use sde_core::{ScoreJvp, Sde};

use super::{Config, Law};
use crate::laws::{self, SUB_CELLS};

/// What is solved.
pub(super) struct Given<'a> {
    pub(super) sde: &'a dyn Sde,
    pub(super) potential: Potential<'a>,
    pub(super) score: &'a dyn ScoreJvp<Array2<f64>>,
    /// The potential with its derivatives.
    pub(super) phi: &'a dyn sde_core::Potential<Array2<f64>>,
    /// Half the distance of the points of a difference of residuals, in units of the scale of the process: what truncation leaves
    /// is weighed against rounding.
    pub(super) difference: f64,
    pub(super) truth: &'a (dyn Fn() -> Result<Density> + Sync),
}

impl<'a> Given<'a> {
    /// A network.
    pub(super) fn of_network(
        sde: &'a dyn Sde,
        rows: &'a OnRows<'a>,
        truth: &'a (dyn Fn() -> Result<Density> + Sync),
    ) -> Self {
        let potential = rows.model();
        Self { sde, potential, score: rows, phi: rows, difference: 3e-3, truth }
    }
}

impl Given<'_> {
    /// The SDE's law from the horizon to the data.
    pub(super) fn evolution(&self, config: &Config) -> Result<Evolution> {
        let how = FiniteVolumes::new(config.tiles().grid()?, 1.0).with_tolerance(config.tolerance);
        let horizon = self.sde.horizon();
        let last = (config.profile - 1) as f64;
        // Even in log(t + T / 100), as the steps are; the horizon itself is where the prior is.
        let clock = |u: f64| (0.01 * horizon) * (101.0_f64.powf(u) - 1.0);
        let times: Vec<f64> =
            (0..config.profile).map(|k| clock(1.0 - k as f64 / last).min(horizon)).collect();
        Ok(how.solve(self.sde, &self.potential, &times)?)
    }

    /// A law at the time of the data.
    pub(super) fn density(
        &self,
        config: &Config,
        law: Law,
        evolution: &Evolution,
    ) -> Result<Density> {
        let grid = config.tiles().grid()?;
        Ok(match law {
            Law::Truth => (self.truth)()?,
            Law::Own => Density::of_potential(&grid, 0.0, SUB_CELLS, &self.potential)?,
            Law::Sde => evolution.last().clone(),
            Law::Ode => laws::flow(self.sde, self.score, &grid, config.tolerance)?,
        })
    }
}
