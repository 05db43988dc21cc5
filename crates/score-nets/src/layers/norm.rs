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
        match self.at(x)? {
            Some(at) => x.affine(value, |direction| at.along(direction)),
            None => self.composed(x)?.replace(value),
        }
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

    /// The derivative by the kernels: where there are some, first derivatives alone, and no gradient is asked for.
    fn at(&self, x: &Jet) -> Result<Option<ops::NormAt>> {
        let tracked = (0..x.n_directions()).filter_map(|a| x.first(a)).any(Tensor::track_op);
        if tracked || x.n_combinations() > 0 {
            return Ok(None);
        }
        ops::NormAt::of(&x.value, &self.weight, self.groups, self.eps)
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

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use sde_core::Key;

    use super::*;

    fn normals(seed: u64, shape: &[usize]) -> Tensor {
        let mut x = vec![0.0; shape.iter().product()];
        Key::root(seed).fill_normals(0, &mut x);
        Tensor::from_vec(x, shape, &Device::Cpu).expect("as many as the shape says")
    }

    /// The derivatives by the kernels, in single precision, against those by the algebra of jets in double precision.
    #[test]
    fn kernels_and_jets_have_the_same_derivatives() {
        for (shape, groups) in [([3, 4, 4, 16], 4), ([2, 1, 3, 24], 24), ([1, 5, 1, 6], 1)] {
            let channels = shape[3];
            let (weight, bias) = (normals(1, &[channels]), normals(2, &[channels]));
            let exact = GroupNorm { weight, bias, groups, eps: 1e-5 };
            let single = |t: &Tensor| t.to_dtype(DType::F32).expect("single precision");
            let fast = GroupNorm {
                weight: single(&exact.weight),
                bias: single(&exact.bias),
                ..exact.clone()
            };
            // A direction may have one row for all.
            let one_row = [1, shape[1], shape[2], channels];
            let (x, v) = (normals(3, &shape), [normals(4, &shape), normals(5, &one_row)]);
            let slow = Jet::input(x.clone(), v.to_vec(), vec![]);
            let quick = Jet::input(single(&x), v.iter().map(single).collect(), vec![]);
            assert!(fast.at(&quick).expect("a derivative").is_some());
            assert!(exact.at(&slow).expect("none").is_none());
            for silu in [false, true] {
                let of = |norm: &GroupNorm, x: &Jet| match silu {
                    true => norm.forward_silu(x),
                    false => norm.forward(x),
                };
                let found = of(&fast, &quick).expect("a jet");
                let expected = of(&exact, &slow).expect("a jet");
                for a in 0..2 {
                    let numbers = |jet: &Jet| -> Vec<f64> {
                        let along = jet.first_or_zero(a).and_then(|t| {
                            Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?)
                        });
                        along.expect("numbers")
                    };
                    let (found, expected) = (numbers(&found), numbers(&expected));
                    let most = expected.iter().fold(0.0, |m: f64, e| m.max(e.abs()));
                    for (f, e) in found.iter().zip(&expected) {
                        assert!((f - e).abs() < 3e-6 * most, "{f} for {e}");
                    }
                }
            }
        }
    }

    /// Where gradients are asked for, derivatives stay attached to the parameters.
    #[test]
    fn tracked_arguments_go_through_jets() {
        let var = |seed| candle_core::Var::from_tensor(&normals(seed, &[4])).expect("a variable");
        let single = |t: &Tensor| t.to_dtype(DType::F32).expect("single precision");
        let weight = candle_core::Var::from_tensor(&single(&var(1))).expect("a variable");
        let norm = GroupNorm {
            weight: weight.as_tensor().clone(),
            bias: single(&normals(2, &[4])),
            groups: 2,
            eps: 1e-5,
        };
        let (x, v) = (single(&normals(3, &[2, 3, 4])), single(&normals(4, &[2, 3, 4])));
        let jet = norm.forward(&Jet::input(x, vec![v], vec![])).expect("a jet");
        let along = jet.first_or_zero(0).expect("a derivative");
        let gradients = along.sqr().and_then(|t| t.sum_all()).and_then(|t| t.backward());
        assert!(gradients.expect("gradients").get(&weight).is_some());
    }
}
