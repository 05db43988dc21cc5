//! `measure`: fixed work timed turn by turn with other ways of doing it: other software, other instruction
//! sets, the machine's product of two matrices. What only needs the time of our own code is a criterion bench.

mod cli;
mod compare;
mod idle;
mod machine;
mod peer;
mod report;
mod timing;
mod workload;
mod workloads;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;

use cli::Options;
use compare::Comparison;
use idle::Idle;
use report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Threads inherit the settings made here, so this comes before the first thread.
    score_nets::fused::prepare_process();
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    options.start()?;
    if let Some(item) = &options.memory {
        let mut tasks = workloads::of(options)?.into_tasks(options)?;
        let task = tasks.get_mut(item).with_context(|| format!("no item is called {item}"))?;
        return print(&format!("{}\n", json!(machine::peak_kib(task)?)));
    }
    let mut idle = Idle::new(options.wait_until_idle)?;
    let comparison = Comparison::measure(workloads::of(options)?, options, &mut idle)?;
    let report = Report::new(options, &comparison, idle.outcome());
    let text =
        if options.json { serde_json::to_string(&report.json)? + "\n" } else { report.text() };
    if let Some(path) = &options.out {
        score_nets::atomic::write(path, text.as_bytes())?;
    }
    print(&text)
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}
