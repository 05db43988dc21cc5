//! Closing the gap without touching the SDE: a second potential that carries the probability-flow ODE onto the density of
//! the reverse SDE.
//!
//! Let `p_S` be the density of the reverse SDE of a learned potential `phi` and `r = log p_S - phi`. The two samplers move
//! with velocities that differ by `(g^2/2) grad r`, so the ODE of the score `s - grad r` has the density `p_S` at all times:
//! the gap is closed, and the SDE is what it was. `grad r` is a conditional expectation along the SDE's own paths
//! ([`GapGradient`]), which a second, small network learns by regression (`CorrectionMatching`).

#[cfg(feature = "networks")]
mod data;
mod flow;
mod gradient;
#[cfg(feature = "networks")]
mod implicit;
#[cfg(feature = "networks")]
mod matching;
#[cfg(feature = "networks")]
mod network;
mod paths;

#[cfg(feature = "networks")]
pub use data::{CorrectionData, PathLevel};
pub use flow::CorrectedFlow;
pub use gradient::{GapGradient, prior_mismatch};
#[cfg(feature = "networks")]
pub use implicit::ImplicitCorrection;
#[cfg(feature = "networks")]
pub use matching::CorrectionMatching;
#[cfg(feature = "networks")]
pub use network::{correction_config, residual_gradient, without_correction};
pub use paths::{PathStates, gap_paths};
