//! Normalisation by groups of channels.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

use super::silu;
use crate::{Error, Jet, Result, ops};

/// `(x - mean) / sqrt(var + eps) * weight + bias`, mean and variance over the pixels and the channels of a
/// group of every row.
///
/// Group normalisation (Wu and He 2018); with one group on `[B, C]` it is layer normalisation.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// Of `channels` in `groups` of neighbours.
    ///
    /// # Errors
    /// [`Error::Setting`] when the groups do not divide the channels; whatever the source of the tensors
    /// fails with.
    pub fn new(vb: &VarBuilder<'static>, channels: usize, groups: usize, eps: f64) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            let reason =
                format!("cannot be normalised in {groups} equal groups (`{}`)", vb.prefix());
            return Err(Error::setting("channels", channels, reason));
        }
        if !(eps > 0.0 && eps.is_finite()) {
            return Err(Error::setting("eps of a normalisation", eps, "must be positive"));
        }
        let weight = vb.get_with_hints(channels, "weight", Init::Const(1.0))?;
        let bias = vb.get_with_hints(channels, "bias", Init::Const(0.0))?;
        Ok(Self { weight, bias, groups, eps })
    }

    /// Channels of a group.
    pub fn group_size(&self) -> usize {
        self.weight.elem_count() / self.groups
    }

    /// The normalisation of `[B, ..., C]`.
    ///
    /// # Errors
    /// [`Error::Setting`] for another number of channels.
    pub fn forward(&self, x: &Jet) -> Result<Jet> {
        let value = self.value(&x.value, false)?;
        if x.is_constant() {
            return Ok(Jet::constant(value));
        }
        self.composed(x)?.replace(value)
    }

    /// The same, then [`silu`].
    ///
    /// # Errors
    /// As [`GroupNorm::forward`].
    pub fn forward_silu(&self, x: &Jet) -> Result<Jet> {
        if x.is_constant() {
            return Ok(Jet::constant(self.value(&x.value, true)?));
        }
        silu(&self.forward(x)?)?.replace(self.value(&x.value, true)?)
    }

    fn value(&self, x: &Tensor, silu: bool) -> Result<Tensor> {
        ops::group_norm(x, Some(&self.weight), Some(&self.bias), self.groups, self.eps, silu)
    }

    /// From the algebra of jets.
    fn composed(&self, x: &Jet) -> Result<Jet> {
        let shape = x.value.dims().to_vec();
        let (channels, size) = (self.weight.elem_count(), self.group_size());
        // [B, pixels, groups, channels of a group]; derivatives may have one row for all.
        let grouped =
            |t: &Tensor| Ok(t.contiguous()?.reshape((t.dim(0)?, (), self.groups, size))?);
        let mean = |t: &Tensor| Ok(t.mean_keepdim((1, 3))?);
        let x = x.map(grouped)?;
        let centred = x.map(|t| Ok(t.broadcast_sub(&mean(t)?)?))?;
        let variance = centred.mul(&centred)?.map(mean)?;
        let inverse = (&variance.value + self.eps)?.sqrt()?.recip()?;
        let cube = || -> Result<Tensor> { Ok((inverse.sqr()? * &inverse)?) };
        let inverse = variance.apply(
            inverse.clone(),
            || Ok((cube()? * -0.5)?),
            || Ok(((cube()? * inverse.sqr()?)? * 0.75)?),
        )?;
        let back = |t: &Tensor| {
            let rest = shape[1..shape.len() - 1].iter();
            let dims: Vec<usize> =
                [t.dim(0)?].iter().chain(rest).copied().chain([channels]).collect();
            Ok(t.reshape(dims)?.broadcast_mul(&self.weight)?)
        };
        let scaled = centred.mul(&inverse)?.map(back)?;
        scaled.shift(&self.bias)
    }
}
