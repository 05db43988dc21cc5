//! Entropic transport and the Sinkhorn divergence.

use anyhow::{Context, Result, ensure};
use metrics::{Sinkhorn, SinkhornDivergence, sinkhorn_divergence};
use ndarray::{Array1, s};
use serde_json::Value;

use super::super::case::{Case, relative};
use super::super::json;
use super::{ENTROPIC, Pair, unknown};

/// One case a member; all of them from one solution.
pub(super) fn cases(key: &str, pair: &Pair, entries: &[(&str, &Value)]) -> Vec<Case> {
    let found = match solve(pair, entries) {
        Ok(found) => found,
        Err(error) => return vec![Case::failed(key, error)],
    };
    let one = |(name, value): &(&str, &Value)| {
        let quantity = match *name {
            "OT_eps_xy" | "ott_reg_ot_cost" => Ok(found.xy.value),
            "OT_eps_xx" => Ok(found.xx.value),
            "OT_eps_yy" => Ok(found.yy.value),
            "sinkhorn_divergence" => Ok(found.value),
            "transport_cost_xy" | "transport_cost_xy_POT_sinkhorn_log" => {
                Ok(found.xy.transport_cost)
            }
            "transport_cost_xx" => Ok(found.xx.transport_cost),
            "transport_cost_yy" => Ok(found.yy.transport_cost),
            "sharp_sinkhorn_divergence_transport_costs" => Ok(found.sharp),
            // The question, and how the reference was found.
            "first_n_points" | "eps" | "cost" | "newton_iterations" | "marginal_l1_error"
            | "ott_version_note" => return None,
            _ => Err(unknown()),
        };
        let compared = quantity.and_then(|v| relative(&[v], &[json::one(value)?], ENTROPIC));
        Some(Case::of(format!("{key}/{name}"), compared))
    };
    entries.iter().filter_map(one).collect()
}

/// The divergence of the first points of both clouds, their weights made to sum to one again.
fn solve(pair: &Pair, entries: &[(&str, &Value)]) -> Result<SinkhornDivergence> {
    let member = |name: &str| -> Result<&Value> {
        let found = entries.iter().find(|(n, _)| *n == name);
        Ok(found.with_context(|| format!("no member `{name}`"))?.1)
    };
    let cost = member("cost")?;
    ensure!(cost == "squared Euclidean", "the cost is {cost}");
    let n = member("first_n_points")?.as_u64().context("`first_n_points` is no count")? as usize;
    let rows = pair.x.nrows().min(pair.y.nrows());
    ensure!(n <= rows, "`first_n_points` is {n}, the clouds have {rows}");
    let first = |weights: &Option<Array1<f64>>| {
        weights.as_ref().map(|w| {
            let kept = w.slice(s![..n]).to_owned();
            let total = kept.sum();
            kept / total
        })
    };
    let (a, b) = (first(&pair.a), first(&pair.b));
    let (x, y) = (pair.x.slice(s![..n, ..]), pair.y.slice(s![..n, ..]));
    let options = Sinkhorn { tolerance: 1e-12, ..Sinkhorn::new(json::one(member("eps")?)?) };
    let (a, b) = (a.as_ref().map(|w| w.view()), b.as_ref().map(|w| w.view()));
    Ok(sinkhorn_divergence(x, a, y, b, &options)?)
}
