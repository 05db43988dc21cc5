//! Integration tests of residuals, estimators and the penalty.

mod bounds;
mod bounds_of_paths;
#[cfg(feature = "networks")]
mod common;
#[cfg(feature = "networks")]
mod estimators;
mod fokker_planck;
mod identities;
#[cfg(feature = "networks")]
mod penalties;
#[cfg(feature = "networks")]
mod probed;
#[cfg(feature = "networks")]
mod residuals;
