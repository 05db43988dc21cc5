//! An experiment in a registry: what the command line can do with it.

use std::path::Path;

use anyhow::Result;

use super::experiment::Experiment;
use super::{Goal, Outcome, RunArgs, config, runner};

/// An experiment in a registry.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name it is run by.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Name and text of its presets.
    pub presets: &'static [(&'static str, &'static str)],
    /// Whether it trains networks by a command of its own.
    pub trains: bool,
    pub(crate) check: fn(&RunArgs) -> Result<f64>,
    pub(crate) run: fn(&RunArgs, Goal) -> Result<Outcome>,
    pub(crate) report: fn(&Path) -> Result<Outcome>,
    pub(crate) references: fn(&Path) -> Result<Vec<&'static str>>,
}

impl Entry {
    /// The entry of an experiment.
    #[must_use]
    pub const fn of<E: Experiment>() -> Self {
        Self {
            name: E::NAME,
            about: E::ABOUT,
            presets: E::PRESETS,
            trains: E::TRAIN.is_some(),
            check: |args| Ok(config::resolve::<E>(args)?.evaluations),
            run: runner::run::<E>,
            report: runner::report::<E>,
            references: |dir| Ok(E::references(&config::of_folder::<E>(dir)?.0)),
        }
    }
}
