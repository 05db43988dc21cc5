//! The tests' output, passed on as it comes, and what it comes to: how many ran, and why the others did not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::cargo;

/// Runs the tests and closes with the summary; where `runner_last` is set, the last result of the test runner comes
/// after it.
pub(crate) fn of(tests: &mut Command, runner_last: bool) -> Result<ExitCode> {
    let mut child = tests.stdout(Stdio::piped()).spawn().context("cannot start the tests")?;
    let output = child.stdout.take().context("the tests have no output")?;
    let (mut summary, mut out) = (Summary::default(), std::io::stdout().lock());
    // The last result seen, and the empty lines after it.
    let mut held = String::new();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("the output of the tests")?).into_owned();
        summary.take(&line);
        if !held.is_empty() && !line.trim().is_empty() {
            out.write_all(std::mem::take(&mut held).as_bytes())?;
        }
        if runner_last && (line.starts_with(RESULT) || !held.is_empty()) {
            held += &format!("{line}\n");
        } else {
            writeln!(out, "{line}")?;
        }
    }
    write!(out, "{}{held}", summary.text())?;
    out.flush()?;
    Ok(cargo::code(child.wait()?))
}

const RESULT: &str = "test result: ";

#[derive(Default)]
struct Summary {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Tests that did not run, by reason.
    reasons: BTreeMap<String, u64>,
}

impl Summary {
    fn take(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix(RESULT) {
            let count = |what: &str| {
                let before = counts.split_once(what).map_or("", |(before, _)| before);
                before.rsplit([' ', ';']).find_map(|word| word.parse::<u64>().ok()).unwrap_or(0)
            };
            self.passed += count(" passed");
            self.failed += count(" failed");
            self.ignored += count(" ignored");
        } else if let Some(reason) = reason(line) {
            *self.reasons.entry(reason.to_owned()).or_default() += 1;
        }
    }

    fn text(&self) -> String {
        let Self { passed, failed, ignored, .. } = self;
        let mut text = format!(
            "tests: {} ran, {failed} of them failed; {ignored} did not run\n",
            passed + failed
        );
        for (reason, count) in &self.reasons {
            text += &format!("{count:>5} did not run: {reason}\n");
        }
        text
    }
}

/// Why a test did not run: `test NAME ... ignored, REASON`, or of a runner with kinds `test [REASON] NAME ... ignored`.
fn reason(line: &str) -> Option<&str> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let given = outcome.strip_prefix("ignored")?;
    let kind = || Some(name.strip_prefix('[')?.split_once(']')?.0);
    Some(match given.strip_prefix(", ") {
        Some("slow") => "slow: cargo xtask test --slow",
        Some(reason) => reason,
        None => kind().unwrap_or("an example that is not compiled"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_add_up_and_reasons_are_counted() {
        let mut summary = Summary::default();
        for line in [
            "test a::b ... ok",
            "test a::slow_c ... ignored, slow",
            "test [the larger set is not here] d ... ignored",
            "test [the larger set is not here] e ... ignored",
            "test src/lib.rs - f (line 3) ... ignored",
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 1 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out",
        ] {
            summary.take(line);
        }
        let expected = "tests: 15 ran, 2 of them failed; 4 did not run\n    1 did not run: an example \
            that is not compiled\n    1 did not run: slow: cargo xtask test --slow\n    2 did not run: \
            the larger set is not here\n";
        assert_eq!(summary.text(), expected);
    }
}
