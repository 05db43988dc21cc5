//! What is carried to a machine with a device and without Rust: programs, stripped and packed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Toolkit;
use super::wheels::said;

/// Packages and their tests that take a list of devices.
const TESTED: &[(&str, &str)] = &[("score-nets", "it"), ("score-nets", "networks")];

/// Packs the `experiment` program and the tests that take a list of devices into `dir`, for
/// `tests/on_gpu.sh`.
pub(super) fn pack(toolkit: &Toolkit, program: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    put(program, &dir.join("experiment"))?;
    for (package, name) in TESTED {
        put(&tests(toolkit, package, name)?, &dir.join(format!("tests-{package}-{name}")))?;
    }
    Ok(())
}

/// Integration tests of a package, built.
fn tests(toolkit: &Toolkit, package: &str, name: &str) -> Result<PathBuf> {
    let mut build = toolkit.cargo()?;
    build.args(["test", "--release", "--no-run", "--package", package, "--test", name]);
    build.args(["--features", "cuda", "--message-format=json-render-diagnostics"]);
    build.stderr(Stdio::inherit());
    let output = build.output().context("cannot start cargo test")?;
    ensure!(output.status.success(), "the tests of {package} do not build");
    let text = String::from_utf8_lossy(&output.stdout);
    let found =
        text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let found = found.filter(|message| {
        let id = message["package_id"].as_str().unwrap_or_default();
        message["target"]["name"] == name && id.contains(&format!("/{package}#"))
    });
    let mut paths = found.filter_map(|m| m["executable"].as_str().map(PathBuf::from));
    paths.next().with_context(|| format!("cargo names no tests of {package}"))
}

/// A program without its symbols, packed.
fn put(program: &Path, place: &Path) -> Result<()> {
    said(Command::new("strip").arg("-o").arg(place).arg(program))?;
    said(Command::new("gzip").args(["-9", "--force"]).arg(place))?;
    let packed = place.with_extension("gz");
    let size = fs::metadata(&packed).map_or(0, |file| file.len());
    eprintln!("check: {} ({:.1} MB)", packed.display(), size as f64 / 1e6);
    Ok(())
}
