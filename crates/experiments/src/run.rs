//! The experiments by name: what the command line runs.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::{ode_sde_gap, studies};

pub use crate::runs::{Experiment, Outcome, RunArgs, Status};

/// The experiments there are.
pub const EXPERIMENTS: &[Experiment] = &[
    ode_sde_gap::EXPERIMENT,
    studies::experiment::<studies::SdeVsOde>(),
    studies::experiment::<studies::EtaSweep>(),
    studies::experiment::<studies::Solvers>(),
    studies::experiment::<studies::Energy>(),
    studies::experiment::<studies::Encode>(),
    studies::experiment::<studies::Identifiability>(),
    studies::experiment::<studies::Likelihood>(),
    studies::experiment::<studies::TimeSampling>(),
];

/// Names of the presets of the main experiment.
pub const PRESETS: &[&str] = &ode_sde_gap::config::PRESETS;

/// The experiment of a name.
fn find(name: &str) -> Result<&'static Experiment> {
    EXPERIMENTS.iter().find(|e| e.name == name).with_context(|| {
        let names: Vec<&str> = EXPERIMENTS.iter().map(|e| e.name).collect();
        format!(
            "unknown experiment `{name}`: expected {} or a file ending in .toml",
            names.join(", ")
        )
    })
}

/// The experiment that a configuration file is for; the main one when it does not say.
fn named_in(path: &Path) -> Result<&'static Experiment> {
    let table = ode_sde_gap::resolve::parse_file(path)?;
    match table.get("experiment").and_then(toml::Value::as_str) {
        Some(name) => find(name).with_context(|| path.display().to_string()),
        None => Ok(&EXPERIMENTS[0]),
    }
}

/// Runs an experiment from configuration to report.
///
/// # Errors
/// One line: a configuration that does not work, a folder that cannot be used, a computation that
/// fails.
pub fn run(args: &RunArgs) -> Result<Outcome> {
    (asked_for(args)?.run)(args)
}

/// Checks everything that [`run`] is asked for and runs nothing; hands back about how many evaluations
/// of a score the run takes.
///
/// # Errors
/// One line with the key and the offending value.
///
/// ```
/// use experiments::run::{RunArgs, check};
/// let args = |set: &str| RunArgs {
///     experiment: "energy".into(),
///     preset: Some("smoke".into()),
///     set: vec![set.into()],
///     ..RunArgs::default()
/// };
/// assert!(check(&args("seed=2")).is_ok_and(|evaluations| evaluations < 1e6));
/// let refused = check(&args("step=100")).expect_err("far too long").to_string();
/// assert_eq!(refused, "step = 100.0: must be from 1e-9 to 1.0");
/// ```
pub fn check(args: &RunArgs) -> Result<f64> {
    (asked_for(args)?.check)(args)
}

fn asked_for(args: &RunArgs) -> Result<&'static Experiment> {
    if args.experiment.ends_with(".toml") {
        return named_in(Path::new(&args.experiment));
    }
    find(&args.experiment)
}

/// Trains the networks of a configuration and stops there.
///
/// # Errors
/// As [`run`].
pub fn train(args: &RunArgs) -> Result<Outcome> {
    if args.experiment.ends_with(".toml") {
        let name = named_in(Path::new(&args.experiment))?.name;
        let only = ode_sde_gap::config::NAME;
        ensure!(
            name == only,
            "{name} has no training of its own: use `run` (`train` is for {only})"
        );
    }
    ode_sde_gap::run(args, ode_sde_gap::Until::Trained)
}

/// Rebuilds plots and page of a finished run from its files.
///
/// # Errors
/// When the folder holds no finished run, or a file of it is damaged.
pub fn report(dir: &Path) -> Result<Outcome> {
    let config = dir.join("config.toml");
    ensure!(config.is_file(), "{} holds no run: there is no config.toml", dir.display());
    (named_in(&config)?.report)(dir)
}
