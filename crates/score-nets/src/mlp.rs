//! The fully connected network: value, reverse pass for input gradients, tangents and jets.

use candle_core::Tensor;
use candle_nn::{VarBuilder, init::DEFAULT_KAIMING_UNIFORM};

use crate::{Activation, Error, Jet, NetConfig, Result, ops};

/// An affine layer `z = W h + b`, `W` `[out, in]`.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Tensor,
    pub(crate) bias: Tensor,
}

impl Linear {
    /// `W h + b` for rows `h`.
    pub(crate) fn forward(&self, h: &Tensor) -> Result<Tensor> {
        ops::linear(h, &self.weight, Some(&self.bias))
    }

    /// `W h` for rows `h`.
    pub(crate) fn apply(&self, h: &Tensor) -> Result<Tensor> {
        ops::linear(h, &self.weight, None)
    }

    /// The jet of `W h + b`.
    fn jet(&self, h: &Jet) -> Result<Jet> {
        h.linear(&self.weight, Some(&self.bias))
    }

    /// `W^T g` for rows `g`.
    fn transposed(&self, g: &Tensor) -> Result<Tensor> {
        ops::linear(g, &self.weight.t()?, None)
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
            h = ops::activation(&layer.forward(&h)?, self.activation, 0)?;
        }
        last.forward(&h)
    }

    /// Input gradient `[B, K]` of a scalar network: the forward pass, then the vector-Jacobian product of each
    /// layer, all of it differentiable once more.
    pub(crate) fn grad(&self, u: &Tensor) -> Result<Tensor> {
        let (hidden, last) = self.split();
        let mut z = Vec::<Tensor>::with_capacity(hidden.len());
        for layer in hidden {
            let h = match z.last() {
                None => u.clone(),
                Some(z) => ops::activation(z, self.activation, 0)?,
            };
            z.push(layer.forward(&h)?);
        }
        // The first cotangent is the same row for every sample.
        let mut g = last.weight.clone();
        for (layer, z) in hidden.iter().zip(&z).rev() {
            g = layer.transposed(&ops::activation_times(z, &g, self.activation, 1)?)?;
        }
        Ok(g)
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
        let act = self.activation;
        let mut slopes = Vec::with_capacity(hidden.len());
        for layer in hidden {
            let z = layer.forward(&h)?;
            let dz = layer.apply(&dh)?;
            let dslope = ops::activation_times(&z, &dz, act, 2)?;
            let mut ddslope = None;
            if second {
                let dz2 = ops::mul(&dz, &dz)?;
                let ddz = ddh.as_ref().map(|ddh| layer.apply(ddh)).transpose()?;
                let along = |order| {
                    ddz.as_ref().map(|ddz| ops::activation_times(&z, ddz, act, order)).transpose()
                };
                let ddz2 = |order| ops::activation_times(&z, &dz2, act, order);
                ddslope = Some(plus(ddz2(3)?, along(2)?)?);
                ddh = Some(plus(ddz2(2)?, along(1)?)?);
            }
            dh = ops::activation_times(&z, &dz, act, 1)?;
            h = ops::activation(&z, act, 0)?;
            slopes.push((z, dslope, ddslope));
        }
        let (mut g, mut dg, mut ddg) = (last.weight.clone(), None::<Tensor>, None::<Tensor>);
        for (layer, (z, dslope, ddslope)) in hidden.iter().zip(&slopes).rev() {
            let sloped = |t: &Tensor| ops::activation_times(z, t, act, 1);
            if let Some(ddslope) = ddslope {
                let bent = plus(ops::mul(ddslope, &g)?, ddg.as_ref().map(sloped).transpose()?)?;
                let twice = dg.as_ref().map(|dg| Ok::<_, Error>((ops::mul(dslope, dg)? * 2.0)?));
                ddg = Some(layer.transposed(&plus(bent, twice.transpose()?)?)?);
            }
            let bent = plus(ops::mul(dslope, &g)?, dg.as_ref().map(sloped).transpose()?)?;
            dg = Some(layer.transposed(&bent)?);
            g = layer.transposed(&sloped(&g)?)?;
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

/// `a + b`, where `b` may vanish.
fn plus(a: Tensor, b: Option<Tensor>) -> Result<Tensor> {
    match b {
        None => Ok(a),
        Some(b) => ops::add(&a, &b),
    }
}
