//! Kernels, the energy distance and the Frechet distance.

use anyhow::{Context, Result, bail, ensure};
use metrics::{Kernel, Mmd2};
use serde_json::Value;

use super::super::case::{Case, Deviation, relative};
use super::super::json;
use super::{CLOSED_FORM, Pair, unknown};

/// One case a member.
pub(super) fn cases(key: &str, pair: &Pair, entries: &[(&str, &Value)]) -> Vec<Case> {
    let subsets = kid_subsets(pair, entries);
    let one = |(name, value): &(&str, &Value)| {
        let subsets = || subsets.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"));
        let compared = match *name {
            // The rows that the subsets below are made of.
            "kid_subset_indices_X" | "kid_subset_indices_Y" => return None,
            "kid_subsets_of_100_unbiased" => {
                subsets().and_then(|found| relative(found, &json::list(value)?, CLOSED_FORM))
            }
            "kid_subsets_mean" => subsets()
                .and_then(|found| relative(&[mean(found)], &[json::one(value)?], CLOSED_FORM)),
            "kid_subsets_std_ddof1" => subsets()
                .and_then(|found| relative(&[deviation(found)], &[json::one(value)?], CLOSED_FORM)),
            _ => kernel_value(name, pair)
                .unwrap_or_else(|| Err(unknown()))
                .and_then(|(found, size)| compare(found, size, json::one(value)?)),
        };
        Some(Case::of(format!("{key}/{name}"), compared))
    };
    entries.iter().filter_map(one).collect()
}

/// Relative to the reference, or to what rounding at the given size leaves of it: the references took
/// a diagonal of ones off their sums, so a U-statistic near zero has the rounding of the V-statistic.
fn compare(found: f64, size: f64, expected: f64) -> Result<Deviation> {
    let scale = expected.abs().max(f64::EPSILON * size / CLOSED_FORM);
    Ok(Deviation { error: (found - expected).abs() / scale, tolerance: CLOSED_FORM })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (squares / (values.len() as f64 - 1.0)).sqrt()
}

/// The value of a member by its name, and the size of what it is a difference of; `None` for members that are no value of a kernel.
fn kernel_value(name: &str, pair: &Pair) -> Option<Result<(f64, f64)>> {
    let (x, y) = (pair.x.view(), pair.y.view());
    let of = |kernel: Kernel, unbiased: bool| -> Result<(f64, f64)> {
        let Mmd2 { biased, unbiased: u, .. } = metrics::mmd2(x, y, kernel)?;
        Ok((if unbiased { u } else { biased }, biased))
    };
    let parameter = |text: &str| -> Result<(f64, bool)> {
        let (value, unbiased) = if let Some(value) = text.strip_suffix("_unbiased") {
            (value, true)
        } else if let Some(value) = text.strip_suffix("_biased") {
            (value, false)
        } else {
            bail!("expected `..._biased` or `..._unbiased`, found `{text}`")
        };
        Ok((value.parse().with_context(|| format!("`{value}` is no parameter"))?, unbiased))
    };
    Some(if let Some(rest) = name.strip_prefix("mmd2_rbf_sigma") {
        parameter(rest).and_then(|(bandwidth, u)| of(Kernel::Rbf { bandwidth }, u))
    } else if let Some(rest) = name.strip_prefix("mmd2_imq_c") {
        parameter(rest).and_then(|(offset, u)| of(Kernel::InverseMultiquadric { offset }, u))
    } else if let Some(rest) = name.strip_prefix("kid_poly3_") {
        of(Kernel::Cubic, rest == "unbiased")
    } else if name.starts_with("energy_V") {
        of(Kernel::Distance, false)
    } else if name.starts_with("energy_U") {
        of(Kernel::Distance, true)
    } else if name.starts_with("frechet") {
        metrics::frechet_distance(x, y).map(|found| (found, 0.0)).map_err(Into::into)
    } else {
        return None;
    })
}

/// KID on the recorded subsets.
fn kid_subsets(pair: &Pair, entries: &[(&str, &Value)]) -> Result<Vec<f64>> {
    let member = |name: &str| -> Result<&Value> {
        let found = entries.iter().find(|(n, _)| *n == name);
        Ok(found.with_context(|| format!("no member `{name}`"))?.1)
    };
    let rows = |name: &str, limit: usize| -> Result<Vec<Vec<usize>>> {
        let lists = json::rows(member(name)?).with_context(|| format!("`{name}`"))?;
        let inside = |i: &f64| *i >= 0.0 && i.fract() == 0.0 && (*i as usize) < limit;
        ensure!(lists.iter().flatten().all(inside), "`{name}` holds no index below {limit}");
        Ok(lists.iter().map(|l| l.iter().map(|i| *i as usize).collect()).collect())
    };
    let xs = rows("kid_subset_indices_X", pair.x.nrows())?;
    let ys = rows("kid_subset_indices_Y", pair.y.nrows())?;
    ensure!(xs.len() == ys.len(), "{} subsets of X, {} of Y", xs.len(), ys.len());
    let axis = ndarray::Axis(0);
    let values = xs.iter().zip(&ys).map(|(i, j)| {
        let (x, y) = (pair.x.select(axis, i), pair.y.select(axis, j));
        Ok(metrics::mmd2(x.view(), y.view(), Kernel::Cubic)?.unbiased)
    });
    values.collect()
}
