//! Cells that give no figures: a network that diverged, samples that left the window.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use score_nets::Error as NetError;
use solvers::SolveError;

use super::cell::Cell;
use super::results::Failed;
use crate::atomic;

/// Figures that a cell has not, in words: an error of the cell alone.
#[derive(Clone, Debug)]
pub(super) struct NoFigures(pub(super) String);

impl std::fmt::Display for NoFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoFigures {}

/// Whether an error is of the numbers of one cell, and the others can go on: not one of files, of the
/// configuration or of the machine.
fn of_the_cell(error: &anyhow::Error) -> bool {
    let nets = matches!(
        error.downcast_ref::<NetError>(),
        Some(NetError::NonFinite { .. } | NetError::NoGradient { .. })
    );
    let solves = error
        .downcast_ref::<SolveError>()
        .is_some_and(|e| e.of_a_row() || matches!(e, SolveError::Model { .. }));
    nets || solves || error.is::<metrics::Error>() || error.is::<NoFigures>()
}

/// Where a failure is kept: it is a function of the configuration, so a resumed run does not look for
/// it again.
fn file(folder: &Path, cell: &Cell) -> PathBuf {
    folder.join(format!("samples/{}.failed.json", cell.name()))
}

/// The failure of a cell that an earlier session found.
pub(super) fn known(folder: &Path, cell: &Cell) -> Result<Option<Failed>> {
    let path = file(folder, cell);
    if !path.is_file() {
        return Ok(None);
    }
    let shown = path.display();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?;
    let failed = serde_json::from_str(&text);
    failed.map(Some).with_context(|| format!("{shown} is damaged: delete it to try the cell again"))
}

/// Keeps an error of a cell as its outcome; any other is handed back.
pub(super) fn keep(folder: &Path, cell: &Cell, error: anyhow::Error) -> Result<Failed> {
    if !of_the_cell(&error) {
        return Err(error);
    }
    let (dataset, w_r) = (cell.data.name().into(), cell.w_r);
    let recipe = if cell.contrast { "the recipe for contrast: " } else { "" };
    let failed = Failed { dataset, w_r, reason: format!("{recipe}{error:#}") };
    atomic::write(&file(folder, cell), &serde_json::to_vec_pretty(&failed)?)?;
    Ok(failed)
}
