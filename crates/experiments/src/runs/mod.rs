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
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{shown} is damaged (delete it, and `run` makes it again)"))
}

/// What `run` and `train` are asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunArgs {
    /// A registered experiment, or the path of a configuration ending in `.toml`.
    pub experiment: String,
    /// Starting values.
    pub preset: Option<String>,
    /// Changes `a.b=c`, in order.
    pub set: Vec<String>,
    /// Seed.
    pub seed: Option<u64>,
    /// Arithmetic of the networks: `auto`, `composite` or `fused`.
    pub kernels: Option<String>,
    /// Where networks compute ([`score_nets::Backend::parse`]).
    pub device: Option<String>,
    /// Their element type.
    pub dtype: Option<String>,
    /// The run's folder; `runs/<experiment>/<hash>` without one.
    pub out: Option<PathBuf>,
    /// Continue an unfinished run, and nothing else.
    pub resume: bool,
    /// Checkpoints to evaluate instead of training.
    pub models: Option<PathBuf>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Everything is done.
    Finished,
    /// Everything had been done before.
    AlreadyFinished,
    /// The networks are trained.
    Trained,
    /// Stopped by ctrl-c; the folder holds everything needed to go on.
    Interrupted,
}

/// What `run`, `train` and `report` hand back.
#[derive(Clone, Debug, Serialize)]
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
        Self {
            status: Status::AlreadyFinished,
            dir: dir.to_path_buf(),
            report: None,
            results: None,
            hash: hash.into(),
            device: device.into(),
            seconds: 0.0,
            checkpoints: Vec::new(),
            failed: Vec::new(),
            next: None,
        }
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
