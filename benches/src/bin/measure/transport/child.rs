//! One problem in a process of its own, so that the peak of its memory is that of the problem.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::machine::status;
use crate::timing::Spread;

/// Seconds after which a problem is not solved once more.
const ENOUGH: f64 = 2.0;

/// What a process finds out about its problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) n: usize,
    /// Median of up to five solves.
    pub(crate) seconds: f64,
    /// Peak of the resident memory above what the process held with its inputs, in KiB.
    pub(crate) memory_kib: Option<u64>,
    /// Peak of the resident memory of the whole process, in KiB.
    pub(crate) peak_kib: Option<u64>,
    pub(crate) value: f64,
    pub(crate) gap: f64,
}

/// Solves the problem `name` in this process.
pub(crate) fn solve(name: &str, hist: Option<&Path>) -> Result<Case> {
    let problem = Problem::named(name, hist)?;
    let before = status("VmRSS");
    let timed = || -> Result<_> {
        let start = Instant::now();
        let solved = problem.solve()?;
        Ok((start.elapsed().as_secs_f64(), solved))
    };
    let (first, solved) = timed()?;
    let peak_kib = status("VmHWM");
    let mut seconds = vec![first];
    while seconds.len() < 5 && seconds.iter().sum::<f64>() < ENOUGH {
        seconds.push(timed()?.0);
    }
    let n = match &problem {
        Problem::Clouds { x, .. } => x.nrows(),
        Problem::Grid { a, .. } => a.len(),
    };
    let memory_kib = peak_kib.zip(before).map(|(peak, before)| peak.saturating_sub(before));
    let seconds = Spread::of(seconds).median;
    let (name, value, gap) = (name.to_owned(), solved.value, solved.gap);
    Ok(Case { name, n, seconds, memory_kib, peak_kib, value, gap })
}

/// Has the problem solved by a process of its own.
pub(crate) fn spawn(name: &str, hist: Option<&Path>, threads: u16) -> Result<Case> {
    let program: PathBuf = std::env::current_exe().context("where is this program?")?;
    let mut command = Command::new(program);
    command.args(["transport", "--json", "--case", name, "--threads", &threads.to_string()]);
    if let Some(folder) = hist {
        command.arg("--hist").arg(folder);
    }
    let done = command.output().with_context(|| format!("cannot start a process for {name}"))?;
    let complaint = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{name}: {}", complaint.trim_end());
    serde_json::from_slice(&done.stdout).with_context(|| format!("{name}: not an answer"))
}
