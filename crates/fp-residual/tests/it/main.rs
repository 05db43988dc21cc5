//! Integration tests of residuals, estimators and the penalty.

mod common;
mod estimators;
mod identities;
mod penalties;
mod probed;
mod residuals;
