//! The table of experiments, and those beside the main one, each with three presets: `smoke` for tests, `quick` for a look
//! in about a minute, `full` for figures with less noise.

mod blurred;
mod control;
mod densities;
mod encode;
mod energy;
mod eta_sweep;
mod guidance;
mod identifiability;
mod image_gap;
mod likelihood;
mod networks;
mod regularisers;
mod sampling;
mod sde_vs_ode;
mod solvers;
mod target;
mod time_sampling;
mod train;

use metrics::Estimate;
use ndarray::ArrayView2;

use crate::fit;
use crate::ode_sde_gap::OdeSdeGap;
use crate::runs::Entry;

/// The experiments of this crate.
pub const EXPERIMENTS: &[Entry] = &[
    Entry::of::<OdeSdeGap>(),
    Entry::of::<sde_vs_ode::SdeVsOde>(),
    Entry::of::<densities::Densities>(),
    Entry::of::<eta_sweep::EtaSweep>(),
    Entry::of::<self::solvers::Solvers>(),
    Entry::of::<energy::Energy>(),
    Entry::of::<encode::Encode>(),
    Entry::of::<identifiability::Identifiability>(),
    Entry::of::<likelihood::Likelihood>(),
    Entry::of::<time_sampling::TimeSampling>(),
    Entry::of::<regularisers::RegularisersStudy>(),
    Entry::of::<self::control::ControlStudy>(),
    Entry::of::<guidance::GuidanceStudy>(),
    Entry::of::<image_gap::ImageGap>(),
    Entry::of::<fit::Digits>(),
    Entry::of::<fit::Images>(),
    Entry::of::<fit::Fit>(),
];

/// Root of the mean squared length of rows, with its standard error.
fn root_mean_square(rows: ArrayView2<'_, f64>) -> Estimate {
    let squares: Vec<f64> = rows.rows().into_iter().map(|r| r.dot(&r)).collect();
    Estimate::of_mean(&squares).root()
}
