//! Times with density proportional to `g^2 / sigma^2`.

use anyhow::{Context, Result};
use score_nets::{TimeDistribution, importance_integral};

use super::super::super::case::{Case, mixed, normwise};
use super::File;

/// What score_flow's series for small exponents leaves, of the largest entry: 3e-5 is stated.
const SERIES: f64 = 5e-5;

pub(super) fn cases(file: &mut File) -> Result<()> {
    for key in file.named("", "_Z") {
        let (name, eps) = key.split_once("_eps").context("expected <process>_eps<t_min>")?;
        let eps: f64 = eps.parse().with_context(|| format!("`{key}` carries no smallest time"))?;
        let Some(sde) = file.process(name) else {
            file.cases.push(Case::skip(&key, "unknown process"));
            continue;
        };
        let (sde, law) = (sde?, TimeDistribution::LogSnr);
        let z = importance_integral(sde.as_ref(), eps)?;
        file.relative(&format!("{key}_Z"), &[z]);
        let times = file.flat(&format!("{key}_t"))?;
        let over = |f: &dyn Fn(f64) -> score_nets::Result<f64>, at: &[f64]| {
            at.iter().map(|t| f(*t)).collect::<Result<Vec<_>, _>>()
        };
        let shares = over(&|t| law.cdf(sde.as_ref(), eps, t), &times)?;
        file.compare(&format!("{key}_cdf"), &shares, mixed);
        let densities = over(&|t| law.density(sde.as_ref(), eps, t), &times)?;
        file.relative(&format!("{key}_pdf"), &densities);
        let u = file.flat(&format!("{key}_u"))?;
        let inverse = over(&|u| law.time(sde.as_ref(), eps, u), &u)?;
        file.compare(&format!("{key}_inv"), &inverse, mixed);
        let array = format!("{key}_score_flow_cum_weight");
        if file.npz.has(&array) {
            let found: Vec<f64> = shares.iter().map(|s| s * z).collect();
            file.compare(&array, &found, |a, b, _| normwise(a, b, SERIES));
        }
    }
    Ok(())
}
