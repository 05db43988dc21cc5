//! Exact distances between the published histograms.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use metrics::Histogram2d;
use serde_json::Value;

use super::{EXACT, parameter};
use crate::case::{By, Cases, Check, check_one};
use crate::npy;
use crate::read::{Folder, Json};

pub(super) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    let Some(refs) = dir.json("hist_w2.json")? else { return Ok(()) };
    let folder = dir.published().map(|d| Folder(d.path("hist")));
    let files = folder.and_then(|folder| Some((folder.stems("npy").ok()?, folder)));
    for (net, pairs) in refs.entries()? {
        let (set, weight) = net.split_once("_w").context("no network by that name")?;
        for (pair, values) in pairs.entries()? {
            let find = |side: &str| -> Option<PathBuf> {
                let (stems, folder) = files.as_ref()?;
                let suffix =
                    if side == "truth" { format!("_{set}") } else { format!("_{set}_{weight}") };
                let prefix = format!("weights_{side}_");
                let stem = stems.iter().find(|s| s.starts_with(&prefix) && s.ends_with(&suffix))?;
                Some(folder.path(&format!("{stem}.npy")))
            };
            let (a, b) = pair.split_once('_').with_context(|| format!("`{pair}` is no pair"))?;
            let name = format!("{net}/{pair}");
            match (find(a), find(b)) {
                (Some(a), Some(b)) => cases.add(name, || compare([a, b], values)),
                _ => cases
                    .skip(name, "its histograms are not in odesdegap/hist beside the references"),
            }
        }
    }
    Ok(())
}

/// One pair of histograms, at every half-width of the nodes that the reference has.
fn compare(sides: [PathBuf; 2], values: &Value) -> Result<Check> {
    let read = |path: PathBuf| -> Result<Histogram2d> {
        let weights = npy::read_vector(&path)?;
        let n = weights.len().isqrt();
        ensure!(n * n == weights.len(), "{}: {} weights", path.display(), weights.len());
        Ok(Histogram2d::from_weights(1.0, weights.into_shape_with_order((n, n))?)?)
    };
    let [a, b] = sides.map(read);
    let unit = a?.w2(&b?)?;
    // On [-1, 1]; a grid of half-width L is that, L times as wide.
    let mut worst = check_one(unit.dual, unit.squared, By::Entry, EXACT)?;
    for (name, value) in values.entries()? {
        let (quantity, width) = name.rsplit_once("_L").with_context(|| format!("`{name}`"))?;
        let squared = unit.squared * parameter(width)?.powi(2);
        let found = match quantity {
            "W2_squared" => squared,
            "W2" => squared.sqrt(),
            other => bail!("unknown quantity `{other}`"),
        };
        worst = worst.and(check_one(found, value.one()?, By::Entry, EXACT)?);
    }
    Ok(worst)
}
