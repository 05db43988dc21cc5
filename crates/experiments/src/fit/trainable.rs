//! The kinds of models that are trained here: how they begin, what their loss is, what their files are called.

use std::path::Path;
use std::sync::Arc;

use score_nets::{
    Backend, Classifier, CrossEntropy, DataSource, Denoising, Model, Objective, Result, ScoreModel,
};
use sde_core::Key;

use super::config::Training;

/// A model that is trained with losses on withheld rows.
pub(super) trait Trainable: Model {
    /// The loss.
    type Loss: Objective<Self> + 'static;
    /// What it is called in the log and among the checkpoints.
    const NAME: &'static str;
    /// What the names of the files and parts of its training begin with.
    const PREFIX: &'static str;
    /// What its training is called among the bars.
    const WORK: &'static str;

    /// With initial weights.
    fn begin(config: Self::Config, key: Key) -> Result<Self>;

    /// The loss on batches of a source.
    fn loss(training: &Training, source: Arc<dyn DataSource>, batch: usize) -> Self::Loss;

    /// The loss on a batch, without gradients and dropout.
    fn value(&self, loss: &Self::Loss, key: Key) -> Result<f64>;

    /// Writes the model into a file of its own.
    fn keep(&self, path: &Path) -> Result<()>;
}

impl Trainable for ScoreModel {
    type Loss = Denoising;
    const NAME: &'static str = "model";
    const PREFIX: &'static str = "";
    const WORK: &'static str = "train";

    fn begin(config: Self::Config, key: Key) -> Result<Self> {
        Self::new(config, key, &Backend::cpu())
    }

    fn loss(training: &Training, source: Arc<dyn DataSource>, batch: usize) -> Denoising {
        training.loss(source, batch)
    }

    fn value(&self, loss: &Denoising, key: Key) -> Result<f64> {
        loss.loss(self, key)
    }

    fn keep(&self, path: &Path) -> Result<()> {
        self.save(path)
    }
}

impl Trainable for Classifier {
    type Loss = CrossEntropy;
    const NAME: &'static str = "classifier";
    const PREFIX: &'static str = "classifier-";
    const WORK: &'static str = "train classifier";

    fn begin(config: Self::Config, key: Key) -> Result<Self> {
        Self::new(config, key, &Backend::cpu())
    }

    fn loss(training: &Training, source: Arc<dyn DataSource>, batch: usize) -> CrossEntropy {
        CrossEntropy::new(training.noising(source, batch))
    }

    fn value(&self, loss: &CrossEntropy, key: Key) -> Result<f64> {
        loss.loss(self, key)
    }

    fn keep(&self, path: &Path) -> Result<()> {
        self.save(path)
    }
}
