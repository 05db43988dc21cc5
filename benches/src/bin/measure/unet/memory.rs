//! How much memory an item takes, in a process of its own.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::machine::status;

/// Times that the work is done: memory that is kept from one to the next counts as well.
const TIMES: usize = 3;

/// Peak of the resident memory above what this process holds now, in KiB; none where the kernel keeps no
/// such account.
pub(crate) fn of(mut work: impl FnMut() -> Result<()>) -> Result<Option<u64>> {
    // What came before may have needed more: the peak is counted from here on.
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        return Ok(None);
    }
    let before = status("VmRSS");
    (0..TIMES).try_for_each(|_| work())?;
    Ok(status("VmHWM").zip(before).map(|(peak, before)| peak.saturating_sub(before)))
}

/// That of the item `key`, in a new process.
pub(crate) fn spawn(key: &str, threads: u16) -> Result<Option<u64>> {
    let program = std::env::current_exe().context("where is this program?")?;
    let threads = threads.to_string();
    let done = Command::new(program)
        .args(["unet", key, "--memory", "--json", "--threads", &threads])
        .output()
        .with_context(|| format!("cannot start a process for {key}"))?;
    let complaint = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{key}: {}", complaint.trim_end());
    let answer: Value =
        serde_json::from_slice(&done.stdout).with_context(|| format!("{key}: not an answer"))?;
    Ok(answer["memory_kib"].as_u64())
}
