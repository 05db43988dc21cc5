//! Figures: drawings with a name.

use super::html::Html;

/// A named figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// File name without its ending.
    pub name: String,
    /// The drawing.
    pub svg: Html,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, svg: Html) -> Self {
        Self { name: name.into(), svg }
    }
}

/// Moves the places of a row of panels: left edges and common width.
pub(crate) fn columns(left: f64, right: f64, gap: f64, n: usize) -> (Vec<f64>, f64) {
    let width = (right - left - gap * (n as f64 - 1.0)) / n as f64;
    ((0..n).map(|k| left + k as f64 * (width + gap)).collect(), width)
}
