//! Builds a binary of the workspace and hands the command line over to it.

use crate::cargo;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// A binary, and the package it is in.
pub(crate) struct Binary {
    package: &'static str,
    name: &'static str,
}

/// Configured runs and whatever belongs to them.
pub(crate) const EXPERIMENT: Binary = Binary { package: "experiments", name: "experiment" };

/// Fixed work, timed here and in other software.
pub(crate) const MEASURE: Binary = Binary { package: "benches", name: "measure" };

impl Binary {
    /// Builds it in release, then becomes it (on Unix) or waits for it.
    ///
    /// Everything the build says goes to standard error: standard output is the command's own.
    pub(crate) fn run(&self, words: &[String]) -> Result<ExitCode> {
        let binary = self.build(&mut cargo::cargo(), &[])?;
        hand_over(Command::new(&binary).args(words))
    }

    /// Builds it in release by a cargo command with more words; its path.
    pub(crate) fn build(&self, cargo: &mut Command, words: &[&str]) -> Result<PathBuf> {
        let output = cargo
            .args(["build", "--release", "--package", self.package, "--bin", self.name])
            .args(words)
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start cargo build")?;
        anyhow::ensure!(output.status.success(), "the {} binary does not build", self.name);
        self.executable(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| format!("cargo build names no `{}` binary", self.name))
    }

    /// Its path among cargo's messages, one JSON object a line.
    fn executable(&self, messages: &str) -> Option<PathBuf> {
        messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| message["target"]["name"] == self.name)
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
    }
}

/// Replaces this process, so that signals and the exit code are the binary's own.
pub(crate) fn hand_over(command: &mut Command) -> Result<ExitCode> {
    let program = command.get_program().to_string_lossy().into_owned();
    become_it(command).with_context(|| format!("cannot start {program}"))
}

#[cfg(unix)]
fn become_it(command: &mut Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    Err(command.exec().into())
}

#[cfg(not(unix))]
fn become_it(command: &mut Command) -> Result<ExitCode> {
    Ok(cargo::code(command.status()?))
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
        let found = Some(PathBuf::from("/t/release/experiment"));
        assert_eq!(EXPERIMENT.executable(messages), found);
        assert_eq!(EXPERIMENT.executable("not json"), None);
        assert_eq!(MEASURE.executable(messages), None);
    }
}
