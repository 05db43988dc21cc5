//! The figures of the report, each a drawing of its own.

mod densities;
mod gap;
mod losses;
mod residual;
mod timings;
mod trajectories;

use anyhow::Result;

use super::data::ReportData;
use crate::report::Figure;
use crate::report::axes::short;

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
    short(w_r)
}
