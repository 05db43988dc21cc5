//! The report: figures, tables and one self-contained page, from the files of a run.

pub mod data;
mod figures;
mod headline;
mod page;
mod tables;

pub use data::ReportData;

use anyhow::Result;

use crate::report::{Figure, Html};

/// A finished report, still in memory.
#[derive(Clone, Debug)]
pub struct Report {
    /// The page.
    pub html: Html,
    /// The figures, each an SVG.
    pub figures: Vec<Figure>,
}

/// Draws every figure and writes the page.
///
/// # Errors
/// When a picture cannot be encoded.
pub fn build(data: &ReportData) -> Result<Report> {
    let figures = figures::all(data)?;
    let html = page::html(data, &figures);
    Ok(Report { html, figures })
}
