//! `check --cuda`: the feature builds, links and passes clippy, on a machine without a device.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::{Toolkit, carry, value};
use crate::{binary, cargo};

/// The feature in every package that has it.
const FEATURES: &str =
    "sde-core/cuda,score-nets/cuda,fp-residual/cuda,experiments/cuda,benches/cuda";

/// `check --cuda [--carry DIR]`.
pub(crate) fn run(words: &[String]) -> Result<ExitCode> {
    let (mut cuda, mut dir) = (false, None::<PathBuf>);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match (word.as_str(), word.strip_prefix("--carry=")) {
            ("--cuda", _) => cuda = true,
            ("--carry", _) => dir = Some(value("--carry", words.next())?),
            (_, Some(path)) => dir = Some(PathBuf::from(path)),
            _ => bail!("check knows --cuda and --carry DIR, not `{word}`"),
        }
    }
    ensure!(cuda, "check needs --cuda: everything else is checked by `cargo xtask test`");
    let start = Instant::now();
    let toolkit = Toolkit::find(false)?;
    // One selection for both: another one has other features, and candle's kernels are compiled once more.
    let selection = ["--workspace", "--exclude", "xtask", "--features", FEATURES];
    let mut clippy = toolkit.cargo()?;
    clippy.args(["clippy", "--release", "--all-targets"]).args(selection);
    clippy.args(["--", "--deny", "warnings"]);
    if cargo::status(&mut clippy)? != ExitCode::SUCCESS {
        return Ok(ExitCode::FAILURE);
    }
    // What clippy cannot see: that everything links.
    let program = binary::EXPERIMENT.build(&mut toolkit.cargo()?, &selection)?;
    eprintln!("check: the feature cuda builds: {}", program.display());
    if let Some(dir) = dir {
        carry::pack(&toolkit, &program, &dir)?;
    }
    eprintln!("check: {} s", start.elapsed().as_secs());
    Ok(ExitCode::SUCCESS)
}
