//! What a classifier does with the features of the smallest image.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

use crate::{
    Condition, Jet, Result,
    layers::{Form, GroupNorm, Linear, attention, silu},
};

use super::{
    block::LAST,
    steps::{Step, run},
};

/// From features to the scores of classes.
#[derive(Debug)]
pub(super) enum Head {
    /// The mean over the pixels and a linear map.
    Mean { norm: GroupNorm, map: Linear },
    /// Attention of the mean to all pixels, with an embedding of their places.
    Attention { norm: GroupNorm, places: Tensor, qkv: Linear, output: Linear, heads: usize },
    /// The means of the features after every block, through a network of two layers.
    Spatial { first: Linear, norm: Option<GroupNorm>, second: Linear },
}

/// Width of the layer between in [`Head::Spatial`].
const HIDDEN: usize = 2048;

impl Head {
    pub(super) fn mean(vb: &VarBuilder<'static>, channels: usize, outputs: usize) -> Result<Self> {
        let norm = GroupNorm::new(&vb.pp(0), channels, 32, 1e-5)?;
        let map = Linear::with_form(&vb.pp(3), channels, outputs, LAST, Form::Conv2d)?;
        Ok(Self::Mean { norm, map })
    }

    pub(super) fn attention(
        vb: &VarBuilder<'static>,
        channels: usize,
        outputs: usize,
        head_width: usize,
        pixels: usize,
    ) -> Result<Self> {
        let norm = GroupNorm::new(&vb.pp(0), channels, 32, 1e-5)?;
        let (vb, c) = (vb.pp(2), channels);
        let init = Init::Randn { mean: 0.0, stdev: 1.0 / (c as f64).sqrt() };
        let places = vb.get_with_hints((c, pixels + 1), "positional_embedding", init)?;
        let qkv = Linear::with_form(&vb.pp("qkv_proj"), c, 3 * c, 1.0, Form::Conv1d)?;
        let output = Linear::with_form(&vb.pp("c_proj"), c, outputs, 1.0, Form::Conv1d)?;
        Ok(Self::Attention { norm, places, qkv, output, heads: c / head_width })
    }

    pub(super) fn spatial(
        vb: &VarBuilder<'static>,
        features: usize,
        outputs: usize,
        normalised: bool,
    ) -> Result<Self> {
        let first = Linear::new(&vb.pp(0), features, HIDDEN, 1.0)?;
        let (norm, last) = match normalised {
            true => (Some(GroupNorm::new(&vb.pp(1), HIDDEN, 32, 1e-5)?), 3),
            false => (None, 2),
        };
        Ok(Self::Spatial { first, norm, second: Linear::new(&vb.pp(last), HIDDEN, outputs, 1.0)? })
    }

    /// The steps, then the head up to its last linear map: `[B, F]`.
    pub(super) fn features(
        &self,
        steps: &[Step],
        x: Jet,
        emb: Option<&Jet>,
        condition: &Condition,
    ) -> Result<Jet> {
        let mut means = Vec::new();
        let spatial = matches!(self, Self::Spatial { .. });
        let h = run(steps, x, emb, condition, |step, h| {
            if spatial && matches!(step, Step::Push) {
                means.push(mean(h)?);
            }
            Ok(())
        })?;
        match self {
            Self::Mean { norm, .. } => mean(&norm.forward_silu(&h)?),
            Self::Attention { norm, places, qkv, heads, .. } => {
                pooled(&norm.forward_silu(&h)?, places, qkv, *heads)
            }
            Self::Spatial { first, norm, .. } => {
                means.push(mean(&h)?);
                let all = first.forward(&Jet::cat(&means.iter().collect::<Vec<_>>(), 1)?)?;
                match norm {
                    Some(norm) => silu(&norm.forward(&all)?),
                    None => relu(&all),
                }
            }
        }
    }

    /// The scores of the classes from [`Head::features`]: `[B, K]`.
    pub(super) fn output(&self, features: &Jet) -> Result<Jet> {
        match self {
            Self::Mean { map, .. } => map.forward(features),
            Self::Attention { output, .. } => output.forward(features),
            Self::Spatial { second, .. } => second.forward(features),
        }
    }
}

/// The mean over the pixels, `[B, C]`.
fn mean(h: &Jet) -> Result<Jet> {
    h.map(|t| Ok(t.mean((1, 2))?))
}

fn relu(x: &Jet) -> Result<Jet> {
    let slope = || Ok(x.value.gt(0.0)?.to_dtype(x.value.dtype())?);
    x.apply(x.value.relu()?, slope, || Ok(x.value.zeros_like()?))
}

/// What the mean attends to, `[B, C]`; queries of all heads first, then keys, then values.
fn pooled(h: &Jet, places: &Tensor, qkv: &Linear, heads: usize) -> Result<Jet> {
    let channels = h.value.dim(3)?;
    let pixels = h.map(|t| Ok(t.contiguous()?.reshape((t.dim(0)?, (), channels))?))?;
    let mean = pixels.map(|t| Ok(t.mean_keepdim(1)?))?;
    let all = Jet::cat(&[&mean, &pixels], 1)?.shift(&places.t()?.contiguous()?)?;
    let y = qkv.forward(&all)?;
    let d = channels / heads;
    let part = |i: usize, n: Option<usize>| {
        y.map(|t| {
            let t = t.reshape((t.dim(0)?, t.dim(1)?, 3, heads, d))?.narrow(2, i, 1)?.squeeze(2)?;
            let t = if let Some(n) = n { t.narrow(1, 0, n)? } else { t };
            Ok(t.contiguous()?)
        })
    };
    let (q, k, v) = (part(0, Some(1))?, part(1, None)?, part(2, None)?);
    let a = attention(&q, &k, &v, 1.0 / (d as f64).sqrt())?;
    a.map(|t| Ok(t.contiguous()?.reshape((t.dim(0)?, channels))?))
}
