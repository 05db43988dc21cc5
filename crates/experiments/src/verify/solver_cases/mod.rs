//! `solvers`: trajectories of the authors' own solver code on the probability-flow ODE, 1e-9.

mod deis;
mod dpm;
pub(super) mod edm;
mod flow;
mod unipc;

use std::path::Path;

use anyhow::Result;
use ndarray::Array2;
use sde_core::Reverse;
use serde_json::Value;
use solvers::Stepper;

use super::case::{Case, Deviation};
use super::constants::Common;
use super::{from_file, json};
use crate::npy::Npz;

const TOLERANCE: f64 = 1e-9;

/// A method on the reverse process.
pub(super) type Method<'a> = Box<dyn Stepper<Array2<f64>, Reverse<'a, Array2<f64>>>>;

/// Recomputes one case of `cases.json`, given its name and its entry.
type Recompute = fn(&Common, &mut Npz, &str, &Value) -> Result<Deviation>;

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    from_file(&dir.join("cases.json"), |path| {
        let cases = json::load(path)?;
        let common = Common::beside(dir)?;
        let archive = dir.join("solver_trajectories.npz");
        let mut arrays = archive.exists().then(|| Npz::open(&archive)).transpose()?;
        let one = |(name, case): (&str, &Value)| match (recompute(case), &mut arrays) {
            (Err(reason), _) => Case::skip(name, reason),
            (_, None) => Case::skip(name, "solver_trajectories.npz is not there"),
            (Ok(recompute), Some(npz)) => Case::of(name, recompute(&common, npz, name, case)),
        };
        Ok(json::entries(&cases, "cases.json")?.into_iter().map(one).collect())
    })
}

/// How to repeat a case, or why it cannot be with the methods there are.
fn recompute(case: &Value) -> Result<Recompute, String> {
    let source = case.get("source").and_then(Value::as_str).unwrap_or("unnamed source");
    match source.split_whitespace().next() {
        Some("dpm-solver") => dpm::recompute(case),
        Some("deis") => Ok(deis::recompute),
        Some("edm") => Ok(edm::recompute),
        Some("UniPC") => Ok(unipc::recompute),
        other => Err(format!("no {} yet", other.unwrap_or_default())),
    }
}
