//! The embedding of noise level and class that every residual block sees.

use candle_core::Tensor;

use crate::{
    Condition, Jet, Result,
    layers::{Fourier, LabelEmbedding, Linear, Sinusoid, drop_labels, silu},
};

/// Features of the noise level.
#[derive(Debug)]
pub(super) enum Features {
    Sinusoid(Sinusoid),
    Fourier(Fourier),
}

/// `silu(second(silu(first(features(c) + before(class)))) + after(class))`.
#[derive(Debug)]
pub(super) struct Embedding {
    pub(super) features: Features,
    pub(super) before: Option<LabelEmbedding>,
    pub(super) layers: [Linear; 2],
    pub(super) after: Option<LabelEmbedding>,
    pub(super) n_classes: usize,
    pub(super) label_dropout: f64,
}

impl Embedding {
    pub(super) fn forward(&self, c: &Jet, condition: &Condition) -> Result<Jet> {
        let mut e = match &self.features {
            Features::Sinusoid(f) => f.forward(c)?,
            Features::Fourier(f) => f.forward(c)?,
        };
        let rows = c.value.dim(0)?;
        let weights = self.weights(rows, &c.value, condition)?;
        if let Some((before, weights)) = self.before.as_ref().zip(weights.as_ref()) {
            e = e.add(&before.forward(weights)?)?;
        }
        let mut e = self.layers[1].forward(&silu(&self.layers[0].forward(&e)?)?)?;
        if let Some((after, weights)) = self.after.as_ref().zip(weights.as_ref()) {
            e = e.add(&after.forward(weights)?)?;
        }
        silu(&e)
    }

    /// The classes' weights; those of rows without a class are zeros.
    fn weights(&self, rows: usize, like: &Tensor, condition: &Condition) -> Result<Option<Tensor>> {
        if self.n_classes == 0 {
            return Ok(None);
        }
        let condition = drop_labels(condition, self.label_dropout, rows, self.n_classes, like)?;
        let weights = condition.one_hot(rows, self.n_classes, like)?;
        if weights.is_some() {
            return Ok(weights);
        }
        Ok(Some(Tensor::zeros((rows, self.n_classes), like.dtype(), like.device())?))
    }
}
