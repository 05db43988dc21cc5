//! Where in place and time the gap comes about.

use std::path::Path;

use anyhow::{Context as _, Result};
use fp_residual::bounds::{Carried, TimeRule};
use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use super::known::Known;
use super::means::{mean, squares};

/// Times between which shares are told, of a horizon of 10.
const EDGES: [f64; 6] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

/// Shares of the energy up to the times of the maps, from the data on.
const MAPS: [f64; 4] = [0.1, 0.35, 0.6, 0.85];

/// What an interval of time contributes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Share {
    #[serde(with = "crate::number")]
    pub(super) from: f64,
    #[serde(with = "crate::number")]
    pub(super) to: f64,
    /// To `1/2 int g^2 E |grad r|^2 dt`.
    #[serde(with = "crate::number")]
    pub(super) energy: f64,
    /// To `E |X^S_0 - X^O_0|^2`: the part of the displacement made there, projected on the whole.
    #[serde(with = "crate::number")]
    pub(super) displacement: f64,
    /// To the bound with the Jacobian along paths.
    #[serde(with = "crate::number")]
    pub(super) jacobian: f64,
}

/// Shares of all intervals, and how far the integral of what is carried is from the displacements.
pub(super) fn shares(
    known: &Known,
    moved: &[Carried],
    apart: &Array2<f64>,
    kept: &[bool],
) -> (Vec<Share>, f64) {
    let times = known.rule.times();
    let weighted = |k: usize| &moved[k].moved * (0.5 * known.g_squared[k]);
    let mut whole = Array2::<f64>::zeros(apart.dim());
    for k in 1..times.len() {
        whole = whole + (weighted(k - 1) + weighted(k)) * (0.5 * (times[k] - times[k - 1]));
    }
    let total = mean(&squares(&whole), kept).value;
    // X^O - X^S is the integral.
    let off = mean(&squares(&(&whole + apart)), kept).value;
    let projected: Vec<f64> = (0..times.len())
        .map(|k| {
            let each = &weighted(k) * &whole;
            let rows: Vec<f64> = each.outer_iter().map(|row| row.sum()).collect();
            mean(&rows, kept).value
        })
        .collect();
    let energy: Vec<f64> =
        known.gap.iter().zip(&known.g_squared).map(|(gap, g2)| 0.5 * g2 * gap).collect();
    let jacobian: Vec<f64> = (0..times.len())
        .map(|k| 0.5 * known.g_squared[k] * mean(&squares(&moved[k].moved), kept).value.sqrt())
        .collect();
    let parts = [energy, projected, jacobian].map(|of| Running::new(&known.rule, &of));
    let horizon = times[times.len() - 1];
    let inner = EDGES.map(|edge| 0.1 * horizon * edge);
    let edges: Vec<f64> = [0.0].into_iter().chain(inner).chain([horizon]).collect();
    let share = |pair: &[f64]| {
        let of = |k: usize| parts[k].share(pair[0], pair[1]);
        Share { from: pair[0], to: pair[1], energy: of(0), displacement: of(1), jacobian: of(2) }
    };
    let closure = if total > 0.0 { (off / total).sqrt() } else { 0.0 };
    (edges.windows(2).map(share).collect(), closure)
}

/// An integral up to every time.
pub(super) struct Running {
    times: Vec<f64>,
    sums: Vec<f64>,
}

impl Running {
    pub(super) fn new(rule: &TimeRule, values: &[f64]) -> Self {
        Self { times: rule.times().to_vec(), sums: rule.running(values) }
    }

    /// Linear between times.
    fn up_to(&self, t: f64) -> f64 {
        let after = self.times.partition_point(|known| *known < t).clamp(1, self.times.len() - 1);
        let (a, b) = (self.times[after - 1], self.times[after]);
        let (from, to) = (self.sums[after - 1], self.sums[after]);
        from + (to - from) * ((t - a) / (b - a)).clamp(0.0, 1.0)
    }

    /// Over an interval.
    pub(super) fn between(&self, from: f64, to: f64) -> f64 {
        self.up_to(to) - self.up_to(from)
    }

    fn share(&self, from: f64, to: f64) -> f64 {
        let whole = self.sums[self.sums.len() - 1];
        if whole == 0.0 { 0.0 } else { self.between(from, to) / whole }
    }
}

/// Times of the maps: where such shares of the energy have been made, from the data on.
pub(super) fn map_times(known: &Known) -> Vec<usize> {
    let energy: Vec<f64> =
        known.gap.iter().zip(&known.g_squared).map(|(gap, g2)| g2 * gap).collect();
    let sums = known.rule.running(&energy);
    let whole = sums[sums.len() - 1];
    let mut found: Vec<usize> = MAPS
        .iter()
        .map(|share| sums.partition_point(|sum| *sum < share * whole).min(sums.len() - 1))
        .collect();
    found.dedup();
    found
}

/// `g^2/2 |grad r|^2 q` and `R` less its mean under the SDE, which no sampler sees, at the times of the maps, as
/// `attribution/NAME.npy`.
pub(super) fn keep(known: &Known, tiles: usize, path: &Path) -> Result<Vec<f64>> {
    let times = map_times(known);
    let maps: Vec<Vec<f64>> =
        times.iter().flat_map(|&k| [known.made(k), known.centred_residual(k)]).collect();
    write(&maps, tiles, path)?;
    Ok(times.into_iter().map(|k| known.rule.times()[k]).collect())
}

/// Values at all nodes, on the tiles, one map below the other.
pub(super) fn write(maps: &[Vec<f64>], tiles: usize, path: &Path) -> Result<()> {
    let side = tiles + 2;
    let mut rows = Array2::zeros((maps.len() * tiles, tiles));
    for (slot, values) in maps.iter().enumerate() {
        let all = Array2::from_shape_vec((side, side), values.clone())?;
        rows.slice_mut(s![slot * tiles..(slot + 1) * tiles, ..])
            .assign(&all.slice(s![1..=tiles, 1..=tiles]));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    Ok(crate::npy::write(path, rows.view())?)
}
