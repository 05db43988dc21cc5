//! Standard output: one JSON object, or lines for people.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// Where a command's result goes.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Prints JSON when `json`, text otherwise.
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the result is printed as JSON.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Prints a line for people on standard error.
    pub fn note(self, line: &str) {
        // Nothing can be done about a reader who has gone.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Says that a file of results takes the place of another, where it does.
    pub fn replacing(self, path: &Path) {
        if path.is_file() {
            self.note(&format!("{} is replaced", path.display()));
        }
    }

    /// Prints a command's result, once: `value` as one JSON object, or `text`.
    ///
    /// # Errors
    /// When standard output is full; `ReaderGone` when it is a pipe that nobody reads.
    pub fn emit(self, value: &impl Serialize, text: &str) -> Result<()> {
        let line =
            if self.json { serde_json::to_string(value)? } else { text.trim_end().to_owned() };
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
            written => written.context("cannot write to standard output"),
        }
    }
}

/// Whoever read standard output has gone, as `head` does.
#[derive(Debug)]
pub(super) struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads standard output")
    }
}

impl std::error::Error for ReaderGone {}

/// Lays rows out in columns, the first row as a heading.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|c| width(c).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(s, &w)| format!("{s:w$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Six digits.
pub(super) fn number(value: f64) -> String {
    digits(value, 6)
}

/// Two digits, as error bars have.
pub(super) fn short(value: f64) -> String {
    digits(value, 2)
}

fn digits(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let exponent = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&exponent) {
        return format!("{value:.*e}", (digits - 1) as usize);
    }
    let text = format!("{value:.*}", (digits - 1 - exponent).max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}
