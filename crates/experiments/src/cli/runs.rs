//! `run`, `train`, `report`, `cite`: experiments and their folders.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::Output;
use crate::run::{Outcome, Registry};

/// Prints how a run ended.
pub(super) fn finish(outcome: &Outcome, output: &Output) -> Result<u8> {
    output.emit(outcome, &outcome.to_string())?;
    Ok(outcome.exit_code())
}

pub(super) fn cite(run: &Path, registry: &Registry, output: &Output) -> Result<()> {
    let found = registry.cite(run)?;
    let entries: Vec<&str> = found.iter().map(|c| c.bibtex).collect();
    output.emit(&json!({"references": found}), &entries.join("\n\n"))
}
