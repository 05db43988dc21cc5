//! `ot`: transport, kernels and histograms against other solvers, relative: exact transport to 1e-9,
//! entropic to 1e-8, all else to 1e-10. Every member of a reference is compared or says what it is
//! about; one that is not known fails.

mod histograms;
mod kernels;

use anyhow::{Context, Result, anyhow, bail, ensure};
use metrics::{ExactTransport, GroundCost, Sinkhorn, sinkhorn_divergence};
use ndarray::{Array1, Array2, ArrayView1, s};
use serde_json::Value;

use crate::case::{By, Cases, Check, check_one};
use crate::npy::Npz;
use crate::read::{Folder, Json};

/// Exact transport.
const EXACT: f64 = 1e-9;
/// Sliced distances, kernels, energy: sums in closed form.
const CLOSED_FORM: f64 = 1e-10;
/// Entropic transport.
const ENTROPIC: f64 = 1e-8;

/// The members of one reference.
type Members<'a> = [(&'a str, &'a Value)];

pub(crate) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    cases.group("hist_w2.json", |cases| histograms::cases(dir, cases));
    let Some(refs) = dir.json("ot_refs.json")? else { return Ok(()) };
    let clouds = [dir.npz("clouds_equal.npz")?, dir.npz("clouds_unequal.npz")?];
    let mut arrays = Arrays {
        clouds: clouds.into_iter().flatten().collect(),
        projections: dir.npz("projections.npz")?,
    };
    for (key, values) in refs.entries()?.into_iter().filter(|(key, _)| !key.starts_with('_')) {
        cases.group(key, |cases| entry(&mut arrays, key, &values.entries()?, cases));
    }
    Ok(())
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
    /// The clouds of a key; `None` when no archive that is there has them.
    fn pair(&mut self, key: &str) -> Result<Option<Pair>> {
        let Some(npz) = self.clouds.iter_mut().find(|npz| npz.has(&format!("{key}_X"))) else {
            return Ok(None);
        };
        let mut weights = |side: &str| {
            let name = format!("{key}_{side}");
            npz.has(&name).then(|| npz.flat(&name).map(Array1::from)).transpose()
        };
        let (a, b) = (weights("a")?, weights("b")?);
        Ok(Some(Pair {
            x: npz.rows(&format!("{key}_X"))?,
            y: npz.rows(&format!("{key}_Y"))?,
            a,
            b,
        }))
    }
}

/// All cases of one key of the file.
fn entry(arrays: &mut Arrays, key: &str, members: &Members<'_>, cases: &mut Cases) -> Result<()> {
    let kinds = ["sliced_", "kernel_", "sinkhorn_"];
    let kind = kinds.into_iter().find_map(|kind| Some((kind, key.strip_prefix(kind)?)));
    let (kind, cloud) = kind.unwrap_or(("", key));
    // The regularisation follows the name of the clouds.
    let cloud =
        if kind == "sinkhorn_" { cloud.rsplit_once("_eps").map_or(cloud, |c| c.0) } else { cloud };
    let Some(pair) = arrays.pair(cloud)? else {
        // Archives that are there must have what the file speaks of.
        ensure!(arrays.clouds.len() < 2, "no clouds `{cloud}_X` in the archives");
        cases.skip(key, "its clouds are in an archive that is not there");
        return Ok(());
    };
    match (kind, &mut arrays.projections) {
        ("sliced_", None) => cases.skip(key, "projections.npz is not there"),
        ("sliced_", Some(npz)) => {
            let directions = npz.rows(&format!("{cloud}_projections"))?;
            sliced(key, &pair, &directions, members, cases)?;
        }
        ("kernel_", _) => kernels::cases(key, &pair, members, cases),
        ("sinkhorn_", _) => sinkhorn(key, &pair, members, cases)?,
        _ => transport(key, &pair, members, cases)?,
    }
    Ok(())
}

/// A member that a kind of reference must have.
fn member<'a>(members: &'a Members<'a>, name: &str) -> Result<&'a Value> {
    let found = members.iter().find(|(n, _)| *n == name);
    Ok(found.with_context(|| format!("no member `{name}`"))?.1)
}

/// One case a member; `found` gives its value, or nothing for one that is no result.
fn each(
    key: &str,
    members: &Members<'_>,
    cases: &mut Cases,
    mut found: impl FnMut(&str, &Value) -> Result<Option<Check>>,
) {
    for (name, value) in members {
        match found(name, value) {
            Ok(None) => {}
            Ok(Some(check)) => cases.add(format!("{key}/{name}"), || Ok(check)),
            Err(error) => cases.add(format!("{key}/{name}"), || Err(error)),
        }
    }
}

/// Why a member of a reference fails that nothing here is held against.
fn unknown() -> anyhow::Error {
    anyhow!("nothing here is compared with this member")
}

/// Exact distances; the same value by other solvers is held against the same tolerance.
fn transport(key: &str, pair: &Pair, members: &Members<'_>, cases: &mut Cases) -> Result<()> {
    let solve = |cost: GroundCost| {
        let (a, b) = pair.weights();
        ExactTransport::new(cost).solve(pair.x.view(), a, pair.y.view(), b)
    };
    let (squared, plain) = (solve(GroundCost::SquaredEuclidean)?, solve(GroundCost::Euclidean)?);
    // A distance of zero is zero against the size of the clouds.
    let size = pair.x.iter().chain(&pair.y).fold(0.0, |m: f64, v| m.max(v.abs())).max(1e-300);
    each(key, members, cases, |name, value| {
        let expected = value.one()?;
        let exact = |found: f64, unit: f64| {
            check_one(found / unit, expected / unit, By::Entry, EXACT).map(Some)
        };
        match name {
            "d" => exact(pair.x.ncols() as f64, 1.0),
            "n" => exact(pair.x.nrows() as f64, 1.0),
            "m" => exact(pair.y.nrows() as f64, 1.0),
            "W2" => exact(squared.distance(), size),
            _ if name.starts_with("W2_squared") => exact(squared.primal, size * size),
            _ if name.starts_with("W1") => exact(plain.primal, size),
            _ if name.starts_with("energy_distance") => {
                let energy = metrics::energy_distance(pair.x.view(), pair.y.view())?;
                check_one(energy.distance(), expected, By::Entry, CLOSED_FORM).map(Some)
            }
            _ => Err(unknown()),
        }
    });
    // The dual value proves that no cheaper plan was overlooked.
    for (name, t, unit) in [("W2 dual", &squared, size * size), ("W1 dual", &plain, size)] {
        cases.add(format!("{key}/{name}"), || {
            check_one(t.primal / unit, t.dual / unit, By::Mixed, EXACT)
        });
    }
    Ok(())
}

fn sliced(
    key: &str,
    pair: &Pair,
    directions: &Array2<f64>,
    members: &Members<'_>,
    cases: &mut Cases,
) -> Result<()> {
    let (a, b) = pair.weights();
    let solve =
        |p: f64| metrics::sliced_w(pair.x.view(), a, pair.y.view(), b, directions.view(), p);
    let (first, second) = (solve(1.0)?, solve(2.0)?);
    each(key, members, cases, |name, value| {
        let found = match name {
            "SW1" => first.mean,
            "SW2" => second.mean,
            "SW2_squared" => second.mean * second.mean,
            "maxSW1" => first.max,
            "maxSW2" => second.max,
            "n_projections" => directions.ncols() as f64,
            _ => return Err(unknown()),
        };
        check_one(found, value.one()?, By::Entry, CLOSED_FORM).map(Some)
    });
    Ok(())
}

/// Entropic transport of the first points of both clouds, their weights made to sum to one again.
fn sinkhorn(key: &str, pair: &Pair, members: &Members<'_>, cases: &mut Cases) -> Result<()> {
    let cost = member(members, "cost")?;
    ensure!(cost == "squared Euclidean", "the cost is {cost}");
    let n = member(members, "first_n_points")?.as_u64().context("`first_n_points`")? as usize;
    let rows = pair.x.nrows().min(pair.y.nrows());
    ensure!(n <= rows, "`first_n_points` is {n}, the clouds have {rows}");
    let first = |weights: Option<ArrayView1<'_, f64>>| {
        weights.map(|w| {
            let kept = w.slice(s![..n]).to_owned();
            let total = kept.sum();
            kept / total
        })
    };
    let (a, b) = pair.weights();
    let (a, b) = (first(a), first(b));
    let (x, y) = (pair.x.slice(s![..n, ..]), pair.y.slice(s![..n, ..]));
    let options = Sinkhorn { tolerance: 1e-12, ..Sinkhorn::new(member(members, "eps")?.one()?) };
    let (a, b) = (a.as_ref().map(|w| w.view()), b.as_ref().map(|w| w.view()));
    let found = sinkhorn_divergence(x, a, y, b, &options)?;
    each(key, members, cases, |name, value| {
        let found = match name {
            "OT_eps_xy" | "ott_reg_ot_cost" => found.xy.value,
            "OT_eps_xx" => found.xx.value,
            "OT_eps_yy" => found.yy.value,
            "sinkhorn_divergence" => found.value,
            "transport_cost_xy" | "transport_cost_xy_POT_sinkhorn_log" => found.xy.transport_cost,
            "transport_cost_xx" => found.xx.transport_cost,
            "transport_cost_yy" => found.yy.transport_cost,
            "sharp_sinkhorn_divergence_transport_costs" => found.sharp,
            // The question, and how the reference was found.
            "first_n_points" | "eps" | "cost" | "newton_iterations" | "marginal_l1_error"
            | "ott_version_note" => return Ok(None),
            _ => return Err(unknown()),
        };
        check_one(found, value.one()?, By::Entry, ENTROPIC).map(Some)
    });
    Ok(())
}

/// The last part of a name, behind a mark, as a number.
fn parameter(text: &str) -> Result<f64> {
    match text.replace('p', ".").parse() {
        Ok(value) => Ok(value),
        Err(_) => bail!("`{text}` is no parameter"),
    }
}
