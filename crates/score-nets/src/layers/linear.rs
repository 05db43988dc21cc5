//! Linear maps: of vectors, of pixels, of neighbourhoods.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

use crate::{
    Jet, Result,
    ops::{self, Conv},
};

/// Uniform weights of variance `gain^2 / fan_in`.
pub(crate) fn uniform(fan_in: usize, gain: f64) -> Init {
    let bound = gain * (3.0 / fan_in.max(1) as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

/// How a file keeps the weights of a map from `I` to `O` channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `weight [O, I]`, `bias [O]`.
    Dense,
    /// `weight [O, I, 1]`: a convolution in one dimension.
    Conv1d,
    /// `weight [O, I, 1, 1]`: a convolution of single pixels.
    Conv2d,
    /// `W [I, O]`, `b [O]`: "network in network".
    Nin,
}

/// `y = W x + b` of the last dimension.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    form: Form,
}

impl Linear {
    /// `weight [O, I]` and `bias [O]`; initial weights have the variance `gain^2 / I`, initial biases vanish.
    ///
    /// # Errors
    /// Whatever the source of the tensors fails with.
    pub fn new(vb: &VarBuilder<'static>, inputs: usize, outputs: usize, gain: f64) -> Result<Self> {
        Self::with_form(vb, inputs, outputs, gain, Form::Dense)
    }

    /// As [`Linear::new`], with the weights in another form.
    ///
    /// # Errors
    /// Whatever the source of the tensors fails with.
    pub fn with_form(
        vb: &VarBuilder<'static>,
        inputs: usize,
        outputs: usize,
        gain: f64,
        form: Form,
    ) -> Result<Self> {
        let mut linear = Self::without_bias(vb, inputs, outputs, gain, form)?;
        let name = if form == Form::Nin { "b" } else { "bias" };
        linear.bias = Some(vb.get_with_hints(outputs, name, Init::Const(0.0))?);
        Ok(linear)
    }

    /// As [`Linear::with_form`], without `b`.
    ///
    /// # Errors
    /// Whatever the source of the tensors fails with.
    pub fn without_bias(
        vb: &VarBuilder<'static>,
        inputs: usize,
        outputs: usize,
        gain: f64,
        form: Form,
    ) -> Result<Self> {
        let (name, shape) = match form {
            Form::Dense => ("weight", vec![outputs, inputs]),
            Form::Conv1d => ("weight", vec![outputs, inputs, 1]),
            Form::Conv2d => ("weight", vec![outputs, inputs, 1, 1]),
            Form::Nin => ("W", vec![inputs, outputs]),
        };
        let weight = vb.get_with_hints(shape, name, uniform(inputs, gain))?;
        Ok(Self { weight, bias: None, form })
    }

    /// `W` as `[O, I]`.
    fn matrix(&self) -> Result<Tensor> {
        Ok(match self.form {
            Form::Dense => self.weight.clone(),
            Form::Nin => self.weight.t()?.contiguous()?,
            Form::Conv1d | Form::Conv2d => self.weight.flatten_from(1)?,
        })
    }

    /// The map of `[..., I]`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for another last dimension.
    pub fn forward(&self, x: &Jet) -> Result<Jet> {
        x.linear(&self.matrix()?, self.bias.as_ref())
    }
}

/// A convolution of images `[B, H, W, I]`, weights `[O, I, k, k]`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    conv: Conv,
}

impl Conv2d {
    /// Stride 1 and zeros around, so that the size stays (`kernel` odd).
    ///
    /// # Errors
    /// Whatever the source of the tensors fails with.
    pub fn new(
        vb: &VarBuilder<'static>,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        gain: f64,
    ) -> Result<Self> {
        Self::with_conv(vb, inputs, outputs, kernel, gain, Conv::same(kernel))
    }

    /// With a stride and padding of one's own.
    ///
    /// # Errors
    /// Whatever the source of the tensors fails with.
    pub fn with_conv(
        vb: &VarBuilder<'static>,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        gain: f64,
        conv: Conv,
    ) -> Result<Self> {
        let init = uniform(inputs * kernel * kernel, gain);
        let weight = vb.get_with_hints((outputs, inputs, kernel, kernel), "weight", init)?;
        Ok(Self { weight, bias: vb.get_with_hints(outputs, "bias", Init::Const(0.0))?, conv })
    }

    /// The convolution.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for another number of channels.
    pub fn forward(&self, x: &Jet) -> Result<Jet> {
        let value = ops::conv2d(&x.value, &self.weight, Some(&self.bias), self.conv)?;
        x.affine(value, |t| ops::conv2d(&t.contiguous()?, &self.weight, None, self.conv))
    }
}
