//! The command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use score_nets::fused::Isa;
use serde::Serialize;

use crate::quiet::Quiet;
use crate::work::TRAINING;
use crate::{cliffs, composite, overhead, own, peers, transport, unet};

/// Time a fixed piece of work: the published network, trained for a moment, in f32 on the CPU
#[derive(Debug, Parser)]
#[command(name = "measure", max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Example:\n  measure train-step --json")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Loss and gradients of all parameters: score matching, without and with the residual
    TrainStep(Options),
    /// 50 000 particles through 200 Euler-Maruyama steps
    Sample(Options),
    /// The training steps under diverging weights, saturated activations and huge inputs
    Cliffs(Options),
    /// What every method costs by itself, beside one evaluation of the network
    Overhead(Options),
    /// Exact transport: how time and memory grow, and beside POT and SciPy
    Transport(transport::Args),
    /// Convolutions and U-Nets, time and memory, alone and beside PyTorch
    Unet(unet::Args),
    /// Training steps made of tensor operations, alone and beside PyTorch
    Composite(composite::Args),
    /// All of it beside PyTorch and JAX, which must first compute the same
    Peers(peers::Args),
}

/// What every command is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Threads to compute with
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: u16,
    /// Rounds; each times every item once, after one round that is not counted
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,
    /// Instruction set of the hand-written kernels: amx, avx512, avx2 or portable (default: the first
    /// of these that the machine has)
    #[arg(long, value_name = "I")]
    isa: Option<Isa>,
    /// On shared cores: take a measurement again while a probe before or after it is slow, until this
    /// many minutes went into that
    #[arg(long, value_name = "MINUTES")]
    quiet: Option<u16>,
}

/// What the commands that need the network are asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Weights of the published network (default: trained anew for 300 steps)
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) model: Option<PathBuf>,
}

impl std::ops::Deref for Options {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.common
    }
}

impl Options {
    /// Whose weights are used, in words.
    pub(crate) fn weights(&self) -> String {
        match &self.model {
            Some(path) => path.display().to_string(),
            None => format!("trained for {TRAINING} steps"),
        }
    }
}

impl Common {
    /// Chooses the instruction set and starts the threads.
    pub(crate) fn start(&self) -> Result<()> {
        if let Some(isa) = self.isa {
            isa.choose()?;
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads.into())
            .start_handler(|_| score_nets::fused::flush_denormals())
            .build_global()
            .context("cannot start the threads")
    }

    /// What watches over the measurements, where it is asked for.
    pub(crate) fn quiet(&self) -> Result<Option<Quiet>> {
        self.quiet
            .map(|minutes| Quiet::new(Duration::from_secs(60 * u64::from(minutes))))
            .transpose()
    }

    /// An error where `--quiet` is asked of something that takes no turns: it would do nothing.
    pub(crate) fn refuse_quiet(&self, what: &str) -> Result<()> {
        match self.quiet {
            Some(minutes) => bail!("--quiet {minutes}: {what} takes nothing again"),
            None => Ok(()),
        }
    }

    /// Prints a result, once: as one JSON object, or as text.
    pub(crate) fn print(&self, result: &impl Serialize, text: &str) -> Result<()> {
        let text = if self.json { serde_json::to_string(result)? } else { text.trim_end().into() };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")
            .and_then(|()| out.flush())
            .context("cannot write to standard output")
    }
}

pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::TrainStep(options) => own::train_step(&options),
        Command::Sample(options) => own::sample(&options),
        Command::Cliffs(options) => cliffs::run(&options),
        Command::Overhead(options) => overhead::run(&options),
        Command::Transport(args) => transport::run(&args),
        Command::Unet(args) => unet::run(&args),
        Command::Composite(args) => composite::run(&args),
        Command::Peers(args) => peers::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_no_turns_refuses_to_be_quiet() {
        let of = |words: &[&str]| match Cli::parse_from([&["measure"], words].concat()).command {
            Command::Overhead(options) => overhead::run(&options),
            Command::Transport(args) => transport::run(&args),
            _ => Ok(()),
        };
        for (words, what) in [
            (&["overhead", "--quiet", "1"][..], "overhead"),
            (&["transport", "--quiet", "1"], "transport without --peers"),
        ] {
            let error = of(words).expect_err(what).to_string();
            assert_eq!(error, format!("--quiet 1: {what} takes nothing again"));
        }
    }
}
