//! `ot`: transport, kernels and histograms against other solvers, relative: exact transport to 1e-9,
//! entropic to 1e-8, all else to 1e-10. Every member of a reference is compared or says what it is
//! about; one that is not known fails.

mod entropic;
mod kernels;

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use metrics::{ExactTransport, GroundCost, Histogram2d};
use ndarray::{Array1, Array2, ArrayView1};
use serde_json::Value;

use super::case::{Case, Deviation, mixed, relative};
use super::{from_file, json, published};
use crate::npy::{self, Npz};

/// Exact transport.
const EXACT: f64 = 1e-9;
/// Sliced distances, kernels, energy: sums in closed form.
const CLOSED_FORM: f64 = 1e-10;
/// Entropic transport.
const ENTROPIC: f64 = 1e-8;

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    let mut cases = from_file(&dir.join("ot_refs.json"), |path| {
        let refs = json::load(path)?;
        let mut arrays = Arrays::open(dir)?;
        let mut cases = Vec::new();
        for (key, values) in json::entries(&refs, "ot_refs.json")? {
            if !key.starts_with('_') {
                entry(&mut arrays, key, values, &mut cases);
            }
        }
        Ok(cases)
    });
    cases.extend(from_file(&dir.join("hist_w2.json"), |path| histograms(dir, path)));
    cases
}

/// The archives beside the references; any of them may be missing.
struct Arrays {
    clouds: Vec<Npz>,
    projections: Option<Npz>,
}

/// Two clouds with their weights.
struct Pair {
    x: Array2<f64>,
    y: Array2<f64>,
    a: Option<Array1<f64>>,
    b: Option<Array1<f64>>,
}

impl Pair {
    fn weights(&self) -> (Option<ArrayView1<'_, f64>>, Option<ArrayView1<'_, f64>>) {
        (self.a.as_ref().map(|w| w.view()), self.b.as_ref().map(|w| w.view()))
    }
}

impl Arrays {
    fn open(dir: &Path) -> Result<Self> {
        let open = |name: &str| -> Result<Option<Npz>> {
            let path = dir.join(name);
            path.exists().then(|| Npz::open(&path)).transpose()
        };
        let clouds = [open("clouds_equal.npz")?, open("clouds_unequal.npz")?];
        let clouds = clouds.into_iter().flatten().collect();
        Ok(Self { clouds, projections: open("projections.npz")? })
    }

    /// The clouds of a key; `None` when no archive that is there has them.
    fn pair(&mut self, key: &str) -> Result<Option<Pair>> {
        let Some(npz) = self.clouds.iter_mut().find(|npz| npz.has(&format!("{key}_X"))) else {
            return Ok(None);
        };
        let weights = |npz: &mut Npz, side: &str| -> Result<Option<Array1<f64>>> {
            let name = format!("{key}_{side}");
            npz.has(&name).then(|| Ok(Array1::from(npz.flat(&name)?))).transpose()
        };
        Ok(Some(Pair {
            x: npz.rows(&format!("{key}_X"))?,
            y: npz.rows(&format!("{key}_Y"))?,
            a: weights(npz, "a")?,
            b: weights(npz, "b")?,
        }))
    }
}

/// All cases of one key of the file.
fn entry(arrays: &mut Arrays, key: &str, values: &Value, cases: &mut Vec<Case>) {
    let (what, cloud) = ["sliced_", "kernel_", "sinkhorn_"]
        .into_iter()
        .find_map(|prefix| Some((prefix, key.strip_prefix(prefix)?)))
        .unwrap_or(("transport", key));
    // The regularisation follows the name of the clouds.
    let cloud = match what {
        "sinkhorn_" => cloud.rsplit_once("_eps").map_or(cloud, |(cloud, _)| cloud),
        _ => cloud,
    };
    let pair = match arrays.pair(cloud) {
        Ok(Some(pair)) => pair,
        Ok(None) => {
            // Archives that are there must have what the file speaks of.
            let case = if arrays.clouds.len() < 2 {
                Case::skip(key, "its clouds are in an archive that is not there")
            } else {
                Case::failed(key, anyhow::anyhow!("no clouds `{cloud}_X` in the archives"))
            };
            return cases.push(case);
        }
        Err(error) => return cases.push(Case::failed(key, error)),
    };
    let entries = match json::entries(values, key) {
        Ok(entries) => entries,
        Err(error) => return cases.push(Case::failed(key, error)),
    };
    match what {
        "sliced_" => cases.extend(sliced(arrays, key, cloud, &pair, &entries)),
        "kernel_" => cases.extend(kernels::cases(key, &pair, &entries)),
        "sinkhorn_" => cases.extend(entropic::cases(key, &pair, &entries)),
        _ => cases.extend(transport(key, &pair, &entries)),
    }
}

/// Exact distances; the same value by other solvers is held against the same tolerance.
fn transport(key: &str, pair: &Pair, entries: &[(&str, &Value)]) -> Vec<Case> {
    let solve = |cost: GroundCost| {
        let (a, b) = pair.weights();
        ExactTransport::new(cost).solve(pair.x.view(), a, pair.y.view(), b)
    };
    let (squared, plain) = (solve(GroundCost::SquaredEuclidean), solve(GroundCost::Euclidean));
    // A distance of zero is zero against the size of the clouds.
    let size = pair.x.iter().chain(&pair.y).fold(0.0, |m: f64, v| m.max(v.abs())).max(1e-300);
    let exact = |found: &metrics::Result<f64>, power: f64, value: &Value| match found {
        Err(error) => Err(anyhow!("{error}")),
        Ok(found) => relative(&[found / power], &[json::one(value)? / power], EXACT),
    };
    let square = squared.as_ref().map(|t| t.primal).map_err(Clone::clone);
    let root = squared.as_ref().map(|t| t.distance()).map_err(Clone::clone);
    let first = plain.as_ref().map(|t| t.primal).map_err(Clone::clone);
    let mut cases = Vec::new();
    for (name, value) in entries {
        let compared = if name.starts_with("W2_squared") {
            exact(&square, size * size, value)
        } else if *name == "W2" {
            exact(&root, size, value)
        } else if name.starts_with("W1") {
            exact(&first, size, value)
        } else if name.starts_with("energy_distance") {
            let energy = metrics::energy_distance(pair.x.view(), pair.y.view());
            energy.map_err(Into::into).and_then(|energy| {
                relative(&[energy.distance()], &[json::one(value)?], CLOSED_FORM)
            })
        } else {
            let expected = match *name {
                "d" => Some(pair.x.ncols()),
                "n" => Some(pair.x.nrows()),
                "m" => Some(pair.y.nrows()),
                _ => None,
            };
            match expected {
                Some(found) => {
                    json::one(value).and_then(|v| relative(&[found as f64], &[v], EXACT))
                }
                None => Err(unknown()),
            }
        };
        cases.push(Case::of(format!("{key}/{name}"), compared));
    }
    if let (Ok(squared), Ok(plain)) = (&squared, &plain) {
        // The dual value proves that no cheaper plan was overlooked.
        for (name, t, power) in [("W2 dual", squared, size * size), ("W1 dual", plain, size)] {
            let compared = mixed(&[t.primal / power], &[t.dual / power], EXACT);
            cases.push(Case::of(format!("{key}/{name}"), compared));
        }
    }
    cases
}

fn sliced(
    arrays: &mut Arrays,
    key: &str,
    cloud: &str,
    pair: &Pair,
    entries: &[(&str, &Value)],
) -> Vec<Case> {
    let Some(npz) = &mut arrays.projections else {
        return vec![Case::skip(key, "projections.npz is not there")];
    };
    let directions = match npz.rows(&format!("{cloud}_projections")) {
        Ok(directions) => directions,
        Err(error) => return vec![Case::failed(key, error)],
    };
    let (a, b) = pair.weights();
    let solve =
        |p: f64| metrics::sliced_w(pair.x.view(), a, pair.y.view(), b, directions.view(), p);
    let (first, second) = match (solve(1.0), solve(2.0)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(error), _) | (_, Err(error)) => return vec![Case::failed(key, error.into())],
    };
    let one = |(name, value): &(&str, &Value)| {
        let found = match *name {
            "SW1" => Ok(first.mean),
            "SW2" => Ok(second.mean),
            "SW2_squared" => Ok(second.mean * second.mean),
            "maxSW1" => Ok(first.max),
            "maxSW2" => Ok(second.max),
            "n_projections" => Ok(directions.ncols() as f64),
            _ => Err(unknown()),
        };
        let compared = found.and_then(|v| relative(&[v], &[json::one(value)?], CLOSED_FORM));
        Case::of(format!("{key}/{name}"), compared)
    };
    entries.iter().map(one).collect()
}

/// Why a member of a reference fails that nothing here is held against.
fn unknown() -> anyhow::Error {
    anyhow!("nothing here is compared with this member")
}

/// Exact distances between the published histograms.
fn histograms(dir: &Path, path: &Path) -> Result<Vec<Case>> {
    let refs = json::load(path)?;
    let nets = json::entries(&refs, "hist_w2.json")?;
    let folder = published(dir).map(|d| d.join("hist")).filter(|d| d.is_dir());
    let Some(folder) = folder else {
        let skip =
            |(net, _): &(&str, &Value)| Case::skip(net, "no odesdegap/hist beside the references");
        return Ok(nets.iter().map(skip).collect());
    };
    let mut cases = Vec::new();
    for (net, pairs) in nets {
        for (pair, values) in json::entries(pairs, net)? {
            let name = format!("{net}/{pair}");
            cases.push(match histogram_case(&folder, net, pair, values) {
                Ok(Some(deviation)) => Case::of(name, Ok(deviation)),
                Ok(None) => Case::skip(&name, "its histograms are not there"),
                Err(error) => Case::failed(&name, error),
            });
        }
    }
    Ok(cases)
}

/// One pair of histograms, at every half-width of the nodes that the reference has.
fn histogram_case(
    folder: &Path,
    net: &str,
    pair: &str,
    values: &Value,
) -> Result<Option<Deviation>> {
    let (set, weight) =
        net.split_once("_w").with_context(|| format!("`{net}` names no network"))?;
    let (a, b) = pair.split_once('_').with_context(|| format!("`{pair}` names no pair"))?;
    let mut sides = Vec::new();
    for side in [a, b] {
        let suffix =
            if side == "truth" { format!("_{set}.npy") } else { format!("_{set}_{weight}.npy") };
        let prefix = format!("weights_{side}_");
        let mut found = None;
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with(&prefix) && name.ends_with(&suffix) {
                found = Some(path);
            }
        }
        let Some(path) = found else { return Ok(None) };
        let weights = npy::read_vector(&path)?;
        let n = weights.len().isqrt();
        ensure!(
            n * n == weights.len(),
            "{}: {} weights are no square",
            path.display(),
            weights.len()
        );
        sides.push(weights.into_shape_with_order((n, n))?);
    }
    let sides = sides.into_iter().map(|side| Histogram2d::from_weights(1.0, side));
    let sides = sides.collect::<metrics::Result<Vec<_>>>()?;
    // On [-1, 1]; a grid of half-width L is that, L times as wide.
    let unit = sides[0].w2(&sides[1])?.squared;
    let mut worst: Option<Deviation> = None;
    for (name, value) in json::entries(values, pair)? {
        let (quantity, width) = name.rsplit_once("_L").with_context(|| format!("`{name}`"))?;
        let width: f64 = width.replace('p', ".").parse().with_context(|| format!("`{name}`"))?;
        let squared = unit * width * width;
        let found = match quantity {
            "W2_squared" => squared,
            "W2" => squared.sqrt(),
            other => bail!("unknown quantity `{other}`"),
        };
        let deviation = relative(&[found], &[json::one(value)?], EXACT)?;
        worst = Some(worst.map_or(deviation, |w| w.max(deviation)));
    }
    worst.map(Some).context("no values")
}
