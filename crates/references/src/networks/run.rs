//! What one archive is recomputed from.

use candle_core::Tensor;
use ndarray::ArrayD;
use score_nets::{Backend, Condition, Jet};

use super::spec::{Function, Task};
use super::{EXACT, FAST, FAST_RATE, flat};
use crate::prelude::*;

/// An archive, its inputs as tensors, and the function in double precision.
pub(super) struct Run<'a> {
    pub(super) task: &'a Task,
    /// Its tolerance is that of values and derivatives in the inputs.
    pub(super) archive: Archive<'a>,
    /// What is allowed for derivatives in the noise level.
    pub(super) rate_tolerance: f64,
    pub(super) exact: Function,
    pub(super) x: Tensor,
    pub(super) t: Vec<f64>,
    pub(super) condition: Condition,
    /// The shape of the network's output as the archive has it.
    shape: Vec<usize>,
}

impl<'a> Run<'a> {
    pub(super) fn new(task: &'a Task, npz: Npz, family: &'a mut Family) -> Result<Self> {
        let (tolerance, rate_tolerance) =
            if task.has_large_labels() { (FAST, FAST_RATE) } else { (EXACT, EXACT) };
        let mut archive = Archive::new(npz, &format!("{}/", task.name), tolerance, family);
        let exact = task.function(&Backend::cpu_f64())?;
        let (x, t) = (tensor(&archive.get("x")?)?, archive.flat("t")?);
        let shape = if archive.has("y") { archive.get("y")?.shape().to_vec() } else { vec![] };
        let labelled = exact.network().n_classes() > 0 && archive.has("class_labels");
        let labels = labelled.then(|| tensor(&archive.get("class_labels")?)).transpose()?;
        let condition = Condition { labels, training: None };
        Ok(Self { task, archive, rate_tolerance, exact, x, t, condition, shape })
    }

    pub(super) fn tensor(&mut self, name: &str) -> Result<Tensor> {
        tensor(&self.archive.get(name)?)
    }

    pub(super) fn is_field(&self) -> bool {
        self.shape == self.x.dims()
    }

    pub(super) fn is_field_and_more(&self) -> bool {
        self.shape.len() == self.x.rank() && !self.is_field()
    }

    pub(super) fn is_classifier(&self) -> bool {
        self.exact.network().out_shape().len() == 1
    }

    /// The exact function at the inputs of the archive, with other times and condition.
    pub(super) fn forward(&self, t: &[f64], condition: &Condition) -> Result<Tensor> {
        Ok(self.exact.jet(&Jet::constant(self.x.clone()), t, None, condition)?.value)
    }

    /// A case for an array of one entry, or more, a row: relative to the largest of the row.
    pub(super) fn rows(&mut self, array: &str, found: &Tensor) -> Result<()> {
        self.rows_to(array, found, self.archive.tolerance)
    }

    pub(super) fn rows_to(&mut self, array: &str, found: &Tensor, tolerance: f64) -> Result<()> {
        let rows = found.dims().first().copied().unwrap_or(1);
        self.archive.check_to(array, flat(found)?, By::Rows(rows), tolerance);
        Ok(())
    }
}

/// An array as a tensor in double precision.
fn tensor(array: &ArrayD<f64>) -> Result<Tensor> {
    let values: Vec<f64> = array.iter().copied().collect();
    Ok(Backend::cpu_f64().tensor(values, array.shape())?)
}
