//! `run`, `report`, `train`: experiments and their folders.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::Output;
use super::options::{BackendOptions, KernelChoice};
use crate::run::{Outcome, Registry, RunArgs};

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
    /// Continue an interrupted run; an error when there is nothing to continue
    #[arg(long)]
    resume: bool,
    /// Evaluate the checkpoints of a folder instead of training, with the published sampler
    /// unless a preset is named
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
}

impl RunCommand {
    pub(super) fn run(self, registry: &Registry, output: &Output) -> Result<u8> {
        let outcome = registry.run(&RunArgs {
            experiment: self.experiment,
            preset: self.preset,
            set: self.set,
            seed: self.seed,
            kernels: self.kernels.map(|k| k.name().into()),
            device: self.backend.device,
            dtype: self.backend.dtype,
            out: self.out,
            resume: self.resume,
            models: self.models,
        })?;
        finish(&outcome, output)
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
    /// Continue an interrupted training; an error when there is nothing to continue
    #[arg(long)]
    resume: bool,
}

impl TrainCommand {
    pub(super) fn run(self, registry: &Registry, output: &Output) -> Result<u8> {
        let outcome = registry.train(&RunArgs {
            experiment: self.file,
            preset: None,
            set: self.set,
            seed: self.seed,
            kernels: self.kernels.map(|k| k.name().into()),
            device: self.backend.device,
            dtype: self.backend.dtype,
            out: self.out,
            resume: self.resume,
            models: None,
        })?;
        finish(&outcome, output)
    }
}

fn finish(outcome: &Outcome, output: &Output) -> Result<u8> {
    output.emit(outcome, &outcome.to_string())?;
    Ok(outcome.exit_code())
}
