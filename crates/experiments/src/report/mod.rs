//! Drawings, tables and pages, whatever is in them.

pub(crate) mod axes;
pub(crate) mod colormap;
mod figure;
pub(crate) mod html;
pub(crate) mod page;
pub(crate) mod plot;
pub(crate) mod raster;
pub(crate) mod sheet;
pub(crate) mod svg;

pub use figure::Figure;
pub(crate) use figure::columns;
pub use html::Html;
pub use page::duration;

use anyhow::Result;

/// A figure as PNG, at twice its size.
///
/// # Errors
/// When the drawing cannot be rendered.
pub fn png(figure: &Figure) -> Result<Vec<u8>> {
    raster::render_png(&figure.svg, 2.0)
}
