//! `verify`: reference numbers of other implementations, recomputed.

use std::path::PathBuf;

use anyhow::Result;
use references::Family;

use super::Output;

/// Recompute reference numbers of other implementations and hold ours against them
///
/// `refs DIR` walks a folder with one sub-folder a family (schedules, gaussian, pfode, ot, solvers, recorded,
/// pinn, diffusers_tests, networks/unet, networks/adm, networks/objectives, networks/fid,
/// networks/bits_per_dim, networks/posterior; any subset of them) and prints a line a family: cases, passed, skipped with the
/// reason, and the worst error against its tolerance. Without it, the references of the repository. The exit
/// code is 1 when a case is missed or damaged.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  experiment verify\n  experiment verify refs ../shared/refs")]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Recompute every case below DIR
    #[command(after_help = "Example:\n  experiment verify refs ../shared/refs --json")]
    Refs {
        /// The folder with the families
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// How many failures are printed a family; all of them are in the JSON.
const SHOWN: usize = 5;

pub(super) fn verify(args: &Args, output: &Output) -> Result<u8> {
    let dir = match &args.what {
        Some(What::Refs { dir }) => dir.clone(),
        None => references::repository(),
    };
    let mut lines = Vec::new();
    let report = references::refs(&dir, |family| {
        if output.is_json() {
            output.note(&line(family));
        }
        lines.push(line(family));
    })?;
    let failed: usize = report.families.iter().map(|f| f.failed).sum();
    for family in &report.families {
        for failure in family.failures.iter().take(SHOWN) {
            lines.push(format!("missed {}/{}: {}", family.name, failure.case, failure.reason));
        }
        if family.failures.len() > SHOWN {
            let more = family.failures.len() - SHOWN;
            lines.push(format!("missed {more} more of {}", family.name));
        }
    }
    output.emit(&report, &lines.join("\n"))?;
    if failed > 0 {
        output.note(&format!("error: {failed} cases missed their reference"));
    }
    Ok(u8::from(failed > 0))
}

fn line(family: &Family) -> String {
    let mut line = format!("{:<20}", family.name);
    line += &format!("{:>4} cases, {:>4} passed", family.cases, family.passed);
    if family.failed > 0 {
        line += &format!(", {} FAILED", family.failed);
    }
    if let Some(worst) = &family.worst {
        line += &format!(", worst {:.1e} of {:.0e} ({})", worst.error, worst.tolerance, worst.case);
    }
    let skipped: usize = family.skipped.iter().map(|s| s.cases).sum();
    if skipped > 0 {
        let reasons: Vec<String> =
            family.skipped.iter().map(|s| format!("{} {}", s.cases, s.reason)).collect();
        line += &format!(", {skipped} skipped: {}", reasons.join("; "));
    }
    line
}
