//! `networks/objectives`: losses, their gradients, weights and laws of the times, 1e-12.
//!
//! Every loss is recomputed from a process, a parametrisation, a weighting and a reduction of the
//! libraries; the network is the tiny one of the references, with its own gradient.

mod losses;
mod tables;
mod tiny;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use sde_core::{CosineVp, Rectified, Sde};
use serde_json::Value;

use crate::case::{By, Cases, check};
use crate::npy::Npz;
use crate::read::{Folder, Json};
use crate::targets::sde;

const TOLERANCE: f64 = 1e-12;

pub(crate) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    let meta = dir.json("meta.json")?.context("no meta.json")?;
    for name in dir.stems("npz")? {
        let kind: fn(&mut File<'_>) -> Result<()> = match name.as_str() {
            "score_sde_losses" => losses::score_sde,
            "edm_losses" => losses::edm,
            "diffusers_losses" => losses::discrete,
            "flow_matching" => losses::straight,
            "weights" => tables::weights,
            "importance" => tables::importance,
            _ => {
                cases.skip(&name, "unknown archive");
                continue;
            }
        };
        cases.group(&name, |cases| {
            let npz = dir.npz(&format!("{name}.npz"))?.context("the archive")?;
            // Given to all files, whether or not a loss takes them.
            let used = ["u", "labels"].map(String::from).into();
            let mut file = File { npz, meta: &meta, name: &name, cases, used };
            kind(&mut file)?;
            let names = file.npz.names().iter();
            for array in names.filter(|n| !file.used.contains(*n)).cloned().collect::<Vec<_>>() {
                let reason = format!("nothing here knows the array `{array}`");
                file.cases.skip(format!("{name}/{array}"), reason);
            }
            Ok(())
        });
    }
    Ok(())
}

/// An archive, the settings it was made with, and what was compared in it.
struct File<'a> {
    npz: Npz,
    meta: &'a Value,
    name: &'a str,
    cases: &'a mut Cases,
    used: BTreeSet<String>,
}

impl File<'_> {
    fn flat(&mut self, name: &str) -> Result<Vec<f64>> {
        self.used.insert(name.into());
        Ok(self.npz.flat(name)?)
    }

    /// A case of one array, if it is there.
    fn check(&mut self, array: &str, found: &[f64], by: By<'_>) {
        self.check_to(array, found, by, TOLERANCE);
    }

    fn check_to(&mut self, array: &str, found: &[f64], by: By<'_>, tolerance: f64) {
        if self.npz.has(array) {
            self.used.insert(array.into());
            let expected = self.npz.flat(array);
            let case = format!("{}/{array}", self.name);
            self.cases.add(case, || check(found, &expected?, by, tolerance));
        }
    }

    /// What stands between `prefix` and `suffix` in the names of arrays.
    fn named(&self, prefix: &str, suffix: &str) -> Vec<String> {
        let names = self.npz.names().iter();
        let middle = |n: &String| Some(n.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned());
        names.filter_map(middle).collect()
    }

    fn number(&self, key: &str) -> Result<f64> {
        self.meta.number(key).context("meta.json")
    }

    /// The integers of `labels`.
    fn labels(&mut self, steps: usize) -> Result<Vec<usize>> {
        let labels = self.flat("labels")?;
        let whole = |l: &f64| {
            let ok = *l >= 0.0 && l.fract() == 0.0 && *l < steps as f64;
            ensure!(ok, "labels: {l} is no step below {steps}");
            Ok(*l as usize)
        };
        labels.iter().map(whole).collect()
    }

    /// The process of a short name; `None` for one of another kind.
    fn process(&self, name: &str) -> Result<Option<Box<dyn Sde>>> {
        let constants: &[&str] = match name {
            "vp" | "subvp" => &["beta_min", "beta_max"],
            "ve" => &["sigma_min", "sigma_max"],
            "ou" => &["ou_T"],
            "cosine" => return Ok(Some(Box::new(CosineVp))),
            "linear" => return Ok(Some(Box::new(Rectified))),
            _ => return Ok(None),
        };
        let constants = constants.iter().map(|key| self.number(key)).collect::<Result<Vec<_>>>()?;
        sde(name, &constants).map(Some)
    }
}
