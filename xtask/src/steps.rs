//! The commands of development: tests, documentation.

use crate::{cargo, summary, tidy};
use anyhow::{Context, Result};
use std::process::{Command, ExitCode};

/// Layering and policy, format, clippy, then the tests, which come last so that the output closes
/// with their summary.
///
/// `ci` refuses a `Cargo.lock` that does not match the manifests, and closes with the last result of the test
/// runner.
pub(crate) fn test(words: &[String], ci: bool) -> Result<ExitCode> {
    let locked: &[&str] = if ci { &["--locked"] } else { &[] };
    let slow = words.first().is_some_and(|word| word == "--slow");
    let words = if slow { &words[1..] } else { words };
    let mut tests = cargo::cargo();
    tests.arg("test").args(packages(words)).args(locked).args(words);
    if slow {
        eprintln!("== slow tests");
        return summary::of(tests.args(["--", "--include-ignored", "slow_"]), ci);
    }
    if tidy()? != ExitCode::SUCCESS {
        return Ok(ExitCode::FAILURE);
    }
    let mut format = cargo::cargo();
    format.args(["fmt", "--all", "--check"]);
    let mut clippy = cargo::cargo();
    clippy.args(["clippy", "--workspace", "--all-targets"]).args(locked);
    clippy.args(["--", "--deny", "warnings"]);
    for (name, command) in [("format", &mut format), ("clippy", &mut clippy)] {
        let code = step(name, command)?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    eprintln!("== tests");
    summary::of(&mut tests, ci)
}

/// Holds the layer table and the policy against the working tree.
pub(crate) fn tidy() -> Result<ExitCode> {
    let found = tidy::violations()?;
    for violation in &found {
        eprintln!("tidy: {violation}");
    }
    match found.len() {
        0 => eprintln!("tidy: ok"),
        n => eprintln!("tidy: {n} violation{}", if n == 1 { "" } else { "s" }),
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// API documentation with the KaTeX header.
///
/// The path is absolute: rustdoc runs in the folder of each package, also of those outside the
/// workspace, so that a relative one in `.cargo/config.toml` breaks `cargo doc`.
pub(crate) fn doc(words: &[String]) -> Result<ExitCode> {
    let header = cargo::root().join("docs/theme/head.hbs");
    let flags = ["--html-in-header".to_owned(), header.to_string_lossy().into_owned()];
    let mut command = cargo::cargo();
    command.args(["doc", "--no-deps"]).args(packages(words)).args(words);
    cargo::status(command.env("CARGO_ENCODED_RUSTDOCFLAGS", flags.join("\u{1f}")))
}

/// The mdBook, into `docs/book`.
pub(crate) fn book() -> Result<ExitCode> {
    let mut command = Command::new("mdbook");
    command.arg("build").arg(cargo::root().join("docs"));
    cargo::status(&mut command).context("the book needs mdbook: cargo install mdbook --locked")
}

/// All packages, unless the words choose some.
fn packages(words: &[String]) -> &'static [&'static str] {
    let chosen = |word: &String| word.starts_with("-p") || word.starts_with("--package");
    if words.iter().any(chosen) { &[] } else { &["--workspace"] }
}

fn step(name: &str, command: &mut Command) -> Result<ExitCode> {
    eprintln!("== {name}");
    let code = cargo::status(command)?;
    if code != ExitCode::SUCCESS {
        eprintln!("== {name} failed");
    }
    Ok(code)
}
