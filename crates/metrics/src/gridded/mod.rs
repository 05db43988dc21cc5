//! Distances between laws that are known by their masses on a regular grid, without samples.

mod bracket;
mod cells;
mod displaced;
mod divergence;
mod dual;
mod envelope;
mod line;
mod mixture;
mod nodes;
mod poisson;
mod search;
mod smooth;
mod spline;

pub use bracket::{BracketOptions, W2Bracket};
pub use cells::CellMasses;
pub use divergence::{CellDivergences, OnCells};
