//! A classifier of particles with classes, as a likelihood that scores are steered by.

use candle_core::{Tensor, Var};
use ndarray::Array2;
use sde_core::LogLikelihood;

use super::Classifier;
use crate::{Condition, Error, Result, net::to_host};

/// A [`Classifier`] and the classes of particles: row `b` of what it is evaluated on has the label of particle `b`, or of the
/// particle that [`LogLikelihood::likelihood_for_rows`] says; a single label is that of all. Tensors may have rows of any shape
/// with as many numbers.
///
/// The gradient takes one pass forward and one backward.
#[derive(Clone, Debug)]
pub struct LabelledClassifier<'a> {
    model: &'a Classifier,
    labels: Vec<u32>,
}

impl<'a> LabelledClassifier<'a> {
    pub(super) fn new(model: &'a Classifier, labels: Vec<u32>) -> Result<Self> {
        let classes = model.n_classes();
        let Some(last) = labels.iter().max() else {
            return Err(Error::setting("labels", 0, "must be one at least"));
        };
        if *last as usize >= classes {
            let reason = format!("must be one of the classes 0 to {}", classes - 1);
            return Err(Error::setting("label", last, reason));
        }
        Ok(Self { model, labels })
    }

    /// `log p(c | x_t)` of every row, and its gradient in the shape of `x`.
    fn evaluate(&self, x: &Tensor, t: f64) -> Result<(Vec<f64>, Tensor)> {
        let rows = x.dims().first().copied().unwrap_or(0);
        let labels = match self.labels.len() {
            1 => vec![self.labels[0]; rows],
            n if n == rows => self.labels.clone(),
            n => {
                let what = "rows of particles with classes".into();
                return Err(Error::Shape { what, expected: vec![n], found: vec![rows] });
            }
        };
        let (model, shape) = (self.model, x.shape());
        let row: Vec<usize> = [rows].into_iter().chain(model.row_shape()).collect();
        // A score of the same numbers may have them in rows of another shape.
        let x = match x.elem_count() == rows * model.dim() {
            true => x.detach().reshape(row)?,
            false => x.detach(),
        };
        let x = Var::from_tensor(&x)?;
        let times = vec![t; rows];
        let log =
            model.log_softmax(&*model.detached, x.as_tensor(), &times, &Condition::default())?;
        let log = picked(&log, labels)?;
        let mut store = log.sum_all()?.backward()?;
        let gradient = match store.remove(x.as_tensor()) {
            Some(gradient) => gradient.detach(),
            None => x.as_detached_tensor().zeros_like()?,
        };
        Ok((to_host(&log)?, gradient.reshape(shape)?))
    }

    fn of(&self, rows: &[u64]) -> Result<Self> {
        if self.labels.len() == 1 {
            return Ok(self.clone());
        }
        let known = self.labels.len();
        let label = |row: &u64| {
            let label = usize::try_from(*row).ok().and_then(|row| self.labels.get(row)).copied();
            label.ok_or_else(|| {
                Error::setting("particle", row, format!("there are labels of {known}"))
            })
        };
        let labels = rows.iter().map(label).collect::<Result<_>>()?;
        Ok(Self { model: self.model, labels })
    }
}

/// The entry of every row `[K]` that its label says, `[B]`.
pub(super) fn picked(log: &Tensor, labels: Vec<u32>) -> Result<Tensor> {
    let (rows, classes) = log.dims2()?;
    let labels = Tensor::from_vec(labels, rows, &candle_core::Device::Cpu)?;
    match Condition::labels(labels).one_hot(rows, classes, log)? {
        Some(weights) => Ok((log * weights)?.sum(1)?),
        None => Ok(log.sum(1)?),
    }
}

impl LogLikelihood<Tensor> for LabelledClassifier<'_> {
    fn log_likelihood(&self, x: &Tensor, t: f64) -> sde_core::Result<(Vec<f64>, Tensor)> {
        Ok(self.evaluate(x, t)?)
    }

    fn likelihood_for_rows(
        &self,
        rows: &[u64],
    ) -> sde_core::Result<Box<dyn LogLikelihood<Tensor> + '_>> {
        Ok(Box::new(self.of(rows)?))
    }
}

impl LogLikelihood<Array2<f64>> for LabelledClassifier<'_> {
    fn log_likelihood(&self, x: &Array2<f64>, t: f64) -> sde_core::Result<(Vec<f64>, Array2<f64>)> {
        let (log, gradient) = self.evaluate(&self.model.tensor(x)?, t)?;
        let mut out = Array2::zeros(x.dim());
        out.iter_mut().zip(to_host(&gradient)?).for_each(|(out, value)| *out = value);
        Ok((log, out))
    }

    fn likelihood_for_rows(
        &self,
        rows: &[u64],
    ) -> sde_core::Result<Box<dyn LogLikelihood<Array2<f64>> + '_>> {
        Ok(Box::new(self.of(rows)?))
    }
}
