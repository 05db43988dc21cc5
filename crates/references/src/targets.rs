//! The processes and target densities that reference files name.

use anyhow::{Context, Result, bail};
use sde_core::analytic::GaussianMixture;
use sde_core::{Ou, Sde, SubVp, Ve, Vp};
use serde_json::Value;

use crate::read::{Folder, Json};

/// A process of a key that carries its constants (`vp_beta0.1_20`, `subvp_beta0.1_20`, `ve_0.01_50`,
/// `ou_T10`); `None` for a key of another kind.
pub(crate) fn sde_of_key(key: &str) -> Option<Result<Box<dyn Sde>>> {
    let kinds = [("vp_beta", "vp"), ("subvp_beta", "subvp"), ("ve_", "ve"), ("ou_T", "ou")];
    let (constants, kind) =
        kinds.iter().find_map(|(prefix, kind)| Some((key.strip_prefix(prefix)?, *kind)))?;
    Some(sde(kind, &decimals(constants)).with_context(|| format!("`{key}`")))
}

/// A process of a short name: `beta(0), beta(1)`, `sigma(0), sigma(1)` or the horizon.
pub(crate) fn sde(kind: &str, constants: &[f64]) -> Result<Box<dyn Sde>> {
    Ok(match (kind, constants) {
        ("vp", [a, b, ..]) => Box::new(Vp::new(*a, *b)?),
        ("subvp", [a, b, ..]) => Box::new(SubVp::new(*a, *b)?),
        ("ve", [a, b, ..]) => Box::new(Ve::new(*a, *b)?),
        ("ou", [t, ..]) => Box::new(Ou::new(*t)?),
        ("vp" | "subvp" | "ve" | "ou", _) => bail!("{kind} needs more than {constants:?}"),
        _ => bail!("unknown sde `{kind}`: expected one of vp, subvp, ve, ou"),
    })
}

/// The decimal numbers of a text.
pub(crate) fn decimals(text: &str) -> Vec<f64> {
    let text = text.replace("..", " ");
    let words = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.filter_map(|word| word.trim_end_matches('.').parse().ok()).collect()
}

/// `targets.json` of a family or, for all of them, of `common`: what short names stand for.
#[derive(Debug, Default)]
pub(crate) struct Targets(Value);

impl Targets {
    /// Without the file processes keep their published constants.
    pub(crate) fn of(family: &Folder) -> Result<Self> {
        let places = ["targets.json", "../common/targets.json"];
        let file = places.into_iter().find(|file| family.has(file));
        Ok(Self(file.map(|file| family.json(file)).transpose()?.unwrap_or_default()))
    }

    /// The names of the targets, longest first (one may begin like another).
    pub(crate) fn names(&self) -> Vec<&str> {
        let entries = self.0["targets"].as_object().into_iter().flatten();
        let mut names: Vec<&str> = entries.map(|(name, _)| name.as_str()).collect();
        names.sort_by_key(|n| std::cmp::Reverse(n.len()));
        names
    }

    /// A Gaussian mixture by name.
    pub(crate) fn mixture(&self, name: &str) -> Result<GaussianMixture> {
        let read = || -> Result<GaussianMixture> {
            let target = self.0["targets"].member(name)?;
            let covs = target.items("covs")?.iter().map(Value::rows).collect::<Result<Vec<_>>>()?;
            let (weights, means) = (target.numbers("weights")?, target.matrix("means")?);
            Ok(GaussianMixture::new(&weights, &means, &covs)?)
        };
        read().with_context(|| format!("target `{name}` of targets.json"))
    }

    /// A process by its short name (`vp`, `subvp`, `ve`, `ou`) or by a key with constants.
    pub(crate) fn sde(&self, name: &str) -> Result<Box<dyn Sde>> {
        if let Some(sde) = sde_of_key(name) {
            return sde;
        }
        // The formula that states it: `beta(t)=0.1+19.9 t`, `sigma(t)=0.01*(5000)^t`, `T=10`.
        let stated = |key: &str, mark: &str| {
            let text = self.0["sdes"].get(key)?.as_str()?;
            Some(decimals(&text[text.find(mark)? + mark.len()..]))
        };
        // The end is the decimal that a sum or product of decimals stands for.
        let ends = |stated: Option<Vec<f64>>, usual: [f64; 2], end: fn(f64, f64) -> f64| {
            let Some([a, b, ..]) = stated.as_deref() else { return usual };
            [*a, format!("{:.12e}", end(*a, *b)).parse().unwrap_or(*b)]
        };
        let constants = match name {
            "ve" => ends(stated("ve", "sigma(t)="), [0.01, 50.0], |a, b| a * b),
            "ou" => [stated("ou", "T=").and_then(|t| t.first().copied()).unwrap_or(10.0); 2],
            _ => {
                let betas = stated(name, "beta(t)=").or_else(|| stated("vp", "beta(t)="));
                ends(betas, [0.1, 20.0], |a, b| a + b)
            }
        };
        sde(name, &constants)
    }
}
