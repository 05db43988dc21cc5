//! Where the workspace is, and how its commands are spawned.

use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};

/// The workspace root: the folder above this crate.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// The cargo that started this program, or the one on the PATH, in the workspace root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command to its end and gives its exit code.
pub(crate) fn status(command: &mut Command) -> Result<ExitCode> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    Ok(code(status))
}

/// The exit code of a finished process; 1 when a signal ended it.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    ExitCode::from(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1))
}

/// The output of `cargo metadata`, without the packages outside the workspace.
pub(crate) fn metadata() -> Result<serde_json::Value> {
    metadata_of(&["--no-deps"])
}

/// The output of `cargo metadata` with every package that any feature needs, fetched where it is not
/// there.
pub(crate) fn metadata_with_dependencies() -> Result<serde_json::Value> {
    metadata_of(&["--all-features"])
}

/// Where build output goes.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = metadata()?;
    let dir = metadata["target_directory"].as_str().map(PathBuf::from);
    dir.context("cargo metadata names no target folder")
}

fn metadata_of(words: &[&str]) -> Result<serde_json::Value> {
    let output = cargo()
        .args(["metadata", "--format-version", "1"])
        .args(words)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start cargo metadata")?;
    anyhow::ensure!(output.status.success(), "cargo metadata failed");
    serde_json::from_slice(&output.stdout).context("cargo metadata is not JSON")
}
