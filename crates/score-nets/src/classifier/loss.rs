//! The loss of a classifier of noised data.

use std::ops::Range;

use candle_core::{DType, Tensor};
use sde_core::Key;

use super::{Classifier, labelled::picked};
use crate::{
    Condition, DataSource, Error, Gradients, NoisedRows, Noising, Objective, Result, Training,
};

/// The cross-entropy of a [`Classifier`] on noised rows: the mean over rows of `-log p(c | x_t)`, `x_t = alpha x_0 + sigma z`,
/// `c` the class of `x_0`, over the law of the times. Its minimiser is the posterior of the class at every time.
///
/// ```
/// use std::sync::Arc;
/// use score_nets::{
///     Architecture, Backend, Classifier, ClassifierConfig, CrossEntropy, DataSource, Noising, Objective, Result,
/// };
/// use sde_core::Key;
/// /// Normal numbers, whose sign is their class.
/// struct Signs;
/// impl DataSource for Signs {
///     fn dim(&self) -> usize {
///         1
///     }
///     fn fill(&self, key: Key, first: u64, out: &mut [f64]) -> Result<()> {
///         key.fill_normals(first, out);
///         Ok(())
///     }
///     fn n_classes(&self) -> usize {
///         2
///     }
///     fn fill_labels(&self, key: Key, first: u64, out: &mut [u32]) -> Result<()> {
///         let mut x = vec![0.0; out.len()];
///         self.fill(key, first, &mut x)?;
///         out.iter_mut().zip(x).for_each(|(c, x)| *c = u32::from(x > 0.0));
///         Ok(())
///     }
/// }
/// let json = r#"{"architecture": "residual-mlp", "args": {"dim": 1, "width": 16, "blocks": 1, "outputs": 2}}"#;
/// let config = ClassifierConfig::edm(Architecture::parse(json)?, 1.0, "edm");
/// let classifier = Classifier::new(config, Key::root(1), &Backend::cpu())?;
/// let loss = CrossEntropy::new(Noising::new(Arc::new(Signs), 64));
/// let (value, gradients) = loss.of_batch(&classifier, 0, Key::root(2))?;
/// // Before training every class is as likely as the other.
/// assert!((value - 2.0_f64.ln()).abs() < 1e-2 && gradients.norm()? > 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct CrossEntropy {
    noising: Noising,
}

impl CrossEntropy {
    /// The loss on noised rows of data with classes.
    pub fn new(noising: Noising) -> Self {
        Self { noising }
    }

    fn check(&self, model: &Classifier) -> Result<()> {
        let (data, net) = (self.noising.source.n_classes(), model.n_classes());
        if data != net {
            let reason = format!("the classifier has {net}");
            return Err(Error::setting("classes of the data", data, reason));
        }
        if self.noising.source.dim() != model.dim() {
            let (expected, found) = (model.row_shape(), vec![self.noising.source.dim()]);
            return Err(Error::Shape { what: "training data".into(), expected, found });
        }
        Ok(())
    }

    /// What rows of a batch add to the mean over all of it, differentiable in the parameters in training.
    fn graph(
        &self,
        model: &Classifier,
        key: Key,
        rows: Range<u64>,
        training: Option<Training>,
    ) -> Result<Tensor> {
        self.check(model)?;
        let NoisedRows { x, t, time_weight, .. } =
            self.noising.rows(model.sde(), key, rows.clone())?;
        let labels = self.noising.labels(key, rows)?;
        let backend = model.parameters().backend();
        let shape: Vec<usize> = [t.len()].into_iter().chain(model.row_shape()).collect();
        let net = if training.is_some() { &*model.live } else { &*model.detached };
        let condition = Condition { labels: None, training };
        let log = model.log_softmax(net, &backend.tensor(x, &shape)?, &t, &condition)?;
        let weight = backend.tensor(time_weight, &[t.len()])?;
        let sum = (picked(&log, labels)? * weight)?.sum_all()?;
        Ok((sum * (-1.0 / self.noising.batch as f64))?)
    }

    /// The loss without gradients and without dropout, on the batch under `key`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an empty batch or data of other classes; [`Error::Shape`] for data of another dimension.
    pub fn loss(&self, model: &Classifier, key: Key) -> Result<f64> {
        value(&self.graph(model, key, 0..self.noising.batch as u64, None)?)
    }
}

impl Objective<Classifier> for CrossEntropy {
    fn name(&self) -> &str {
        "cross-entropy"
    }

    fn rows(&self) -> u64 {
        self.noising.batch as u64
    }

    fn data(&self) -> Option<&dyn DataSource> {
        Some(&*self.noising.source)
    }

    fn loss_and_grad(
        &self,
        model: &Classifier,
        _: u64,
        key: Key,
        rows: Range<u64>,
    ) -> Result<(f64, Gradients)> {
        let training = Training { key: key.fold(3), first_row: rows.start };
        let loss = self.graph(model, key, rows, Some(training))?;
        Ok((value(&loss)?, Gradients::of(&loss, model.parameters())?))
    }
}

fn value(loss: &Tensor) -> Result<f64> {
    Ok(loss.to_dtype(DType::F64)?.to_scalar::<f64>()?)
}
