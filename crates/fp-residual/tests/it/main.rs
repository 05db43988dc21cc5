//! Integration tests of residuals, estimators and the penalty.

mod bounds;
mod bounds_of_paths;
mod bowl;
#[cfg(feature = "networks")]
mod common;
#[cfg(feature = "networks")]
mod correction;
#[cfg(feature = "networks")]
mod estimators;
mod fokker_planck;
mod identities;
#[cfg(feature = "networks")]
mod penalties;
#[cfg(feature = "networks")]
mod probed;
#[cfg(feature = "networks")]
mod regularisers;
#[cfg(feature = "networks")]
mod residuals;
mod responses;
