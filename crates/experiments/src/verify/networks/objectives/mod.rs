//! `objectives`: losses, their gradients, weights and laws of the times, 1e-12.
//!
//! Every loss is recomputed from a process, a parametrisation, a weighting and a reduction of the
//! libraries; the network is the tiny one of the references, with its own gradient.

mod discrete;
mod edm;
mod importance;
mod score_sde;
mod straight;
mod tiny;
mod weights;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sde_core::{Sde, SubVp, Ve, Vp};
use serde_json::Value;

use super::super::case::{Case, Deviation, relative};
use super::super::{from_file, json};
use crate::npy::Npz;

const TOLERANCE: f64 = 1e-12;

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    let meta = match json::load(&dir.join("meta.json")) {
        Ok(meta) => meta,
        Err(error) => return vec![Case::failed("objectives/meta.json", error)],
    };
    let mut files: Vec<_> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|e| Some(e.ok()?.path())).collect(),
        Err(error) => return vec![Case::failed("objectives", error.into())],
    };
    files.retain(|p| p.extension().is_some_and(|e| e == "npz"));
    files.sort();
    let mut cases = Vec::new();
    for path in &files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let kind: fn(&mut File) -> Result<()> = match name.as_str() {
            "score_sde_losses" => score_sde::cases,
            "edm_losses" => edm::cases,
            "diffusers_losses" => discrete::cases,
            "flow_matching" => straight::cases,
            "weights" => weights::cases,
            "importance" => importance::cases,
            _ => {
                cases.push(Case::skip(&name, "unknown archive"));
                continue;
            }
        };
        cases.extend(from_file(path, |path| {
            let npz = Npz::open(path)?;
            let mut file = File { npz, meta: &meta, name: name.clone(), cases: Vec::new() };
            kind(&mut file)?;
            Ok(file.cases)
        }));
    }
    cases
}

/// An archive, the settings it was made with, and what was compared in it.
struct File<'a> {
    npz: Npz,
    meta: &'a Value,
    name: String,
    cases: Vec<Case>,
}

impl File<'_> {
    fn flat(&mut self, name: &str) -> Result<Vec<f64>> {
        self.npz.flat(name)
    }

    /// A case of one array by some measure.
    fn compare(
        &mut self,
        array: &str,
        found: &[f64],
        by: impl Fn(&[f64], &[f64], f64) -> Result<Deviation>,
    ) {
        let compared = self.npz.flat(array).and_then(|e| by(found, &e, TOLERANCE));
        self.cases.push(Case::of(format!("{}/{array}", self.name), compared));
    }

    /// A case of one array, entry by entry relative to the reference.
    fn relative(&mut self, array: &str, found: &[f64]) {
        self.compare(array, found, relative);
    }

    /// What stands between `prefix` and `suffix` in the names of arrays.
    fn named(&self, prefix: &str, suffix: &str) -> Vec<String> {
        let names = self.npz.names().iter();
        let middle = |n: &String| Some(n.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned());
        names.filter_map(middle).collect()
    }

    fn number(&self, key: &str) -> Result<f64> {
        json::number(self.meta, key).context("meta.json")
    }

    fn count(&self, key: &str) -> Result<usize> {
        json::count(self.meta, key).context("meta.json")
    }

    /// The integers of an array.
    fn labels(&mut self, steps: usize) -> Result<Vec<usize>> {
        let labels = self.flat("labels")?;
        let whole = |l: &f64| {
            let ok = *l >= 0.0 && l.fract() == 0.0 && *l < steps as f64;
            ensure!(ok, "labels: {l} is no step below {steps}");
            Ok(*l as usize)
        };
        labels.iter().map(whole).collect()
    }

    fn vp(&self) -> Result<Vp> {
        Ok(Vp::new(self.number("beta_min")?, self.number("beta_max")?)?)
    }

    fn ve(&self) -> Result<Ve> {
        Ok(Ve::new(self.number("sigma_min")?, self.number("sigma_max")?)?)
    }

    /// The process of a short name; `None` for one of another kind.
    fn process(&self, name: &str) -> Option<Result<Box<dyn Sde>>> {
        let betas =
            || -> Result<(f64, f64)> { Ok((self.number("beta_min")?, self.number("beta_max")?)) };
        Some(match name {
            "vp" => self.vp().map(|s| Box::new(s) as Box<dyn Sde>),
            "subvp" => betas().and_then(|(a, b)| Ok(Box::new(SubVp::new(a, b)?) as Box<dyn Sde>)),
            "ve" => self.ve().map(|s| Box::new(s) as Box<dyn Sde>),
            "ou" => self
                .number("ou_T")
                .and_then(|t| Ok(Box::new(sde_core::Ou::new(t)?) as Box<dyn Sde>)),
            "cosine" => Ok(Box::new(sde_core::CosineVp)),
            "linear" => Ok(Box::new(sde_core::Rectified)),
            _ => return None,
        })
    }
}
