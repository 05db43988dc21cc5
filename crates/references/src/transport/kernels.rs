//! Kernels, the energy distance and the Frechet distance.

use anyhow::{Result, anyhow, bail, ensure};
use metrics::Kernel;
use ndarray::{Array2, Axis};
use serde_json::Value;

use super::{CLOSED_FORM, Members, Pair, each, member, parameter, unknown};
use crate::case::{By, Cases, Check, check, check_one};
use crate::read::Json;

/// One case a member.
pub(super) fn cases(key: &str, pair: &Pair, members: &Members<'_>, cases: &mut Cases) {
    let subsets = kid_subsets(pair, members);
    each(key, members, cases, |name, value| {
        let subsets = || subsets.as_ref().map_err(|error| anyhow!("{error:#}"));
        let one = |found: f64| check_one(found, value.one()?, By::Entry, CLOSED_FORM);
        Ok(Some(match name {
            // The rows that the subsets below are made of.
            "kid_subset_indices_X" | "kid_subset_indices_Y" => return Ok(None),
            "kid_subsets_of_100_unbiased" => {
                check(subsets()?, &value.list()?, By::Entry, CLOSED_FORM)?
            }
            "kid_subsets_mean" => one(mean(subsets()?))?,
            "kid_subsets_std_ddof1" => one(deviation(subsets()?))?,
            _ => kernel_value(name, &pair.x, &pair.y, value)?,
        }))
    });
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (squares / (values.len() as f64 - 1.0)).sqrt()
}

/// The value of a member by its name. Relative to the reference, or to what rounding leaves of it: the
/// references took a diagonal of ones off their sums, so a U-statistic near zero has the rounding of
/// the V-statistic.
fn kernel_value(name: &str, x: &Array2<f64>, y: &Array2<f64>, value: &Value) -> Result<Check> {
    let expected = value.one()?;
    let rest = |prefix: &str| {
        let value = name.strip_prefix(prefix)?;
        Some(parameter(value.split('_').next().unwrap_or_default()))
    };
    let kernel = if let Some(bandwidth) = rest("mmd2_rbf_sigma") {
        Kernel::Rbf { bandwidth: bandwidth? }
    } else if let Some(offset) = rest("mmd2_imq_c") {
        Kernel::InverseMultiquadric { offset: offset? }
    } else if name.starts_with("kid_poly3_") {
        Kernel::Cubic
    } else if name.starts_with("energy_") {
        Kernel::Distance
    } else if name.starts_with("frechet") {
        let found = metrics::frechet_distance(x.view(), y.view())?;
        return check_one(found, expected, By::Entry, CLOSED_FORM);
    } else {
        return Err(unknown());
    };
    let mmd = metrics::mmd2(x.view(), y.view(), kernel)?;
    let found = if name.ends_with("unbiased") || name.starts_with("energy_U") {
        mmd.unbiased
    } else if name.ends_with("biased") || name.starts_with("energy_V") {
        mmd.biased
    } else {
        bail!("expected `..._biased` or `..._unbiased`")
    };
    let scale = expected.abs().max(f64::EPSILON * mmd.biased / CLOSED_FORM);
    check_one(found, expected, By::Scales(&[scale]), CLOSED_FORM)
}

/// KID on the recorded subsets.
fn kid_subsets(pair: &Pair, members: &Members<'_>) -> Result<Vec<f64>> {
    let rows = |name: &str, limit: usize| -> Result<Vec<Vec<usize>>> {
        let lists = member(members, name)?.rows()?;
        let inside = |i: &f64| *i >= 0.0 && i.fract() == 0.0 && (*i as usize) < limit;
        ensure!(lists.iter().all(inside), "`{name}` holds no index below {limit}");
        Ok(lists.outer_iter().map(|l| l.iter().map(|i| *i as usize).collect()).collect())
    };
    let xs = rows("kid_subset_indices_X", pair.x.nrows())?;
    let ys = rows("kid_subset_indices_Y", pair.y.nrows())?;
    ensure!(xs.len() == ys.len(), "{} subsets of X, {} of Y", xs.len(), ys.len());
    let values = xs.iter().zip(&ys).map(|(i, j)| {
        let (x, y) = (pair.x.select(Axis(0), i), pair.y.select(Axis(0), j));
        Ok(metrics::mmd2(x.view(), y.view(), Kernel::Cubic)?.unbiased)
    });
    values.collect()
}
