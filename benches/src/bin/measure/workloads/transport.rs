//! Exact transport between keyed clouds, and between published histograms.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use ndarray::{Array1, Array2, ArrayView, Dimension};
use sde_core::Key;
use serde_json::{Map, json};

use crate::cli::Options;
use crate::workload::{Item, Ours, Part, Spec, TRANSPORT, Task, Unit, Workload};

/// Nodes an axis of the published histograms.
const NODES: usize = 64;
/// Half-width of the square they were binned on.
const HALF_WIDTH: f64 = 3.5;

/// The largest distance of a cost from the lower bound that certifies it, relative to the cost.
const CERTIFIED: f64 = 1e-11;
/// Numbers of points for which growth is measured.
const SIZES: [usize; 7] = [1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

const CLOUDS: [&str; 6] = [
    "uniform-2d/2000",
    "uniform-2d/4000",
    "mixture-2d/2000",
    "mixture-2d/4000",
    "uniform-10d/2000",
    "normal-10d/2000",
];
const HISTOGRAMS: [&str; 4] = [
    "hist/blob_0.0/ode-truth",
    "hist/blob_10.0/ode-sde",
    "hist/circles2_0.0/sde-truth",
    "hist/circles2_10.0/ode-sde",
];

const PEERS: [Spec; 3] = [
    peer("pot", "POT emd2", &["--way", "emd2"]),
    peer("pot_lazy", "POT emd2_lazy", &["--way", "emd2_lazy"]),
    peer("scipy", "SciPy linear_sum_assignment", &["--way", "assignment"]),
];

const fn peer(key: &'static str, name: &'static str, flags: &'static [&'static str]) -> Spec {
    Spec { key, name, script: "transport_peer.py", flags, optional: false }
}

/// The problems that were asked for; by default those of the comparison with other software or, without
/// that, all families at growing sizes.
pub(crate) fn workload(options: &Options) -> Result<Workload> {
    let hist = options.hist.clone();
    let mut facts = Map::new();
    let mut names: Vec<String> = options.items().into_iter().map(str::to_owned).collect();
    if names.is_empty() && options.beside_peers() {
        names.extend(CLOUDS.map(str::to_owned));
        match &hist {
            Some(_) => names.extend(HISTOGRAMS.map(str::to_owned)),
            None => drop(facts.insert("histograms".into(), json!("left out, no --hist DIR"))),
        }
    } else if names.is_empty() {
        for (family, most) in FAMILIES {
            let sizes = SIZES.into_iter().filter(|&n| n <= most.min(options.largest));
            names.extend(sizes.map(|n| format!("{family}/{n}")));
        }
    }
    let item = |name: &String| {
        let size = name.split_once('/').and_then(|(_, n)| n.parse().ok());
        Item { size, ..Item::new(name, Unit::Ms).memory() }
    };
    let items = names.iter().map(item).collect();
    let ours = Ours::new("", "ours", move |item| task(item, hist.as_deref()).map(Some));
    Ok(Workload { peers: &PEERS, facts, ..Workload::new(items, vec![ours]) })
}

fn task(name: &str, hist: Option<&Path>) -> Result<Task> {
    let problem = Problem::named(name, hist)?;
    let arrays = problem.arrays()?;
    let (again, problem) = (problem.clone(), problem);
    let mut task = Task::new(move || again.solve())
        .result(move || Ok(vec![Part::new(TRANSPORT, "the cost", vec![problem.solve()?])]));
    task.inputs.arrays = arrays;
    task.memory_runs = 1;
    Ok(task)
}

/// What is transported, at the squared Euclidean cost.
#[derive(Clone)]
enum Problem {
    /// Clouds with equal weights.
    Clouds { x: Array2<f64>, y: Array2<f64> },
    /// Two histograms on one grid.
    Grid { a: Array2<f64>, b: Array2<f64>, nodes: Array1<f64> },
}

/// Families of pairs of clouds that exist at every size, and the largest size that is measured.
const FAMILIES: [(&str, usize); 6] = [
    ("uniform-2d", 100_000),
    ("mixture-2d", 100_000),
    ("checker-2d", 100_000),
    ("uniform-3d", 50_000),
    ("uniform-10d", 10_000),
    ("normal-10d", 10_000),
];

impl Problem {
    /// The problem called `name`: `FAMILY/N`, or `hist/NET/KIND-KIND` from the files in `hist`.
    fn named(name: &str, hist: Option<&Path>) -> Result<Self> {
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

    /// The optimal cost; an error where the dual bound does not certify it.
    fn solve(&self) -> Result<f64> {
        let (value, gap) = match self {
            Self::Clouds { x, y } => {
                let found = metrics::w2(x.view(), y.view())?;
                (found.primal, found.gap())
            }
            Self::Grid { a, b, nodes } => {
                let found = metrics::histogram_w2(a.view(), b.view(), nodes.view(), nodes.view())?;
                (found.squared, found.gap())
            }
        };
        ensure!(gap.abs() <= CERTIFIED * value, "the cost {value} is not certified: gap {gap:.1e}");
        Ok(value)
    }

    fn arrays(&self) -> Result<Vec<(String, Tensor)>> {
        fn array<D: Dimension>(name: &str, a: ArrayView<'_, f64, D>) -> Result<(String, Tensor)> {
            let values: Vec<f64> = a.iter().copied().collect();
            Ok((name.to_owned(), Tensor::from_vec(values, a.shape(), &Device::Cpu)?))
        }
        Ok(match self {
            Self::Clouds { x, y } => vec![array("x", x.view())?, array("y", y.view())?],
            Self::Grid { a, b, nodes } => {
                vec![array("a", a.view())?, array("b", b.view())?, array("nodes", nodes.view())?]
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
    let flat =
        Tensor::read_npy(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let flat: Vec<f64> = flat.flatten_all()?.to_vec1()?;
    ensure!(flat.len() == NODES * NODES, "{}: {} weights", path.display(), flat.len());
    Ok(Array2::from_shape_vec((NODES, NODES), flat)?)
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
            assert!(problem.solve().expect(family) > 0.0, "{family}");
        }
        for name in ["uniform-2d", "uniform-2d/x", "other/3", "hist/blob_0.0/ode-truth"] {
            assert!(Problem::named(name, None).is_err(), "{name}");
        }
    }
}
