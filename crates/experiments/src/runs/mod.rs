//! The life of a run, the same for every experiment: one configuration, one folder, one page.
//!
//! - `experiment`: what an experiment is; `entry`: an experiment in a registry;
//! - `config`: from a command line to a whole configuration;
//! - `runner`: folder, record, work, page, in this order;
//! - `workspace`: where the work is done, in parts that are kept;
//! - `folder`: `runs/<experiment>/<hash>/`, locked while somebody writes to it;
//! - `record`: `record.json`, what ran where and how it ended;
//! - `log`: `metrics.jsonl`, the course of training;
//! - `progress`: bars with the time left.

pub(crate) mod config;
mod entry;
mod experiment;
mod folder;
mod log;
mod progress;
mod record;
mod runner;
mod workspace;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use entry::Entry;
pub use experiment::{Experiment, Train};
pub(crate) use folder::RunFolder;
pub(crate) use log::{Line, Log, read_log};
pub(crate) use progress::{Part, Progress};
pub(crate) use record::{End, Record};
pub use workspace::{Interrupted, Workspace};

use crate::signals;

/// How far a run is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Until the networks are trained.
    Trained,
    /// Until the page is written.
    Report,
}

/// Reads a JSON file of a run.
///
/// # Errors
/// When it cannot be read or is damaged; what to do about it is said.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| damaged(path))
}

fn damaged(path: &Path) -> String {
    format!("{} is damaged (delete it, and `run` makes it again)", path.display())
}

/// What `run` and `train` are asked for, here and on the command line.
#[derive(Clone, Debug, Default, PartialEq, clap::Args)]
pub struct RunArgs {
    /// A registered experiment, or a configuration file ending in .toml.
    #[arg(value_name = "EXPERIMENT|FILE.toml")]
    pub experiment: String,
    /// Starting values, one of the experiment's presets (`experiment list experiments`; default:
    /// quick; ode-sde-gap with --models: published).
    #[arg(long, value_name = "P")]
    pub preset: Option<String>,
    /// Change one value of the configuration; may be repeated.
    #[arg(long, value_name = "A.B=C")]
    pub set: Vec<String>,
    /// Seed of everything random.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Arithmetic of the networks (default: the configuration's, which is auto in every preset).
    #[arg(long, value_parser = ["auto", "composite", "fused"])]
    pub kernels: Option<String>,
    /// Where networks compute: cpu or cuda:N, the CUDA device N of a build with CUDA (default: cpu).
    #[arg(long, value_name = "D")]
    pub device: Option<String>,
    /// Precision of the networks: f32, f64 or, on a CUDA device, bf16 (default: f32).
    #[arg(long, value_name = "F")]
    pub dtype: Option<String>,
    /// The run's folder (default: `runs/<experiment>/<hash of the configuration>`).
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Continue what was interrupted; an error when there is nothing to continue.
    #[arg(long)]
    pub resume: bool,
    /// The data of an experiment that takes some: a file or a folder, `data.path` of its configuration.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Evaluate the checkpoints of a folder instead of training, with the published sampler
    /// unless a preset is named.
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Everything is done.
    Finished,
    /// Everything had been done before.
    #[default]
    AlreadyFinished,
    /// The networks are trained.
    Trained,
    /// Stopped by ctrl-c; the folder holds everything needed to go on.
    Interrupted,
}

/// What `run`, `train` and `report` hand back.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The run's folder.
    pub dir: PathBuf,
    /// The report, once there is one.
    pub report: Option<PathBuf>,
    /// The figures, once there are some.
    pub results: Option<PathBuf>,
    /// Hash of the configuration.
    pub hash: String,
    /// Where networks compute.
    pub device: String,
    /// Seconds of this call.
    pub seconds: f64,
    /// The networks.
    pub checkpoints: Vec<PathBuf>,
    /// The parts that gave no figures, a line each; those of the others are in the report.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// The command that goes on, after an interruption.
    pub next: Option<String>,
}

impl Outcome {
    fn new(dir: &Path, hash: &str, device: &str) -> Self {
        let (dir, hash, device) = (dir.to_path_buf(), hash.into(), device.into());
        Self { dir, hash, device, ..Self::default() }
    }

    /// The exit code of a process that ends with this: 130 after ctrl-c (143 when it was terminated),
    /// 0 otherwise, also where some of several networks gave no figures (where none did, the run is an
    /// error).
    pub fn exit_code(&self) -> u8 {
        if self.status == Status::Interrupted { signals::exit_code() } else { 0 }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = report::duration(self.seconds);
        let dir = self.dir.display();
        match self.status {
            Status::Finished => write!(f, "finished in {took}")?,
            Status::AlreadyFinished => write!(f, "this run was finished before: nothing to do")?,
            Status::Trained => write!(
                f,
                "{} networks trained in {took}: {dir}/checkpoints",
                self.checkpoints.len()
            )?,
            Status::Interrupted => write!(f, "interrupted after {took}: {dir}")?,
        }
        for failed in &self.failed {
            write!(f, "\nno figures for {failed}")?;
        }
        if let Some(report) = &self.report {
            write!(f, "\nreport:  {}", report.display())?;
        }
        if let Some(results) = &self.results {
            write!(f, "\nresults: {}", results.display())?;
        }
        if let Some(next) = &self.next {
            write!(f, "\nto go on: {next}")?;
        }
        Ok(())
    }
}
