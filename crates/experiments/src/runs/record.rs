//! `record.json`: which code ran where, when, and how it ended.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use score_nets::fused::Isa;
use serde::{Deserialize, Serialize};

use super::read_json;
use crate::atomic;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum End {
    /// It has not (or the process was killed).
    Running,
    /// ctrl-c.
    Interrupted,
    /// An error.
    Failed,
    /// All networks are trained, which was all that was asked for.
    Trained,
    /// Everything is done.
    Finished,
}

/// One stretch of work on a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Session {
    pub(crate) started: String,
    #[serde(with = "crate::number")]
    pub(crate) seconds: f64,
    pub(crate) ended: End,
    /// The error that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// The record of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Record {
    pub(crate) experiment: String,
    pub(crate) hash: String,
    pub(crate) status: End,
    /// Git revision, `-dirty` when files differ from it.
    pub(crate) revision: String,
    /// blake3 of Cargo.lock.
    pub(crate) lock_hash: String,
    pub(crate) version: String,
    pub(crate) features: Vec<String>,
    pub(crate) device: String,
    pub(crate) threads: usize,
    /// Instruction sets of the hand-written kernels: one, unless sessions differ.
    #[serde(default)]
    pub(crate) isa: Vec<String>,
    /// Evaluations of the score for one particle: ODE, SDE.
    pub(crate) nfe: [u64; 2],
    pub(crate) sessions: Vec<Session>,
}

impl Record {
    /// The record of a run that begins.
    pub(crate) fn new(experiment: &str, hash: &str) -> Self {
        Self {
            experiment: experiment.into(),
            hash: hash.into(),
            status: End::Running,
            revision: revision(),
            lock_hash: blake3::hash(include_bytes!("../../../../Cargo.lock")).to_hex().to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            features: features(),
            device: "cpu".into(),
            threads: rayon::current_num_threads(),
            isa: Vec::new(),
            nfe: [0, 0],
            sessions: Vec::new(),
        }
    }

    /// Reads a record.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        read_json(path)
    }

    /// Writes it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        atomic::write(path, &serde_json::to_vec_pretty(self)?)
    }

    /// The machine, in words.
    pub(crate) fn machine(&self) -> String {
        let Self { device, threads, .. } = self;
        let isa = self.isa.join(", ");
        let kernels = if isa.is_empty() { isa } else { format!(" ({isa} kernels)") };
        format!("{device}{kernels}, {threads} threads")
    }

    /// Seconds of all sessions.
    pub(crate) fn seconds(&self) -> f64 {
        self.sessions.iter().map(|s| s.seconds).sum()
    }

    /// Begins a session on a device.
    pub(crate) fn begin(&mut self, device: &str) {
        self.device = device.into();
        self.status = End::Running;
        self.revision = revision();
        self.threads = rayon::current_num_threads();
        let isa = Isa::detect().to_string();
        if !self.isa.contains(&isa) {
            self.isa.push(isa);
        }
        self.sessions.push(Session {
            started: now(),
            seconds: 0.0,
            ended: End::Running,
            error: None,
        });
    }

    /// Ends the session that is under way.
    pub(crate) fn end(&mut self, end: End, seconds: f64, error: Option<String>) {
        self.status = end;
        if let Some(session) = self.sessions.last_mut() {
            (session.ended, session.seconds, session.error) = (end, seconds, error);
        }
    }
}

fn features() -> Vec<String> {
    let mut on = vec![if cfg!(debug_assertions) { "debug" } else { "release" }.to_string()];
    for (name, here) in [
        ("avx2", cfg!(target_arch = "x86_64") && detected_avx2()),
        ("avx512", cfg!(target_arch = "x86_64") && detected_avx512()),
    ] {
        if here {
            on.push(name.into());
        }
    }
    on
}

#[cfg(target_arch = "x86_64")]
fn detected_avx2() -> bool {
    is_x86_feature_detected!("avx2")
}

#[cfg(target_arch = "x86_64")]
fn detected_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn detected_avx2() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn detected_avx512() -> bool {
    false
}

/// The checked-out revision, `unknown` outside a repository.
fn revision() -> String {
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-C", env!("CARGO_MANIFEST_DIR")]).args(words).stderr(Stdio::null());
        let out = command.output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&out.stdout).trim().to_string())
    };
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    let clean = git(&["status", "--porcelain"]).is_some_and(|s| s.is_empty());
    if clean { head } else { format!("{head}-dirty") }
}

/// The time in UTC, `2025-01-31T12:00:00Z`.
fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Days to civil date: Hinnant, "chrono-compatible low-level date algorithms".
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}
