//! Builds the `experiment` binary and hands the command line over to it.

use crate::cargo;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// The words that belong to the `experiment` binary.
pub(crate) const COMMANDS: &[&str] =
    &["run", "report", "train", "list", "sample", "residual", "logp", "metric", "verify"];

/// Builds `experiment` in release, then becomes it (on Unix) or waits for it.
///
/// Everything the build says goes to standard error: standard output is the command's own.
pub(crate) fn run(words: &[String]) -> Result<ExitCode> {
    let binary = build()?;
    let mut command = Command::new(&binary);
    command.args(words);
    hand_over(&mut command).with_context(|| format!("cannot start {}", binary.display()))
}

/// Replaces this process, so that signals and the exit code are the experiment's own.
#[cfg(unix)]
fn hand_over(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(command.exec().into())
}

#[cfg(not(unix))]
fn hand_over(command: &mut Command) -> Result<ExitCode> {
    Ok(cargo::code(command.status()?))
}

fn build() -> Result<PathBuf> {
    let output = cargo::cargo()
        .args(["build", "--release", "--package", "experiments", "--bin", "experiment"])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo build")?;
    anyhow::ensure!(output.status.success(), "the experiment binary does not build");
    executable(&String::from_utf8_lossy(&output.stdout))
        .context("cargo build names no `experiment` binary")
}

/// The path of the binary among cargo's messages, one JSON object a line.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "experiment")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_among_the_messages() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"name":"experiments"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"experiment"},"executable":"/t/release/experiment"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/experiment")));
        assert_eq!(executable("not json"), None);
    }
}
