//! `transport`: exact transport, how it grows with the number of points, and beside POT and SciPy.

mod child;
mod compare;
mod growth;
mod problem;

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::cli::Common;
use crate::machine::Machine;

/// What is asked beside the usual.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Compare with POT and SciPy, which must first find the same values
    #[arg(long)]
    peers: bool,
    /// A Python with ot (POT), scipy and numpy
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Folder of the published 64 x 64 histograms; without it they are left out
    #[arg(long, value_name = "DIR")]
    hist: Option<PathBuf>,
    /// Largest number of points when growth is measured; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    largest: usize,
    /// Write the result to a file as well
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Solve one problem in this process and say what it took (as JSON)
    #[arg(long, value_name = "NAME", hide = true)]
    case: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.peers {
        args.common.refuse_quiet("transport without --peers")?;
    }
    args.common.start()?;
    if let Some(name) = &args.case {
        let case = child::solve(name, args.hist.as_deref())?;
        let text = format!("{}: {:.4} s, gap {:.1e}", case.name, case.seconds, case.gap);
        return args.common.print(&case, &text);
    }
    let compared = if args.peers { Some(compare::measure(args)?) } else { None };
    let growth = if args.largest > 0 { Some(growth::measure(args)?) } else { None };
    let machine = Machine::here();
    let parts =
        [compared.as_ref().map(|c| c.text(args)), growth.as_ref().map(growth::Growth::text)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let text = format!("{}\n\n{}", machine.in_words(args.common.threads), parts.join("\n"));
    let json = json!({
        "machine": machine,
        "threads": args.common.threads,
        "rounds": args.common.rounds,
        "compared": compared.map(|c| c.json()),
        "growth": growth.map(|g| g.json()),
    });
    if let Some(path) = &args.out {
        let text = if args.common.json { json.to_string() + "\n" } else { text.clone() };
        crate::peers::write_whole(path, &text)?;
    }
    args.common.print(&json, &text)
}
