//! Figures, tables and self-contained pages; knows nothing of what is in them.
//!
//! - [`Axis`], [`Panel`], [`Grid`]: charts in data coordinates; margins, shared axes and the places of
//!   names are found from what is drawn. [`Svg`] is what they are drawn with.
//! - [`Figure`]: a named drawing, in the page as SVG and beside it as PNG, the same on every machine.
//! - [`Table`], [`Cell`]: numbers with their standard errors, as HTML and as CSV.
//! - [`Sheet`]: a page as a list of blocks. HTML is made by [`html!`](maud::html), which escapes
//!   whatever is not markup; a page loads nothing and holds no script.
//! - [`digits`], [`with_error`], [`duration`], [`list`]: numbers and lists in words.
//!
//! ```
//! use report::{Axis, Foot, Grid, Head, Line, Panel, Sheet, Table, html};
//! let points = vec![(1.0, 0.5), (10.0, 0.05), (100.0, 0.005)];
//! let panel = Panel::new(
//!     Axis::log_around(points.iter().map(|p| p.0), "steps"),
//!     Axis::log_around(points.iter().map(|p| p.1), "error"),
//! );
//! let figure = Grid::row(vec![panel.line(Line::new("Euler", "#2563eb", points.clone()))])
//!     .width(560.0)
//!     .figure("error", "Error against steps");
//! assert!(figure.png()?.starts_with(b"\x89PNG"));
//! let mut sheet = Sheet::new("First order", html! { "Ten times the steps, a tenth of the error." });
//! sheet.figure(figure, html! { "Both axes logarithmic." });
//! sheet.table(
//!     Table::new("errors", 0, &["steps", "error"])
//!         .rows(points.iter().map(|(n, e)| vec![report::short(*n).into(), report::digits(*e).into()])),
//! );
//! let page = sheet.html(&Head::default(), &Foot::default()).into_string();
//! assert!(page.contains("<figure id=\"error\">"));
//! # Ok::<(), report::Error>(())
//! ```

mod axis;
mod colour;
mod error;
mod grid;
mod legend;
mod number;
mod page;
mod panel;
mod raster;
mod svg;
mod table;

pub use axis::{Axis, Scale};
pub use colour::{GREY, GRID, INK, Map, PALETTE, RULE, ordered, palette};
pub use error::{Error, Result};
pub use grid::{Figure, Grid};
pub use legend::Key;
pub use maud::{Markup, html};
pub use number::{DASH, digits, duration, grouped, list, maybe, short, with_error};
pub use page::{Block, Foot, Head, Sheet};
pub use panel::{Dots, Line, Panel};
pub use raster::{bar_png, heat_png};
pub use svg::{Anchor, Mark, Point, Stroke, Svg, Text};
pub use table::{Cell, Columns, Kind, Row, Table};
