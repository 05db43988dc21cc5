//! The fully connected network: value, reverse pass for input gradients, tangents and jets.

use candle_core::Tensor;
use candle_nn::{VarBuilder, init::DEFAULT_KAIMING_UNIFORM};

use crate::{Activation, Jet, NetConfig, Result, activation::At};

/// An affine layer `z = W h + b`, `W` `[out, in]`.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
}

impl Linear {
    /// `W h + b` for rows `h`.
    pub(crate) fn forward(&self, h: &Tensor) -> Result<Tensor> {
        Ok(self.apply(h)?.broadcast_add(&self.bias)?)
    }

    /// `W h` for rows `h`.
    pub(crate) fn apply(&self, h: &Tensor) -> Result<Tensor> {
        Ok(h.matmul(&self.weight.t()?)?)
    }

    /// The jet of `W h + b`.
    fn jet(&self, h: &Jet) -> Result<Jet> {
        h.affine(self.forward(&h.value)?, |d| self.apply(d))
    }

    /// `W^T g` for rows `g`.
    fn transposed(&self, g: &Tensor) -> Result<Tensor> {
        Ok(g.matmul(&self.weight)?)
    }
}

/// A network as tensors: the variables themselves (for training) or detached (for sampling).
///
/// # Shapes
/// Inputs `u` are `[B, K]`, outputs `[B, O]`; scalar outputs are `[B]` where it says so.
pub(crate) struct Mlp {
    pub(crate) layers: Vec<Linear>,
    pub(crate) activation: Activation,
}

impl Mlp {
    /// The layers of a configuration.
    pub(crate) fn new(vb: VarBuilder<'static>, config: &NetConfig) -> Result<Self> {
        let linear = |(name, n_out, n_in): (String, usize, usize)| -> Result<Linear> {
            let get = |shape: &[usize], part| {
                vb.pp(&name).get_with_hints(shape, part, DEFAULT_KAIMING_UNIFORM)
            };
            Ok(Linear { weight: get(&[n_out, n_in], "weight")?, bias: get(&[n_out], "bias")? })
        };
        let layers = config.layers().into_iter().map(linear).collect::<Result<_>>()?;
        Ok(Self { layers, activation: config.activation })
    }

    fn split(&self) -> (&[Linear], &Linear) {
        let (last, hidden) = self.layers.split_last().expect("a network has layers");
        (hidden, last)
    }

    /// The output.
    pub(crate) fn forward(&self, u: &Tensor) -> Result<Tensor> {
        let (hidden, last) = self.split();
        let mut h = u.clone();
        for layer in hidden {
            h = self.activation.at(&layer.forward(&h)?)?.value()?;
        }
        last.forward(&h)
    }

    /// Output `[B]` and input gradient `[B, K]` of a scalar network: the forward pass, then the
    /// vector-Jacobian product of each layer, all of it differentiable once more.
    pub(crate) fn value_and_grad(&self, u: &Tensor) -> Result<(Tensor, Tensor)> {
        let (hidden, last) = self.split();
        let (mut h, mut slopes) = (u.clone(), Vec::with_capacity(hidden.len()));
        for layer in hidden {
            let at = self.activation.at(&layer.forward(&h)?)?;
            slopes.push(at.d1()?);
            h = at.value()?;
        }
        let value = last.forward(&h)?.squeeze(1)?;
        // The first cotangent is the same row for every sample.
        let mut g = last.weight.clone();
        for (layer, slope) in hidden.iter().zip(&slopes).rev() {
            g = layer.transposed(&slope.broadcast_mul(&g)?)?;
        }
        Ok((value, g))
    }

    /// Input gradient of a scalar network with its first and, if asked for, second derivative along
    /// `du`, `(g, H du, D^2 g[du, du])`, by carrying tangents through the reverse pass.
    pub(crate) fn grad_tangent(
        &self,
        u: &Tensor,
        du: &Tensor,
        second: bool,
    ) -> Result<(Tensor, Tensor, Option<Tensor>)> {
        let (hidden, last) = self.split();
        let (mut h, mut dh, mut ddh) = (u.clone(), du.clone(), None::<Tensor>);
        let mut slopes = Vec::with_capacity(hidden.len());
        for layer in hidden {
            let at: At = self.activation.at(&layer.forward(&h)?)?;
            let dz = layer.apply(&dh)?;
            let (slope, bend) = (at.d1()?, at.d2()?);
            let dslope = bend.broadcast_mul(&dz)?;
            let mut ddslope = None;
            if second {
                let dz2 = dz.sqr()?;
                let ddz = ddh.as_ref().map(|ddh| layer.apply(ddh)).transpose()?;
                ddslope = Some(plus(at.d3()?.broadcast_mul(&dz2)?, &bend, ddz.as_ref())?);
                ddh = Some(plus(bend.broadcast_mul(&dz2)?, &slope, ddz.as_ref())?);
            }
            dh = slope.broadcast_mul(&dz)?;
            h = at.value()?;
            slopes.push((slope, dslope, ddslope));
        }
        let (mut g, mut dg, mut ddg) = (last.weight.clone(), None::<Tensor>, None::<Tensor>);
        for (layer, (slope, dslope, ddslope)) in hidden.iter().zip(&slopes).rev() {
            if let Some(ddslope) = ddslope {
                let bent = plus(ddslope.broadcast_mul(&g)?, slope, ddg.as_ref())?;
                let bent = plus(bent, &(dslope * 2.0)?, dg.as_ref())?;
                ddg = Some(layer.transposed(&bent)?);
            }
            dg = Some(layer.transposed(&plus(dslope.broadcast_mul(&g)?, slope, dg.as_ref())?)?);
            g = layer.transposed(&slope.broadcast_mul(&g)?)?;
        }
        let dg = dg.expect("a network has a hidden layer");
        Ok((g, dg, ddg))
    }

    /// The jet of the output.
    pub(crate) fn jet(&self, input: &Jet) -> Result<Jet> {
        let (hidden, last) = self.split();
        let mut jet = input.clone();
        for layer in hidden {
            jet = layer.jet(&jet)?.activate(self.activation)?;
        }
        last.jet(&jet)
    }
}

/// `a + b c`, where `c` may vanish.
fn plus(a: Tensor, b: &Tensor, c: Option<&Tensor>) -> Result<Tensor> {
    Ok(match c {
        None => a,
        Some(c) => (a + b.broadcast_mul(c)?)?,
    })
}
