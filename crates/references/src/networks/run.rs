//! What one archive is recomputed from.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candle_core::Tensor;
use ndarray::ArrayD;
use score_nets::{Backend, Condition, Jet};
use serde_json::json;

use super::function::Function;
use super::spec::Task;
use super::{EXACT, FAST, FAST_RATE, flat};
use crate::case::{By, Cases, check};
use crate::npy::Npz;

/// An archive, its inputs as tensors, and the function in double precision.
pub(super) struct Run<'a> {
    pub(super) task: &'a Task,
    pub(super) arrays: BTreeMap<String, ArrayD<f64>>,
    pub(super) exact: Function,
    pub(super) x: Tensor,
    pub(super) t: Vec<f64>,
    pub(super) condition: Condition,
}

impl<'a> Run<'a> {
    pub(super) fn new(task: &'a Task, mut npz: Npz) -> Result<Self> {
        let names = npz.names().to_vec();
        let arrays = names.into_iter().map(|n| npz.get(&n).map(|a| (n, a)));
        let arrays: BTreeMap<_, _> = arrays.collect::<Result<_, data::Error>>()?;
        let exact = task.function(&Backend::cpu_f64(), &json!({}))?;
        let given = |name: &str| arrays.get(name).with_context(|| format!("no array `{name}`"));
        let (x, t) = (tensor(given("x")?)?, given("t")?.iter().copied().collect());
        let takes_labels = exact.network().n_classes() > 0;
        let labels = arrays.get("class_labels").filter(|_| takes_labels).map(tensor).transpose()?;
        let condition = Condition { labels, training: None };
        Ok(Self { task, arrays, exact, x, t, condition })
    }

    pub(super) fn name(&self, array: &str) -> String {
        format!("{}/{array}", self.task.name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Tensor> {
        tensor(self.arrays.get(name).with_context(|| format!("no array `{name}`"))?)
    }

    pub(super) fn values(&self, name: &str) -> Vec<f64> {
        self.arrays.get(name).map(|a| a.iter().copied().collect()).unwrap_or_default()
    }

    /// The network's output as the archive has it.
    pub(super) fn shape(&self) -> &[usize] {
        self.arrays.get("y").map(ArrayD::shape).unwrap_or_default()
    }

    pub(super) fn is_field(&self) -> bool {
        self.shape() == self.x.dims()
    }

    pub(super) fn is_field_and_more(&self) -> bool {
        self.shape().len() == self.x.rank() && !self.is_field()
    }

    pub(super) fn is_classifier(&self) -> bool {
        self.exact.network().out_shape().len() == 1
    }

    pub(super) fn has_large_labels(&self) -> bool {
        let large = self.task.wrapper.as_ref().is_some_and(|w| w.has_large_labels());
        large && self.task.is_fourier()
    }

    /// What is allowed for values and derivatives in the inputs.
    pub(super) fn tolerance(&self) -> f64 {
        if self.has_large_labels() { FAST } else { EXACT }
    }

    /// What is allowed for derivatives in the noise level.
    pub(super) fn rate_tolerance(&self) -> f64 {
        if self.has_large_labels() { FAST_RATE } else { EXACT }
    }

    /// The exact function at the inputs of the archive, with other times and condition.
    pub(super) fn forward(&self, t: &[f64], condition: &Condition) -> Result<Tensor> {
        Ok(self.exact.jet(&Jet::constant(self.x.clone()), t, None, condition)?.value)
    }

    /// A case for an array that is there.
    pub(super) fn check(
        &self,
        cases: &mut Cases,
        array: &str,
        found: &[f64],
        by: By<'_>,
        tolerance: f64,
    ) {
        if self.has(array) {
            let expected = self.values(array);
            cases.add(self.name(array), || check(found, &expected, by, tolerance));
        }
    }

    /// A case for an array of one entry, or more, a row: relative to the largest of the row.
    pub(super) fn rows(
        &self,
        cases: &mut Cases,
        array: &str,
        tensor: &Tensor,
        tolerance: f64,
    ) -> Result<()> {
        let rows = tensor.dims().first().copied().unwrap_or(1);
        self.check(cases, array, &flat(tensor)?, By::Rows(rows), tolerance);
        Ok(())
    }

    /// A case for an array that is the output.
    pub(super) fn output(
        &self,
        cases: &mut Cases,
        array: &str,
        t: &[f64],
        on: &Condition,
    ) -> Result<()> {
        self.rows(cases, array, &self.forward(t, on)?, self.tolerance())
    }
}

/// An array as a tensor in double precision.
fn tensor(array: &ArrayD<f64>) -> Result<Tensor> {
    let values: Vec<f64> = array.iter().copied().collect();
    Ok(Backend::cpu_f64().tensor(values, array.shape())?)
}
