//! Losses on withheld rows along a training.

use serde::{Deserialize, Serialize};

/// Widths of the averages of the weights, in shares of the training (EDM2's power functions).
pub(super) const AVERAGES: [f64; 3] = [0.05, 0.1, 0.2];

/// Losses at a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Point {
    pub(super) step: u64,
    /// Loss on withheld rows: of the weights as they are, and of each average.
    #[serde(with = "crate::number")]
    pub(super) validation: Vec<f64>,
    /// Seconds of training so far.
    #[serde(with = "crate::number")]
    pub(super) seconds: f64,
}

/// Step and place of the smallest loss on withheld rows.
pub(super) fn best(curve: &[Point]) -> Option<(u64, usize, f64)> {
    let all = curve
        .iter()
        .flat_map(|p| p.validation.iter().enumerate().map(|(place, loss)| (p.step, place, *loss)));
    all.filter(|(_, _, loss)| loss.is_finite()).min_by(|a, b| a.2.total_cmp(&b.2))
}
