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
mod outcome;
mod poisson;
mod search;
mod smooth;
mod spline;

pub use cells::CellMasses;
pub use divergence::{CellDivergences, OnCells};
pub use outcome::{BracketOptions, W2Bracket};
