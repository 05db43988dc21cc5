//! Squared W2 between the laws of a network's ODE and SDE and the truth without a sample.

use anyhow::{Context as _, Result};
use fp_residual::fokker_planck::{
    Characteristics, Density, FiniteVolumes, Grid, OnRows, PriorLattice,
};
use metrics::{BracketOptions, CellMasses, W2Bracket};
use ndarray::{Array2, s};
use score_nets::ScoreNet;
use sde_core::analytic::DataSet;

/// Tiles along the window, whatever samples are counted on: brackets are of the laws.
const TILES: usize = 62;

/// Sub-cells along the side of a tile for the truth.
const SUB_CELLS: usize = 4;

/// Resolutions that a density is refined through at most.
const RESOLUTIONS: usize = 6;

/// Brackets between the laws, conditioned on the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brackets {
    pub(crate) ode_truth: W2Bracket,
    pub(crate) sde_truth: W2Bracket,
    pub(crate) ode_sde: W2Bracket,
    /// Estimated errors in total variation of the laws of ODE and SDE.
    pub(crate) errors: [f64; 2],
}

/// Of a network in the plane, both laws up to an estimated error in total variation: the Fokker-Planck equation of the SDE by finite
/// volumes, the ODE along its paths or, where its density is rough within tiles, with the prior carried forward.
///
/// # Errors
/// A data set without a density in closed form, and laws that are not found within the tolerance.
pub(crate) fn brackets(
    net: &ScoreNet,
    set: DataSet,
    half_width: f64,
    tolerance: f64,
) -> Result<Brackets> {
    let half = half_width / TILES as f64;
    // A ring more than the window has: the outermost cells of a grid are halves.
    let grid = Grid::new(2, -half_width - half, half_width + half, TILES + 2)?;
    let (sde, rows) = (net.sde(), OnRows(net));
    let truth = set.under(sde).context("the data set has no density in closed form")?;
    let truth = Density::known(&grid, 0.0, SUB_CELLS, |x| truth.log_density(x, 0.0))?;
    let how = FiniteVolumes::new(grid.clone(), 1.0).with_tolerance(tolerance);
    let evolution = how.solve(sde, &rows.model(), &[0.0])?;
    let paths = Characteristics::new(0.1 * tolerance);
    let ode = match paths.cells(sde, &rows, &grid, 0.0, (tolerance, RESOLUTIONS)) {
        Err(sde_core::Error::Parameter { .. }) => {
            PriorLattice::default().cells(sde, &rows, &grid, 0.0, &paths)?
        }
        found => found?,
    };
    let tiles = |density: &Density| -> Result<CellMasses> {
        let all = Array2::from_shape_vec((TILES + 2, TILES + 2), density.cells.clone())?;
        // Rounding and extrapolation leave a hair below zero where there is nothing.
        let inner = all.slice(s![1..=TILES, 1..=TILES]).mapv(|mass| mass.max(0.0));
        Ok(CellMasses::plane([-half_width; 2], [2.0 * half; 2], inner.view())?)
    };
    let errors = [&ode, evolution.last()].map(|density| density.total_variation_error);
    let [ode, sde, truth] = [tiles(&ode)?, tiles(evolution.last())?, tiles(&truth)?];
    let between = |a: &CellMasses, b: &CellMasses| {
        a.w2_bracket(b, BracketOptions { width: 0.02, ..BracketOptions::default() })
    };
    Ok(Brackets {
        ode_truth: between(&ode, &truth)?,
        sde_truth: between(&sde, &truth)?,
        ode_sde: between(&ode, &sde)?,
        errors,
    })
}
