//! `networks/unet`, `networks/adm`: published U-Nets with random weights, the wrappers of Karras et al. around
//! them, and classifiers.
//!
//! Outputs and derivatives are relative to the largest entry of a sample, gradients of parameters to their norm; one
//! that vanishes by mathematics is rounding noise, against the largest norm. What the references state to be their
//! accuracy is what is allowed: see the constants below.

mod derivatives;
mod recompute;
mod run;
mod spec;

use std::collections::BTreeSet;

use candle_core::{DType, Tensor};

use crate::prelude::*;

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

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    let mut used = BTreeSet::new();
    for name in dir.stems("json")? {
        family.group(&name, |family| {
            for task in spec::tasks(dir, &name, &dir.json(&format!("{name}.json"))?)? {
                used.insert(task.archive.clone());
                family.group(&task.name, |family| {
                    recompute::cases(&task, dir.npz(&task.archive)?, family)
                });
            }
            Ok(())
        });
    }
    for _ in dir.stems("npz")?.iter().filter(|stem| !used.contains(&format!("{stem}.npz"))) {
        family.skip("no JSON file says what its archive belongs to");
    }
    Ok(())
}

/// The numbers of a tensor.
pub(crate) fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}
