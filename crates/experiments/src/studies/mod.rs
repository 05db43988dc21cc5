//! The experiments beside the main one, each with three presets: `smoke` for tests, `quick` for a look
//! in about a minute, `full` for figures with less noise.

/// The presets of an experiment, from its folder of configurations.
macro_rules! presets {
    ($name:literal) => {
        presets!($name: "smoke", "quick", "full")
    };
    ($name:literal: $($preset:literal),*) => {
        &[$((
            $preset,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/configs/", $name, "/", $preset, ".toml"
            )),
        )),*]
    };
}
pub(crate) use presets;

mod encode;
mod energy;
mod eta_sweep;
mod identifiability;
mod likelihood;
mod sampling;
mod sde_vs_ode;
mod solvers;
mod target;
mod time_sampling;
mod train;

use metrics::Estimate;
use ndarray::ArrayView2;

pub(crate) use self::solvers::Solvers;
pub(crate) use encode::Encode;
pub(crate) use energy::Energy;
pub(crate) use eta_sweep::EtaSweep;
pub(crate) use identifiability::Identifiability;
pub(crate) use likelihood::Likelihood;
pub(crate) use sde_vs_ode::SdeVsOde;
pub(crate) use time_sampling::TimeSampling;

/// Root of the mean squared length of rows, with its standard error.
fn root_mean_square(rows: ArrayView2<'_, f64>) -> Estimate {
    let squares: Vec<f64> = rows.rows().into_iter().map(|r| r.dot(&r)).collect();
    Estimate::of_mean(&squares).root()
}
