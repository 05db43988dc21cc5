//! `networks/unet`, `networks/adm`: published U-Nets with random weights, the wrappers of Karras et al. around
//! them, and classifiers.
//!
//! Outputs and derivatives are relative to the largest entry of a sample, gradients of parameters to their norm; one
//! that vanishes by mathematics is rounding noise, against the largest norm. What the references state to be their
//! accuracy is what is allowed: see the constants below.

mod derivatives;
mod found;
mod function;
mod recompute;
mod spec;
mod wrapper;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::verify::case::Case;
use crate::verify::{from_file, json};

/// In double precision.
const EXACT: f64 = 1e-9;
/// Fourier features of labels up to 999: phases near 1e5 rad, which double precision holds to 1e-11.
const FAST: f64 = 1e-6;
/// Their derivatives in the noise level, which are checked to that against finite differences.
const FAST_RATE: f64 = 6e-6;
/// In single precision the originals are off by up to 9e-6, and ours may be as far off the other way.
const SINGLE: f64 = 2e-5;
/// Single precision holds phases of 1e5 rad to 1e-2.
const SINGLE_FAST: f64 = 1e-2;
/// A gradient that vanishes, against the largest: rounding of sums that cancel.
const VANISHING: f64 = 1e-12;

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    let mut files: Vec<PathBuf> = match std::fs::read_dir(dir) {
        Ok(entries) => entries.filter_map(|e| Some(e.ok()?.path())).collect(),
        Err(error) => return vec![Case::failed("networks", error.into())],
    };
    files.sort();
    let is = |p: &Path, extension: &str| p.extension().is_some_and(|e| e == extension);
    let stem = |p: &Path| p.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (mut cases, mut used) = (Vec::new(), BTreeSet::new());
    for path in files.iter().filter(|p| is(p, "json")) {
        let name = stem(path);
        cases.extend(from_file(path, |path| network(dir, &name, path, &mut used)));
    }
    for path in files.iter().filter(|p| is(p, "npz") && !used.contains(*p)) {
        cases.push(Case::skip(&stem(path), "no JSON file says what its archive belongs to"));
    }
    cases
}

/// The cases of the archives that a JSON file speaks of.
fn network(dir: &Path, name: &str, path: &Path, used: &mut BTreeSet<PathBuf>) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for task in spec::tasks(dir, name, &json::load(path)?)? {
        used.insert(task.archive.clone());
        if !task.archive.exists() {
            cases.push(Case::skip(&task.name, "its archive is not there"));
            continue;
        }
        cases.extend(recompute::cases(&task).unwrap_or_else(|e| vec![Case::failed(&task.name, e)]));
    }
    Ok(cases)
}
