//! What an experiment is.

use std::path::{Path, PathBuf};

use anyhow::Result;
use report::Sheet;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Outcome;
use super::workspace::Workspace;

/// Work of a part of [`Experiment::work`], on the same workspace.
pub type Train<C> = fn(&C, &Workspace) -> Result<()>;

/// An experiment: a configuration, the work, its results, and a page made from the results.
///
/// Everything around it is the same for all: presets, files and `--set` become a checked
/// configuration, the run gets a folder named by the configuration's hash, ctrl-c ends it in an orderly
/// way, the same command goes on with it, and the page can be rebuilt from the folder.
///
/// An experiment in a crate of its own is run by a `main` of its own, beside the ones of this crate:
///
/// ```no_run
/// use anyhow::{Result, ensure};
/// use experiments::run::{Entry, Experiment, Sheet, Table, Workspace};
/// use sde_core::Key;
/// use serde::{Deserialize, Serialize};
///
/// struct Throws;
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     experiment: String,
///     preset: String,
///     seed: u64,
///     n: usize,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Results {
///     mean: f64,
/// }
///
/// impl Experiment for Throws {
///     const NAME: &'static str = "throws";
///     const ABOUT: &'static str = "the mean of uniform numbers";
///     const PRESETS: &'static [(&'static str, &'static str)] =
///         &[("quick", "experiment = 'throws'\npreset = 'quick'\nseed = 0\nn = 1000")];
///     type Config = Config;
///     type Results = Results;
///
///     fn check(config: &Config) -> Result<f64> {
///         ensure!(config.n > 0, "n = 0: must be at least 1");
///         Ok(config.n as f64)
///     }
///
///     fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
///         let mean = workspace.part("mean", || {
///             let mut u = vec![0.0; config.n];
///             Key::root(config.seed).fill_uniforms(0, &mut u);
///             Ok(u.iter().sum::<f64>() / config.n as f64)
///         })?;
///         Ok(Results { mean })
///     }
///
///     fn page(_: &Config, results: &Results, _: &std::path::Path) -> Result<Sheet> {
///         let mut sheet = Sheet { title: "Throws".into(), ..Sheet::default() };
///         let rows = [vec![results.mean.to_string().into()]];
///         sheet.table(Table::new("mean", 0, &["mean"]).rows(rows));
///         Ok(sheet)
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     experiments::main(&[Entry::of::<Throws>()])
/// }
/// ```
pub trait Experiment: 'static {
    /// The name it is run by.
    const NAME: &'static str;
    /// What it is about, in a line.
    const ABOUT: &'static str;
    /// Whole configurations in TOML, each with its name.
    const PRESETS: &'static [(&'static str, &'static str)];
    /// Keys of earlier versions that configurations may still have, with their names of today:
    /// `("training.time-law", "training.time-distribution")`.
    const RENAMED: &'static [(&'static str, &'static str)] = &[];
    /// Trains the networks of a configuration and stops there, where there are some.
    const TRAIN: Option<Train<Self::Config>> = None;
    /// The whole of the input. It has the fields `experiment` (its name), `preset` (a name for people)
    /// and `seed`, and refuses fields it does not know.
    type Config: Serialize + DeserializeOwned;
    /// The whole of the output, kept in `results.json`.
    type Results: Serialize + DeserializeOwned;

    /// Checks every value; hands back about how many evaluations of a score the work takes.
    ///
    /// # Errors
    /// One line with the key and the offending value.
    fn check(config: &Self::Config) -> Result<f64>;

    /// Does the work, in parts that the workspace keeps. Everything drawn at random comes from the
    /// configuration's seed.
    ///
    /// # Errors
    /// [`Interrupted`](super::Interrupted) after ctrl-c; whatever the computation fails with.
    fn work(config: &Self::Config, workspace: &Workspace) -> Result<Self::Results>;

    /// Figures, tables and text, from the results; `folder` is the run's, for what is too large for
    /// `results.json`.
    ///
    /// # Errors
    /// When a file is damaged or a picture cannot be drawn.
    fn page(config: &Self::Config, results: &Self::Results, folder: &Path) -> Result<Sheet>;

    /// Facts for the foot of the page, beside those of build and machine: name and value.
    fn facts(_config: &Self::Config, _results: &Self::Results) -> Vec<(String, String)> {
        Vec::new()
    }

    /// What the run rests on: texts that name arXiv numbers, or keys of
    /// [`citations`](crate::citations).
    fn references(_config: &Self::Config) -> Vec<&'static str> {
        Vec::new()
    }

    /// The preset where none is named; `given` when networks are.
    fn default_preset(_given: bool) -> &'static str {
        let quick = Self::PRESETS.iter().find(|p| p.0 == "quick").or(Self::PRESETS.first());
        quick.map_or("", |p| p.0)
    }

    /// Where the work is done, once it is known that it can be done there.
    ///
    /// # Errors
    /// For a device that this machine has not.
    fn device(_config: &Self::Config) -> Result<String> {
        Ok("cpu".into())
    }

    /// Fits a configuration to the networks in the folder of `--models`.
    ///
    /// # Errors
    /// When the folder has none of them.
    fn narrow(_config: &mut Self::Config, _models: &Path) -> Result<()> {
        Ok(())
    }

    /// Files that the run depends on beside its configuration, each with its name.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn given(_config: &Self::Config) -> Result<Vec<(String, PathBuf)>> {
        Ok(Vec::new())
    }

    /// Adds networks, and parts without figures, to what is told of a run.
    ///
    /// # Errors
    /// When a file of the folder is damaged.
    fn complete(_config: &Self::Config, _folder: &Path, _outcome: &mut Outcome) -> Result<()> {
        Ok(())
    }

    /// Whether the run as a whole succeeded, asked when its page is written.
    ///
    /// # Errors
    /// Why it did not.
    fn verdict(_results: &Self::Results) -> Result<()> {
        Ok(())
    }
}
