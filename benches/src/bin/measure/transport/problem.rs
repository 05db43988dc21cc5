//! The problems: pairs of keyed clouds, and pairs of published histograms.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array1, Array2};
use sde_core::Key;

/// Nodes an axis of the published histograms.
const NODES: usize = 64;
/// Half-width of the square they were binned on.
const HALF_WIDTH: f64 = 3.5;

/// What is transported.
pub(crate) enum Problem {
    /// Equal weights, squared Euclidean cost.
    Clouds { x: Array2<f64>, y: Array2<f64> },
    /// Two histograms on one grid, squared Euclidean cost.
    Grid { a: Array2<f64>, b: Array2<f64>, nodes: Array1<f64> },
}

/// An optimal value and what its certificate leaves open.
pub(crate) struct Solved {
    pub(crate) value: f64,
    pub(crate) gap: f64,
}

/// Families of pairs of clouds that exist at every size, and the largest that is worth the wait.
pub(crate) const FAMILIES: [(&str, usize); 6] = [
    ("uniform-2d", 100_000),
    ("mixture-2d", 100_000),
    ("checker-2d", 100_000),
    ("uniform-3d", 50_000),
    ("uniform-10d", 10_000),
    ("normal-10d", 10_000),
];

impl Problem {
    /// The problem called `name`: `FAMILY/N`, or `hist/NET/KIND-KIND` from the files in `hist`.
    pub(crate) fn named(name: &str, hist: Option<&Path>) -> Result<Self> {
        if let Some(pair) = name.strip_prefix("hist/") {
            let (net, kinds) = pair.split_once('/').with_context(|| format!("no pair: {name}"))?;
            let (a, b) = kinds.split_once('-').with_context(|| format!("no pair: {name}"))?;
            let folder = hist.context("no folder of histograms was given")?;
            return Ok(Self::Grid {
                a: histogram(folder, net, a)?,
                b: histogram(folder, net, b)?,
                nodes: Array1::linspace(-HALF_WIDTH, HALF_WIDTH, NODES),
            });
        }
        let (family, n) = name.split_once('/').with_context(|| format!("no size: {name}"))?;
        let n = n.parse().with_context(|| format!("no size: {name}"))?;
        let (x, y) = match family {
            "uniform-2d" => (uniforms(1, n, 2), uniforms(2, n, 2)),
            "uniform-3d" => (uniforms(1, n, 3), uniforms(2, n, 3)),
            "uniform-10d" => (uniforms(1, n, 10), uniforms(2, n, 10)),
            "normal-10d" => (normals(1, n, 10), 1.1 * normals(2, n, 10)),
            "mixture-2d" => (mixture(1, n), mixture(2, n) + 0.1 * normals(5, n, 2) + 0.3),
            "checker-2d" => (checker(1, n), checker(2, n) + 0.15 * normals(5, n, 2)),
            other => bail!("no family of clouds is called {other}"),
        };
        Ok(Self::Clouds { x, y })
    }

    /// Solves it exactly.
    pub(crate) fn solve(&self) -> Result<Solved> {
        Ok(match self {
            Self::Clouds { x, y } => {
                let found = metrics::w2(x.view(), y.view())?;
                Solved { value: found.primal, gap: found.gap() }
            }
            Self::Grid { a, b, nodes } => {
                let found = metrics::histogram_w2(a.view(), b.view(), nodes.view(), nodes.view())?;
                Solved { value: found.squared, gap: found.gap() }
            }
        })
    }
}

/// The table in `folder` of a kind (`truth`, `ode`, `sde`) for a net such as `blob_1.0`.
fn histogram(folder: &Path, net: &str, kind: &str) -> Result<Array2<f64>> {
    let name = match kind {
        "truth" => {
            let (set, _) = net.split_once('_').with_context(|| format!("no net: {net}"))?;
            format!("weights_truth_64_3000000_{set}.npy")
        }
        _ => format!("weights_{kind}_64_3000000_100000_800_{net}.npy"),
    };
    let path = folder.join(name);
    let flat: Array1<f64> =
        ndarray_npy::read_npy(&path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(flat.len() == NODES * NODES, "{}: {} weights", path.display(), flat.len());
    Ok(flat.into_shape_with_order((NODES, NODES))?)
}

fn uniforms(seed: u64, n: usize, d: usize) -> Array2<f64> {
    let mut values = Array2::zeros((n, d));
    values.as_slice_mut().into_iter().for_each(|v| Key::root(seed).fill_uniforms(0, v));
    values
}

fn normals(seed: u64, n: usize, d: usize) -> Array2<f64> {
    let mut values = Array2::zeros((n, d));
    values.as_slice_mut().into_iter().for_each(|v| Key::root(seed).fill_normals(0, v));
    values
}

/// Eight normals of standard deviation 0.25 on a circle of radius 2.
fn mixture(seed: u64, n: usize) -> Array2<f64> {
    let mut points = 0.25 * normals(seed, n, 2);
    for (mut point, u) in points.rows_mut().into_iter().zip(uniforms(seed + 10, n, 1)) {
        let (sin, cos) = ((8.0 * u).floor() * std::f64::consts::FRAC_PI_4).sin_cos();
        point[0] += 2.0 * cos;
        point[1] += 2.0 * sin;
    }
    points
}

/// Uniform on the dark squares of a 4 x 4 board of side 4.
fn checker(seed: u64, n: usize) -> Array2<f64> {
    let mut points = uniforms(seed, n, 2);
    for (mut point, u) in points.rows_mut().into_iter().zip(uniforms(seed + 10, n, 1)) {
        let square = (8.0 * u).floor();
        let row = (square / 2.0).floor();
        point[0] += 2.0 * (square % 2.0) + row % 2.0;
        point[1] += row;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_exists_and_is_solved() {
        for (family, _) in FAMILIES {
            let problem = Problem::named(&format!("{family}/40"), None).expect(family);
            let found = problem.solve().expect(family);
            assert!(found.value > 0.0 && found.gap.abs() < 1e-12 * found.value, "{family}");
        }
        for name in ["uniform-2d", "uniform-2d/x", "other/3", "hist/blob_0.0/ode-truth"] {
            assert!(Problem::named(name, None).is_err(), "{name}");
        }
    }
}
