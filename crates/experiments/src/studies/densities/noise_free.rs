//! The distances of a network's laws for the main experiment.

use std::time::Instant;

use anyhow::{Context as _, Result};
use fp_residual::fokker_planck::OnRows;
use score_nets::ScoreNet;
use sde_core::analytic::DataSet;

use super::laws::{Given, pair};
use super::{Config, Densities, Law};
use crate::distance::Window;
use crate::ode_sde_gap::results::NoiseFree;
use crate::runs::config::preset;

/// Nodes of the window, whatever samples are counted on: brackets are of the laws, and tiles of half their distance suffice.
const NODES: usize = 32;

/// Squared W2 between the laws of ODE and SDE of a network in the plane and the truth, conditioned on a window, the laws up to an
/// estimated error in total variation.
///
/// # Errors
/// A data set without a density in closed form, and laws that are not found within the tolerance.
pub(crate) fn noise_free(
    net: &ScoreNet,
    set: DataSet,
    half_width: f64,
    tolerance: f64,
) -> Result<NoiseFree> {
    let begin = Instant::now();
    let window = Window { half_width, nodes: NODES };
    let config = Config { window, tolerance, profile: 3, ..preset::<Densities>("quick")? };
    let sde = sde_core::sde::parse(&net.sde().name())?;
    let truth = set.under(&*sde).context("the data set has no density in closed form")?;
    let rows = OnRows(net);
    let given = Given::of_network(&*sde, &rows, &truth);
    let evolution = given.evolution(&config)?;
    let law = |law: Law| {
        let (density, carried) = given.density(&config, law, &evolution)?;
        config.laid(law, &density, carried, 0.0)
    };
    let [truth, sde, ode] = [law(Law::Truth)?, law(Law::Sde)?, law(Law::Ode)?];
    Ok(NoiseFree {
        ode_truth: pair(&config, &ode, &truth)?.bracket,
        sde_truth: pair(&config, &sde, &truth)?.bracket,
        ode_sde: pair(&config, &ode, &sde)?.bracket,
        errors: [ode.solved.error, sde.solved.error],
        seconds: begin.elapsed().as_secs_f64(),
    })
}
