//! Squared W2 between the laws of a network's ODE and SDE and the truth without a sample.

use anyhow::Result;
use fp_residual::fokker_planck::{FiniteVolumes, OnRows};
use metrics::{BracketOptions, W2Bracket};
use score_nets::ScoreNet;
use sde_core::analytic::DataSet;

use crate::distance::Window;
use crate::laws::{self, Between, Laid, Tiles};

/// Nodes of the tiles, whatever samples are counted on: brackets are of the laws.
const NODES: usize = 32;

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
/// volumes, the ODE along its paths.
///
/// # Errors
/// Laws that are not found within the tolerance.
pub(crate) fn brackets(
    net: &ScoreNet,
    set: DataSet,
    half_width: f64,
    tolerance: f64,
) -> Result<Brackets> {
    let tiles = Tiles::halves(Window { half_width, nodes: NODES });
    let (grid, sde, rows) = (tiles.grid()?, net.sde(), OnRows(net));
    let how = FiniteVolumes::new(grid.clone(), 1.0).with_tolerance(tolerance);
    let evolution = how.solve(sde, &rows.model(), &[0.0])?;
    let ode = laws::flow(sde, &rows, &grid, tolerance)?;
    let errors = [&ode, evolution.last()].map(|density| density.total_variation_error);
    let [ode, sde, truth] =
        [tiles.laid(&ode)?, tiles.laid(evolution.last())?, tiles.laid(&laws::truth(&grid, set)?)?];
    let options = BracketOptions { width: 0.02, ..BracketOptions::default() };
    let between =
        |a: &Laid, b: &Laid| -> Result<W2Bracket> { Ok(Between::of(a, b, options)?.bracket) };
    Ok(Brackets {
        ode_truth: between(&ode, &truth)?,
        sde_truth: between(&sde, &truth)?,
        ode_sde: between(&ode, &sde)?,
        errors,
    })
}
