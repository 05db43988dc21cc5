//! The traits of training: a model with parameters, and a term of the loss.

use std::{collections::BTreeMap, ops::Range, path::Path};

use super::DataSource;
use crate::{Backend, Gradients, Parameters, Result, ScoreNet, io::Described};
use candle_core::Tensor;
use sde_core::Key;

/// Anything with parameters that can be trained, written to a file and made again from it.
pub trait Model: Send + Sync + Sized {
    /// What a file says about the model beside its tensors.
    type Config: Described;

    /// What a file says about the model beside its tensors.
    fn config(&self) -> Self::Config;

    /// The parameters.
    fn parameters(&self) -> &Parameters;

    /// The model of a configuration with the values of `tensors`; `path` is where they come from.
    ///
    /// # Errors
    /// [`crate::Error::File`] when they do not fit together.
    fn from_tensors(
        config: Self::Config,
        tensors: &BTreeMap<String, Tensor>,
        backend: &Backend,
        path: &Path,
    ) -> Result<Self>;

    /// A model of the same kind, built by the same code, with the values of `tensors`.
    ///
    /// # Errors
    /// [`crate::Error::File`] when they do not fit.
    fn with_values(&self, tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<Self>;

    /// The same model with a copy of the values.
    ///
    /// # Errors
    /// Whatever candle fails with.
    fn duplicate(&self) -> Result<Self>;

    /// Whether no loss made of this model depends on the parameter `name`.
    fn is_without_gradient(&self, name: &str) -> bool;

    /// Notes down what the data are that it is about to be trained on, by rows drawn under `key`; called whenever a
    /// run begins or goes on. Nothing that the model computes may depend on it.
    ///
    /// # Errors
    /// Whatever the data fail with.
    fn note_data(&mut self, _source: &dyn DataSource, _key: Key) -> Result<()> {
        Ok(())
    }
}

impl Model for ScoreNet {
    type Config = crate::NetConfig;

    fn config(&self) -> Self::Config {
        ScoreNet::config(self).clone()
    }

    fn parameters(&self) -> &Parameters {
        ScoreNet::parameters(self)
    }

    fn from_tensors(
        config: Self::Config,
        tensors: &BTreeMap<String, Tensor>,
        backend: &Backend,
        path: &Path,
    ) -> Result<Self> {
        ScoreNet::from_tensors(config, tensors, backend.dtype, &backend.device, path)
    }

    fn with_values(&self, tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<Self> {
        let backend = ScoreNet::parameters(self).backend();
        let config = ScoreNet::config(self).clone();
        ScoreNet::from_tensors(config, tensors, backend.dtype, &backend.device, path)?
            .with_kernels(self.kernels())
    }

    fn duplicate(&self) -> Result<Self> {
        ScoreNet::duplicate(self)
    }

    fn is_without_gradient(&self, name: &str) -> bool {
        self.gauge_parameter() == Some(name)
    }
}

/// A term of the training loss of a model: a mean over the rows of a batch.
pub trait Objective<M = ScoreNet>: Send + Sync {
    /// The name its values are logged under.
    fn name(&self) -> &str;

    /// Number of rows of a batch.
    fn rows(&self) -> u64;

    /// The data, where it is trained on some.
    fn data(&self) -> Option<&dyn DataSource> {
        None
    }

    /// What the rows `rows` of the batch under `key` add to the loss of `model` at training step `step`, and
    /// the gradients of that: a batch may be cut anywhere at even numbers, and its parts add up to it.
    ///
    /// Everything random comes from `key`, which the trainer derives from its seed, the term and
    /// the step, and from the number of the row: nothing has to be saved to resume.
    ///
    /// # Errors
    /// Whatever data, network or arithmetic fail with.
    fn loss_and_grad(
        &self,
        model: &M,
        step: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)>;

    /// The loss of a whole batch and its gradients.
    ///
    /// # Errors
    /// As [`Objective::loss_and_grad`].
    fn of_batch(&self, model: &M, step: u64, key: Key) -> Result<(f64, Gradients)> {
        self.loss_and_grad(model, step, key, 0..self.rows())
    }
}

/// The mean over some rows as what they add to the mean over `all`.
///
/// # Errors
/// Whatever candle fails with.
pub fn as_share(
    (loss, mut gradients): (f64, Gradients),
    rows: &Range<u64>,
    all: u64,
) -> Result<(f64, Gradients)> {
    if *rows == (0..all) {
        return Ok((loss, gradients));
    }
    let share = (rows.end - rows.start) as f64 / all as f64;
    gradients.scale(share)?;
    Ok((loss * share, gradients))
}
