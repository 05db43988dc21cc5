//! The figures of the report, each a drawing of its own.

mod densities;
mod gap;
mod losses;
mod residual;
mod timings;
mod trajectories;

use anyhow::Result;

use super::data::ReportData;
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

/// Every figure the data allow, in the order of the page.
///
/// # Errors
/// When a picture cannot be encoded.
pub(crate) fn all(data: &ReportData) -> Result<Vec<Figure>> {
    let mut figures = vec![gap::figure(data)];
    for dataset in data.results.datasets() {
        figures.push(densities::figure(data, dataset)?);
    }
    figures.push(residual::against_w2(data));
    figures.push(residual::against_dsm(data));
    figures.extend(losses::figure(data));
    for dataset in data.results.datasets() {
        figures.extend(trajectories::figure(data, dataset)?);
    }
    figures.push(timings::figure(data));
    Ok(figures)
}

/// A weight as it is written in text: `0`, `0.1`, `10`.
pub(crate) fn weight_name(w_r: f64) -> String {
    super::axes::short(w_r)
}

/// Moves the places of a row of panels: left edges and common width.
pub(crate) fn columns(left: f64, right: f64, gap: f64, n: usize) -> (Vec<f64>, f64) {
    let width = (right - left - gap * (n as f64 - 1.0)) / n as f64;
    ((0..n).map(|k| left + k as f64 * (width + gap)).collect(), width)
}
