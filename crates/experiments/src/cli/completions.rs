//! `completions`: what a shell needs to complete command lines.

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use super::{Cli, Output};

/// Print the completions of a shell, to be sourced by it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  experiment completions bash > ~/.local/share/bash-completion/completions/experiment"
)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    pub(super) fn run(&self, output: &Output) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "experiment", &mut script);
        let script = String::from_utf8(script)?;
        output.emit(&json!({"shell": self.shell.to_string(), "script": script}), &script)
    }
}
