//! The experiments by name: what the command line runs.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::citations::{self, Citation};
use crate::ode_sde_gap;
use crate::runs::Goal;
use crate::runs::config::parse_file;

pub use crate::runs::config::{from_toml, preset, to_toml};
pub use crate::runs::{Entry, Experiment, Interrupted, Outcome, RunArgs, Status, Train, Workspace};
pub use crate::studies::EXPERIMENTS;
pub use report::{Block, Cell, Figure, Grid, Markup, Row, Sheet, Table, html};

/// The experiments that can be run: those of this crate, and others.
#[derive(Clone, Debug)]
pub struct Registry(Vec<Entry>);

impl Default for Registry {
    fn default() -> Self {
        Self(EXPERIMENTS.to_vec())
    }
}

impl Registry {
    /// Those of this crate and `own`, of which one replaces another of the same name.
    #[must_use]
    pub fn with(own: &[Entry]) -> Self {
        let replaced = |e: &&Entry| own.iter().any(|o| o.name == e.name);
        Self(EXPERIMENTS.iter().filter(|e| !replaced(e)).chain(own).copied().collect())
    }

    /// All of them.
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    fn find(&self, name: &str) -> Result<&Entry> {
        self.0.iter().find(|e| e.name == name).with_context(|| {
            let names: Vec<&str> = self.0.iter().map(|e| e.name).collect();
            format!(
                "unknown experiment `{name}`: expected {} or a file ending in .toml",
                names.join(", ")
            )
        })
    }

    /// The experiment that a configuration file is for; `ode-sde-gap` when it does not say.
    fn named_in(&self, path: &Path) -> Result<&Entry> {
        let table = parse_file(path)?;
        let name = table.get("experiment").and_then(toml::Value::as_str);
        let main = <ode_sde_gap::OdeSdeGap as Experiment>::NAME;
        self.find(name.unwrap_or(main)).with_context(|| path.display().to_string())
    }

    fn asked_for(&self, args: &RunArgs) -> Result<&Entry> {
        if args.experiment.ends_with(".toml") {
            return self.named_in(Path::new(&args.experiment));
        }
        self.find(&args.experiment)
    }

    /// The experiment whose run a folder holds.
    fn of_folder(&self, dir: &Path) -> Result<&Entry> {
        let config = dir.join("config.toml");
        ensure!(config.is_file(), "{} holds no run: there is no config.toml", dir.display());
        self.named_in(&config)
    }

    /// Runs an experiment from configuration to report.
    ///
    /// # Errors
    /// One line: a configuration that does not work, a folder that cannot be used, a computation that
    /// fails.
    pub fn run(&self, args: &RunArgs) -> Result<Outcome> {
        (self.asked_for(args)?.run)(args, Goal::Report)
    }

    /// Trains the networks of a configuration and stops there.
    ///
    /// # Errors
    /// As [`Registry::run`]; for an experiment that trains none.
    pub fn train(&self, args: &RunArgs) -> Result<Outcome> {
        ensure!(args.models.is_none(), "--models is for `run`: `train` trains its own networks");
        let entry = self.asked_for(args)?;
        ensure!(entry.trains, "{} has no training of its own: use `run`", entry.name);
        (entry.run)(args, Goal::Trained)
    }

    /// Checks everything that [`Registry::run`] is asked for and runs nothing; hands back about how many
    /// evaluations of a score the run takes.
    ///
    /// # Errors
    /// One line with the key and the offending value.
    ///
    /// ```
    /// use experiments::run::{Registry, RunArgs};
    /// let check = |set: &str| {
    ///     Registry::default().check(&RunArgs {
    ///         experiment: "energy".into(),
    ///         preset: Some("smoke".into()),
    ///         set: vec![set.into()],
    ///         ..RunArgs::default()
    ///     })
    /// };
    /// assert!(check("seed=2").is_ok_and(|evaluations| evaluations < 1e6));
    /// let refused = check("step=100").expect_err("far too long").to_string();
    /// assert_eq!(refused, "step = 100.0: must be from 1e-9 to 1.0");
    /// ```
    pub fn check(&self, args: &RunArgs) -> Result<f64> {
        (self.asked_for(args)?.check)(args)
    }

    /// Rebuilds plots and page of a finished run from its files.
    ///
    /// # Errors
    /// When the folder holds no finished run, or a file of it is damaged.
    pub fn report(&self, dir: &Path) -> Result<Outcome> {
        (self.of_folder(dir)?.report)(dir)
    }

    /// The works that a run rests on, as BibTeX.
    ///
    /// # Errors
    /// When the folder holds no run.
    pub fn cite(&self, dir: &Path) -> Result<Vec<&'static Citation>> {
        citations::of(&(self.of_folder(dir)?.references)(dir)?)
    }
}
