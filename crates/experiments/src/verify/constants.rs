//! The SDEs and targets that reference files name.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use sde_core::analytic::GaussianMixture;
use sde_core::{Ou, Sde, SubVp, Ve, Vp};
use serde_json::Value;

use super::json;
use crate::model;

/// The SDE of a key that carries its constants (`vp_beta0.1_20`, `subvp_beta0.1_20`, `ve_0.01_50`,
/// `ou_T10`), with whatever follows a further underscore; `None` for a key of another kind.
pub(super) fn sde_of_key(key: &str) -> Option<Result<Box<dyn Sde>>> {
    let pair = |text: &str| -> Result<[f64; 2]> {
        let mut parts = text.split('_').map(str::parse::<f64>);
        match (parts.next(), parts.next()) {
            (Some(Ok(a)), Some(Ok(b))) => Ok([a, b]),
            _ => bail!("`{key}` does not carry two constants"),
        }
    };
    let sde = if let Some(rest) = key.strip_prefix("vp_beta") {
        pair(rest).and_then(|[a, b]| Ok(Box::new(Vp::new(a, b)?) as Box<dyn Sde>))
    } else if let Some(rest) = key.strip_prefix("subvp_beta") {
        pair(rest).and_then(|[a, b]| Ok(Box::new(SubVp::new(a, b)?) as Box<dyn Sde>))
    } else if let Some(rest) = key.strip_prefix("ve_") {
        pair(rest).and_then(|[a, b]| Ok(Box::new(Ve::new(a, b)?) as Box<dyn Sde>))
    } else if let Some(rest) = key.strip_prefix("ou_T") {
        let horizon = rest.parse().with_context(|| format!("`{key}` carries no horizon"));
        horizon.and_then(|t| Ok(Box::new(Ou::new(t)?) as Box<dyn Sde>))
    } else {
        return None;
    };
    Some(sde)
}

/// `common/targets.json`: what the short names in the other files stand for.
#[derive(Debug, Default)]
pub(super) struct Common {
    targets: BTreeMap<String, Value>,
    sdes: BTreeMap<String, Value>,
}

impl Common {
    /// Reads the file beside a family's folder; without it the SDEs keep their published constants.
    pub(super) fn beside(family: &Path) -> Result<Self> {
        let path = family.join("../common/targets.json");
        if !path.exists() {
            return Ok(Self::default());
        }
        let value = json::load(&path)?;
        let read = |key: &str| -> Result<BTreeMap<String, Value>> {
            match value.get(key) {
                None => Ok(BTreeMap::new()),
                Some(v) => Ok(json::entries(v, key)?
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), v.clone()))
                    .collect()),
            }
        };
        let named = "common/targets.json";
        Ok(Self { targets: read("targets").context(named)?, sdes: read("sdes").context(named)? })
    }

    /// The names of the targets, longest first (one may begin like another).
    pub(super) fn target_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.targets.keys().map(String::as_str).collect();
        names.sort_by_key(|n| std::cmp::Reverse(n.len()));
        names
    }

    /// A Gaussian mixture by name.
    pub(super) fn mixture(&self, name: &str) -> Result<GaussianMixture> {
        let target = self
            .targets
            .get(name)
            .with_context(|| format!("target `{name}` is not in common/targets.json"))?;
        let mixture = (|| -> Result<GaussianMixture> {
            let covs = json::member(target, "covs")?.as_array().context("`covs` is no list")?;
            let covs = covs.iter().map(|cov| json::rows(cov).context("`covs`"));
            model::mixture(
                &json::numbers(target, "weights")?,
                &json::matrix(target, "means")?,
                &covs.collect::<Result<Vec<_>>>()?,
            )
        })();
        mixture.with_context(|| format!("target `{name}`"))
    }

    /// An SDE by its short name (`vp`, `subvp`, `ve`, `ou`) or by a key with constants.
    pub(super) fn sde(&self, name: &str) -> Result<Box<dyn Sde>> {
        if let Some(sde) = sde_of_key(name) {
            return sde;
        }
        let stated = |key: &str| self.sdes.get(key).and_then(Value::as_str);
        match name {
            "vp" => {
                let [a, b] = betas(stated("vp"))?;
                Ok(Box::new(Vp::new(a, b)?))
            }
            "subvp" => {
                let own = stated("subvp").filter(|s| s.contains("beta(t)="));
                let [a, b] = betas(own.or_else(|| stated("vp")))?;
                Ok(Box::new(SubVp::new(a, b)?))
            }
            "ve" => {
                let [a, b] = sigmas(stated("ve"))?;
                Ok(Box::new(Ve::new(a, b)?))
            }
            "ou" => {
                let horizon = stated("ou").map_or(Ok(10.0), |s| number_after(s, "T="))?;
                Ok(Box::new(Ou::new(horizon)?))
            }
            _ => bail!("unknown sde `{name}`: expected one of vp, subvp, ve, ou"),
        }
    }
}

/// `beta(t)=0.1+19.9t` to the rates at 0 and 1.
fn betas(stated: Option<&str>) -> Result<[f64; 2]> {
    let Some(text) = stated else { return Ok([0.1, 20.0]) };
    let first = number_after(text, "beta(t)=")?;
    let slope = number_after(&text[text.find("beta(t)=").unwrap_or(0)..], "+")?;
    Ok([first, tidy(first + slope)])
}

/// `sigma(t)=0.01*(5000)^t` to the noise at 0 and 1.
fn sigmas(stated: Option<&str>) -> Result<[f64; 2]> {
    let Some(text) = stated else { return Ok([0.01, 50.0]) };
    let plain = text.replace(['(', ')'], "");
    let smallest = number_after(&plain, "sigmat=")?;
    let ratio = number_after(&plain[plain.find("sigmat=").unwrap_or(0)..], "*")?;
    Ok([smallest, tidy(smallest * ratio)])
}

/// The decimal number that a sum or product of decimals stands for.
fn tidy(x: f64) -> f64 {
    format!("{x:.12e}").parse().unwrap_or(x)
}

/// The number that follows `mark` in a formula.
fn number_after(text: &str, mark: &str) -> Result<f64> {
    let start = text.find(mark).with_context(|| format!("no `{mark}` in `{text}`"))? + mark.len();
    let rest = text[start..].trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end]
        .trim_end_matches('.')
        .parse()
        .map_err(|_| anyhow!("no number after `{mark}` in `{text}`"))
}
