//! The report: figures, tables and one self-contained page, from the files of a run.

pub(crate) mod axes;
pub(crate) mod colormap;
pub mod data;
mod figures;
mod headline;
pub(crate) mod html;
mod page;
pub(crate) mod plot;
pub(crate) mod raster;
pub(crate) mod sheet;
pub(crate) mod svg;
pub(crate) mod tables;

pub use data::ReportData;
pub use figures::Figure;
pub(crate) use figures::columns;
pub use html::Html;
pub use page::duration;

use anyhow::Result;

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

/// A figure as PNG, at twice its size.
///
/// # Errors
/// When the drawing cannot be rendered.
pub fn png(figure: &Figure) -> Result<Vec<u8>> {
    raster::render_png(&figure.svg, 2.0)
}
