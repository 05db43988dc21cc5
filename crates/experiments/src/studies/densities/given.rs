//! A model as it is solved.

use anyhow::Result;
use fp_residual::fokker_planck::{
    Density, Evolution, FiniteVolumes, Model as Potential, OnRows, graded_times,
};
use ndarray::Array2;
use score_nets::ScoreNet;
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
    /// The network that they are of.
    pub(super) net: Option<&'a ScoreNet>,
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
        Self { sde, potential, score: rows, phi: rows, net: Some(rows.0), difference: 3e-3, truth }
    }
}

impl Given<'_> {
    /// The SDE's law from the horizon to the data.
    pub(super) fn evolution(&self, config: &Config) -> Result<Evolution> {
        let how = FiniteVolumes::new(config.tiles().grid()?, 1.0).with_tolerance(config.tolerance);
        let times = graded_times(self.sde.horizon(), config.profile)?;
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
