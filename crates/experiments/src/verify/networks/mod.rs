//! `networks`: what other people's networks and losses give, one sub-folder a family.

mod objectives;
mod published;

use std::path::Path;

use super::case::Case;

/// Losses, weights and laws of the times.
pub(super) fn objectives(dir: &Path) -> Vec<Case> {
    objectives::cases(dir)
}

/// Networks with their derivatives.
pub(super) fn published(dir: &Path) -> Vec<Case> {
    published::cases(dir)
}
