//! Noise levels and classes as vectors.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

use super::{Form, Linear};
use crate::{Error, Jet, Result};

/// Which half of an embedding comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `(sin, cos)`.
    SinCos,
    /// `(cos, sin)`.
    CosSin,
}

/// `(sin(f_k c), cos(f_k c))` with `f_k = 10000^(-k / (half - shift))`, `k = 0 .. half`.
///
/// Vaswani et al. 2017; `shift` 1 is that of Ho et al. 2020, 0 that of Dhariwal and Nichol 2021. An odd width
/// ends with a zero.
#[derive(Clone, Debug)]
pub struct Sinusoid {
    width: usize,
    frequencies: Vec<f64>,
    order: Order,
}

impl Sinusoid {
    /// Of `width` numbers.
    ///
    /// # Errors
    /// [`Error::Setting`] when `width / 2 - shift` is not positive.
    pub fn new(width: usize, shift: f64, order: Order) -> Result<Self> {
        let half = width / 2;
        let steps = half as f64 - shift;
        if half == 0 || !steps.is_finite() || steps <= 0.0 {
            let reason = format!("is too little for frequencies with shift {shift}");
            return Err(Error::setting("width of the noise level's embedding", width, reason));
        }
        let frequencies =
            (0..half).map(|k| (-(k as f64) * 10_000_f64.ln() / steps).exp()).collect();
        Ok(Self { width, frequencies, order })
    }

    /// `[B]` to `[B, width]`.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn forward(&self, c: &Jet) -> Result<Jet> {
        let waves = waves(c, &self.frequencies, self.order)?;
        if self.width.is_multiple_of(2) {
            return Ok(waves);
        }
        waves.map(|t| Ok(t.pad_with_zeros(1, 0, 1)?))
    }
}

/// `(sin(2 pi w_k c), cos(2 pi w_k c))` with fixed random frequencies `w`, or those of `log c`.
///
/// Gaussian Fourier features (Tancik et al. 2020), of the logarithm in Song et al. 2021.
#[derive(Clone, Debug)]
pub struct Fourier {
    frequencies: Tensor,
    logarithm: bool,
    order: Order,
}

impl Fourier {
    /// `half` frequencies, the tensor `name`, drawn as `N(0, scale^2)`; a buffer, not to be trained.
    ///
    /// # Errors
    /// Whatever the source of the tensors fails with.
    pub fn new(
        vb: &VarBuilder<'static>,
        name: &str,
        half: usize,
        scale: f64,
        logarithm: bool,
        order: Order,
    ) -> Result<Self> {
        let init = Init::Randn { mean: 0.0, stdev: scale };
        Ok(Self { frequencies: vb.get_with_hints(half, name, init)?, logarithm, order })
    }

    /// `[B]` to `[B, 2 half]`.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn forward(&self, c: &Jet) -> Result<Jet> {
        let w = (self.frequencies.detach() * (2.0 * std::f64::consts::PI))?;
        let c = if self.logarithm { logarithm(c)? } else { c.clone() };
        phases(&c, &w, self.order)
    }
}

/// `log x`.
fn logarithm(x: &Jet) -> Result<Jet> {
    let slope = || Ok(x.value.recip()?);
    x.apply(x.value.log()?, slope, || Ok(slope()?.sqr()?.neg()?))
}

fn waves(c: &Jet, frequencies: &[f64], order: Order) -> Result<Jet> {
    let w = Tensor::new(frequencies, &candle_core::Device::Cpu)?;
    let w = w.to_dtype(c.value.dtype())?.to_device(c.value.device())?;
    phases(c, &w, order)
}

fn phases(c: &Jet, w: &Tensor, order: Order) -> Result<Jet> {
    let w = w.unsqueeze(0)?;
    let p = c.map(|c| Ok(c.unsqueeze(1)?.broadcast_mul(&w)?))?;
    let (sin, cos) = (p.value.sin()?, p.value.cos()?);
    let sine = p.apply(sin.clone(), || Ok(cos.clone()), || Ok(sin.neg()?))?;
    let cosine = p.apply(cos.clone(), || Ok(sin.neg()?), || Ok(cos.neg()?))?;
    match order {
        Order::SinCos => Jet::cat(&[&sine, &cosine], 1),
        Order::CosSin => Jet::cat(&[&cosine, &sine], 1),
    }
}

/// A vector for every class, mixed by the weights of a row; no class is the vector of zeros (or the bias).
#[derive(Clone, Debug)]
pub enum LabelEmbedding {
    /// `weight [K, E]`, a row a class.
    Table(Tensor),
    /// A linear map of the weights times a number.
    Map(Linear, f64),
}

impl LabelEmbedding {
    /// A table `weight [K, E]`.
    ///
    /// # Errors
    /// Whatever the source of the tensors fails with.
    pub fn table(vb: &VarBuilder<'static>, n_classes: usize, width: usize) -> Result<Self> {
        let init = Init::Randn { mean: 0.0, stdev: 1.0 };
        Ok(Self::Table(vb.get_with_hints((n_classes, width), "weight", init)?))
    }

    /// A map `weight [E, K]`, with or without bias, of `scale` times the weights.
    ///
    /// # Errors
    /// Whatever the source of the tensors fails with.
    pub fn map(
        vb: &VarBuilder<'static>,
        n_classes: usize,
        width: usize,
        bias: bool,
        scale: f64,
    ) -> Result<Self> {
        let linear = if bias {
            Linear::new(vb, n_classes, width, 1.0)?
        } else {
            Linear::without_bias(vb, n_classes, width, (n_classes as f64).sqrt(), Form::Dense)?
        };
        Ok(Self::Map(linear, scale))
    }

    /// Of weights `[B, K]`.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn forward(&self, weights: &Tensor) -> Result<Jet> {
        match self {
            Self::Table(table) => Ok(Jet::constant(weights.matmul(table)?)),
            Self::Map(linear, scale) => linear.forward(&Jet::constant((weights * *scale)?)),
        }
    }
}
