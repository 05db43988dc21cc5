//! `run`, `report`, `train`: experiments and their folders.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum as _;
use serde_json::json;

use super::Output;
use super::options::{BackendOptions, KernelChoice};
use crate::run::{Outcome, Registry, RunArgs};

/// What a configuration is changed by, and where its run goes.
#[derive(Debug, clap::Args)]
struct RunOptions {
    /// Change one value of the configuration; may be repeated
    #[arg(long, value_name = "A.B=C")]
    set: Vec<String>,
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Arithmetic of the networks (default: the configuration's, which is auto in every preset)
    #[arg(long, value_enum)]
    kernels: Option<KernelChoice>,
    #[command(flatten)]
    backend: BackendOptions,
    /// The run's folder (default: runs/<experiment>/<hash of the configuration>)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue what was interrupted; an error when there is nothing to continue
    #[arg(long)]
    resume: bool,
}

impl RunOptions {
    fn of(self, experiment: String) -> RunArgs {
        let kernels = self.kernels.and_then(|k| Some(k.to_possible_value()?.get_name().to_owned()));
        RunArgs {
            experiment,
            set: self.set,
            seed: self.seed,
            kernels,
            device: self.backend.device,
            dtype: self.backend.dtype,
            out: self.out,
            resume: self.resume,
            ..RunArgs::default()
        }
    }
}

/// Run an experiment: train, sample, measure, report
///
/// EXPERIMENT is a name (`experiment list experiments`) or a TOML file with a whole configuration.
/// The run's folder holds its configuration, checkpoints, plots, `results.json` and `report.html`.
/// A finished run is not repeated; an interrupted one continues with the same command.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  experiment run ode-sde-gap --preset smoke --seed 1 --out runs/first"
)]
pub(super) struct RunCommand {
    /// A registered experiment, or a configuration file ending in .toml
    #[arg(value_name = "EXPERIMENT|FILE.toml")]
    experiment: String,
    /// Starting values, one of the experiment's presets (`experiment list experiments`; default:
    /// quick; ode-sde-gap with --models: published)
    #[arg(long, value_name = "P")]
    preset: Option<String>,
    /// The data of an experiment that takes some, a file or a folder (`data.path` of its configuration)
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    #[command(flatten)]
    options: RunOptions,
    /// Evaluate the checkpoints of a folder instead of training, with the published sampler
    /// unless a preset is named
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
}

impl RunCommand {
    pub(super) fn run(mut self, registry: &Registry, output: &Output) -> Result<u8> {
        if let Some(data) = &self.data {
            let set = format!("data.path={}", super::fit::quoted(&super::fit::resolved(data)?));
            self.options.set.insert(0, set);
        }
        let args = self.options.of(self.experiment);
        let args = RunArgs { preset: self.preset, models: self.models, ..args };
        finish(&registry.run(&args)?, output)
    }
}

/// Rebuild the plots and the page of a run from its files
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  experiment report runs/first")]
pub(super) struct ReportCommand {
    /// The run's folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

impl ReportCommand {
    pub(super) fn run(self, registry: &Registry, output: &Output) -> Result<u8> {
        finish(&registry.report(&self.run)?, output)
    }
}

/// Print the works that a run rests on, as BibTeX
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  experiment cite runs/first > run.bib")]
pub(super) struct CiteCommand {
    /// The run's folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

impl CiteCommand {
    pub(super) fn run(self, registry: &Registry, output: &Output) -> Result<u8> {
        let found = registry.cite(&self.run)?;
        let entries: Vec<&str> = found.iter().map(|c| c.bibtex).collect();
        output.emit(&json!({"references": found}), &entries.join("\n\n"))?;
        Ok(0)
    }
}

/// Train the networks of a configuration file and stop there
///
/// The configuration and the folder are those of `run`, which then continues with the rest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  experiment train crates/experiments/configs/smoke.toml")]
pub(super) struct TrainCommand {
    /// The configuration
    #[arg(value_name = "FILE.toml")]
    file: String,
    #[command(flatten)]
    options: RunOptions,
}

impl TrainCommand {
    pub(super) fn run(self, registry: &Registry, output: &Output) -> Result<u8> {
        finish(&registry.train(&self.options.of(self.file))?, output)
    }
}

pub(super) fn finish(outcome: &Outcome, output: &Output) -> Result<u8> {
    output.emit(outcome, &outcome.to_string())?;
    Ok(outcome.exit_code())
}
