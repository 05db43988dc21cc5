//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use score_nets::fused::Isa;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Command {
    /// Score matching with the published network, without and with the residual: loss and gradients
    TrainStep,
    /// 50 000 particles of the published network through 200 Euler-Maruyama steps
    Sample,
    /// Train step and sampling together, beside PyTorch and JAX
    Peers,
    /// The train step under diverging weights, saturated activations and huge inputs
    Cliffs,
    /// Convolutions and U-Nets, time and memory; with --peers, beside PyTorch
    Unet,
    /// Train steps made of tensor operations; with --peers, beside PyTorch
    Composite,
    /// Exact transport: how time and memory grow; with --peers, beside POT and SciPy
    Transport,
}

/// Times fixed work turn by turn with other ways of doing it
#[derive(Debug, Parser)]
#[command(name = "measure", bin_name = "cargo xtask bench", disable_help_flag = true)]
#[command(after_help = "Example:\n  cargo xtask bench train-step --json")]
pub(crate) struct Options {
    /// What to measure
    #[arg(value_enum)]
    pub(crate) command: Command,
    /// Items of it: sgemm, dsm, dsm_fp, sample; conv28, unet28_step, ...; uniform-2d/2000, ... (default: all)
    #[arg(value_name = "ITEM")]
    items: Vec<String>,
    /// Compare with other software, which must first compute the same
    #[arg(long)]
    pub(crate) peers: bool,
    /// A Python that has the other software: torch, jax, diffusers, pot, scipy, numpy
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(crate) python: PathBuf,
    /// Print exactly one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the result to a file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Threads to compute with
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: u16,
    /// Rounds; each times every item once on every side, after one round that is not counted
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,
    /// Instruction set of the hand-written kernels: amx, avx512, avx2 or portable (default: the first
    /// of these that the machine has)
    #[arg(long, value_name = "I")]
    isa: Option<Isa>,
    /// On shared cores: repeat a measurement while a probe before or after it is slow, until this many
    /// minutes were spent on waiting and repeating
    #[arg(long, value_name = "MINUTES")]
    pub(crate) wait_until_idle: Option<u16>,
    /// Weights of the published network (default: trained anew for 300 steps)
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) model: Option<PathBuf>,
    /// `transport`: folder of the published 64 x 64 histograms; without it they are left out
    #[arg(long, value_name = "DIR")]
    pub(crate) hist: Option<PathBuf>,
    /// `transport`: largest number of points for which growth is measured
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) largest: usize,
    /// Print only the peak memory of one item, in KiB above what this process held before
    #[arg(long, value_name = "ITEM")]
    pub(crate) memory: Option<String>,
    /// Print help
    #[arg(long, short, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
}

impl Options {
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

    /// Whether other software takes part.
    pub(crate) fn beside_peers(&self) -> bool {
        self.peers || self.command == Command::Peers
    }

    /// The items that were asked for; empty for all.
    pub(crate) fn items(&self) -> Vec<&str> {
        match &self.memory {
            Some(item) => vec![item],
            None => self.items.iter().map(String::as_str).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// `cargo xtask bench COMMAND --help` prints the file, without building this binary.
    #[test]
    fn the_help_file_is_the_help() {
        let help = Options::command().render_long_help().to_string();
        let help: String = help.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        let file = include_str!("../../../help.txt");
        assert_eq!(help, file, "benches/help.txt should hold:\n{help}");
    }
}
