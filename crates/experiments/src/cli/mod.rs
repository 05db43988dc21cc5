//! The command line: a file for most commands, `--json` and one-line errors everywhere.

mod bad_rows;
mod density;
mod device_check;
mod encode;
mod fit;
mod fitted;
mod list;
mod metric;
mod network;
mod options;
mod output;
mod points;
mod runs;
mod sample;
mod sampler_density;
mod steps;
mod summary;
mod verify;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use score_nets::fused::Isa;
use sde_core::shorten;
use serde_json::json;

use crate::run::{Registry, RunArgs};
use crate::signals;
pub use output::Output;
use output::ReaderGone;

/// Score-based diffusion through SDEs: train, sample, measure the ODE-SDE gap, report it.
#[derive(Debug, Parser)]
#[command(name = "experiment", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Example:\n  experiment run ode-sde-gap --preset quick")]
pub struct Cli {
    /// Print exactly one JSON object on standard output, everything else on standard error
    #[arg(long, global = true)]
    json: bool,
    /// Threads to compute with (default: one a core; at most 64, or four a core where that is more);
    /// the results do not depend on it
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Instruction set of the hand-written kernels: amx, avx512, avx2 or portable (default: the first
    /// of these that the machine has); the last bits of a network's results depend on it
    #[arg(long, global = true, value_name = "I")]
    isa: Option<Isa>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    /// Run an experiment: train, sample, measure, report
    ///
    /// EXPERIMENT is a name (`experiment list experiments`) or a TOML file with a whole configuration.
    /// The run's folder holds its configuration, checkpoints, plots, `results.json` and `report.html`.
    /// A finished run is not repeated; an interrupted one continues with the same command.
    #[command(
        after_help = "Example:\n  experiment run ode-sde-gap --preset smoke --seed 1 --out runs/first"
    )]
    Run(RunArgs),
    Fit(fit::Args),
    /// Rebuild the plots and the page of a run from its files
    #[command(after_help = "Example:\n  experiment report runs/first")]
    Report {
        /// The run's folder
        #[arg(value_name = "RUN")]
        run: PathBuf,
    },
    /// Print the works that a run rests on, as BibTeX
    #[command(after_help = "Example:\n  experiment cite runs/first > run.bib")]
    Cite {
        /// The run's folder
        #[arg(value_name = "RUN")]
        run: PathBuf,
    },
    /// Train the networks of a configuration and stop there
    ///
    /// The configuration and the folder are those of `run`, which then continues with the rest.
    #[command(after_help = "Example:\n  experiment train crates/experiments/configs/smoke.toml")]
    Train(RunArgs),
    Sample(sample::Args),
    Residual(points::ResidualCommand),
    Logp(points::LogpCommand),
    Density(sampler_density::DensityCommand),
    Encode(encode::EncodeCommand),
    Decode(encode::DecodeCommand),
    Show(network::ShowCommand),
    Forward(network::ForwardCommand),
    Metric(metric::MetricCommand),
    DeviceCheck(device_check::Args),
    Verify(verify::Args),
    /// Print the completions of a shell, to be sourced by it
    #[command(
        after_help = "Example:\n  experiment completions bash > ~/.local/share/bash-completion/completions/experiment"
    )]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// The exit code of a process that a broken pipe ends: 128 and the number of its signal.
const READER_GONE: u8 = 141;

/// Runs one command line and turns its outcome into an exit code: 0, 1 for an error or a missed
/// reference, 2 for a command line that cannot be understood, 130 when interrupted (143 when
/// terminated), 141 when nobody reads standard output any more.
pub fn main(args: impl IntoIterator<Item = OsString>, registry: &Registry) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match dispatch(cli, registry) {
        Ok(code) => ExitCode::from(code),
        // As a process that a broken pipe ends: without a word.
        Err(error) if error.is::<ReaderGone>() => ExitCode::from(READER_GONE),
        Err(error) => {
            complain(&chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli, registry: &Registry) -> Result<u8> {
    signals::watch();
    if let Some(isa) = cli.isa {
        isa.choose()?;
    }
    rayon::ThreadPoolBuilder::new()
        .start_handler(|_| score_nets::fused::flush_denormals())
        .num_threads(threads(cli.threads))
        .build_global()
        .context("cannot start the threads")?;
    let output = Output::new(cli.json);
    match cli.command {
        Command::List(args) => list::list(&args, registry, &output).map(|()| 0),
        Command::Run(args) => runs::finish(&registry.run(&args)?, &output),
        Command::Fit(args) => args.run(registry, &output),
        Command::Report { run } => runs::finish(&registry.report(&run)?, &output),
        Command::Cite { run } => runs::cite(&run, registry, &output).map(|()| 0),
        Command::Train(args) => runs::finish(&registry.train(&args)?, &output),
        Command::Sample(args) => sample::sample(&args, &output).map(|()| 0),
        Command::Residual(args) => args.run(&output).map(|()| 0),
        Command::Logp(args) => args.run(&output).map(|()| 0),
        Command::Density(args) => args.run(&output).map(|()| 0),
        Command::Encode(args) => args.run(&output).map(|()| 0),
        Command::Decode(args) => args.run(&output).map(|()| 0),
        Command::Show(args) => args.run(&output).map(|()| 0),
        Command::Forward(args) => args.run(&output).map(|()| 0),
        Command::Metric(args) => metric::metric(&args, &output).map(|()| 0),
        Command::DeviceCheck(args) => args.run(&output),
        Command::Verify(args) => verify::verify(&args, &output),
        Command::Completions { shell } => completions(shell, &output).map(|()| 0),
    }
}

fn completions(shell: Shell, output: &Output) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "experiment", &mut script);
    let script = String::from_utf8(script)?;
    output.emit(&json!({"shell": shell.to_string(), "script": script}), &script)
}

/// The threads to start: those asked for, here or by `RAYON_NUM_THREADS`, or one a core. Far more than
/// cores compute nothing faster, and take minutes to start.
fn threads(asked: Option<u16>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let variable = || std::env::var("RAYON_NUM_THREADS").ok()?.parse().ok();
    let asked = asked.map(usize::from).or_else(variable).filter(|n| *n > 0);
    asked.unwrap_or(cores).min((4 * cores).max(64))
}

/// An error with its causes, each said once: some repeat theirs.
fn chain(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !said.ends_with(&cause) {
            said += if said.is_empty() { "" } else { ": " };
            said += &cause;
        }
    }
    said
}

/// One line on standard error; a reader who closed it is nobody's concern.
fn complain(message: &str) {
    let line: Vec<&str> = message.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let _ = writeln!(std::io::stderr(), "error: {}", shorten(&line.join(" ")));
}

/// Help and version go to standard output as they are; a mistake becomes one line.
fn usage(error: &clap::Error) -> ExitCode {
    let shows_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if shows_help {
        return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(READER_GONE) };
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        complain("no command given; `experiment --help` lists them");
        return ExitCode::from(2);
    }
    let text = error.render().to_string();
    let body = text.split("\n\nUsage:").next().unwrap_or(&text);
    let body = body.split("\n\nFor more information").next().unwrap_or(body);
    complain(body.trim_start_matches("error:").trim());
    ExitCode::from(2)
}
