//! The report: figures, tables and one self-contained page, from the files of a run.

pub mod data;
mod figures;
mod headline;
mod page;
mod tables;

pub use data::ReportData;

use anyhow::Result;

use crate::report::sheet::Sheet;

/// Draws every figure and lays out the page.
///
/// # Errors
/// When a picture cannot be encoded.
pub fn build(data: &ReportData) -> Result<Sheet> {
    Ok(page::sheet(data, &figures::all(data)?))
}
