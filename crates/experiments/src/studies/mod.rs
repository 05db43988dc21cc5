//! The experiments beside the main one, on one frame: a configuration, parts that are computed once
//! and kept, results, and a page made from the results alone.

mod desk;
mod encode;
mod energy;
mod eta_sweep;
mod identifiability;
mod likelihood;
mod resolve;
pub(crate) mod runner;
mod sampling;
mod sde_vs_ode;
mod solvers;
mod target;
mod time_sampling;
mod train;

use anyhow::Result;
use metrics::Estimate;
use ndarray::ArrayView2;
use report::Sheet;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::solvers::Solvers;
pub(crate) use encode::Encode;
pub(crate) use energy::Energy;
pub(crate) use eta_sweep::EtaSweep;
pub(crate) use identifiability::Identifiability;
pub(crate) use likelihood::Likelihood;
pub(crate) use sde_vs_ode::SdeVsOde;
pub(crate) use time_sampling::TimeSampling;

use crate::runs::Experiment;
use desk::Desk;

/// Names of the presets: for tests, for a look in about a minute, for figures with less noise.
const PRESETS: [&str; 3] = ["smoke", "quick", "full"];

/// An experiment on the common frame.
pub(crate) trait Study {
    /// The name it is run by.
    const NAME: &'static str;
    /// What it is about.
    const ABOUT: &'static str;
    /// Whole configurations, in the order of [`PRESETS`].
    const TEXTS: [&'static str; 3];
    /// The whole of the input; holds `experiment`, `preset` and `seed`.
    type Config: Serialize + DeserializeOwned;
    /// The whole of the output.
    type Results: Serialize + DeserializeOwned;

    /// Checks every value, in one line with the offending one; hands back about how many evaluations
    /// of a score the work takes.
    fn check(config: &Self::Config) -> Result<f64>;

    /// Does the work, in parts that the desk keeps.
    fn work(config: &Self::Config, desk: &Desk<'_>) -> Result<Self::Results>;

    /// Figures, tables and text, from the results.
    fn sheet(config: &Self::Config, results: &Self::Results) -> Result<Sheet>;
}

/// The entry of a study in the registry.
pub(crate) const fn experiment<S: Study>() -> Experiment {
    Experiment {
        name: S::NAME,
        about: S::ABOUT,
        presets: &PRESETS,
        check: |args| S::check(&resolve::resolve::<S>(args)?.config),
        run: runner::run::<S>,
        report: runner::report::<S>,
    }
}

/// Root of the mean squared length of rows, with its standard error.
fn root_mean_square(rows: ArrayView2<'_, f64>) -> Estimate {
    let squares: Vec<f64> = rows.rows().into_iter().map(|r| r.dot(&r)).collect();
    Estimate::of_mean(&squares).root()
}
