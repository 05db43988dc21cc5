//! The figures of the report, each a drawing of its own.

mod densities;
mod gap;
mod losses;
mod residual;
mod timings;
mod trajectories;

pub(super) use densities::{bins_merged, densities};
pub(super) use gap::gap;
pub(super) use losses::losses;
pub(super) use residual::residual;
pub(super) use timings::timings;
pub(super) use trajectories::trajectories;

/// A weight as a title.
fn weight_title(w_r: f64) -> String {
    format!("w_{{R}} = {}", report::short(w_r))
}
