//! Dropout whose noise is a function of the key and the row.

use candle_core::{Device, Tensor};
use sde_core::Key;

use crate::{Condition, Error, Jet, Result, Training};

/// A number for a layer's name (FNV-1a), the same everywhere.
fn layer_number(name: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Sets elements to zero with probability `p` in training and divides the others by `1 - p`.
///
/// What a row loses is a function of the key of the step, the layer's name and the row's number, so that a
/// batch can be cut anywhere.
#[derive(Clone, Debug)]
pub struct Dropout {
    p: f64,
    layer: u64,
}

impl Dropout {
    /// With probability `p`, in the layer of this name.
    ///
    /// # Errors
    /// [`Error::Setting`] for `p` outside `[0, 1)`.
    pub fn new(p: f64, layer: &str) -> Result<Self> {
        check_probability("dropout", p)?;
        Ok(Self { p, layer: layer_number(layer) })
    }

    /// Of `[B, ...]`; nothing happens outside of training.
    ///
    /// # Errors
    /// Whatever candle fails with.
    pub fn forward(&self, x: &Jet, condition: &Condition) -> Result<Jet> {
        match condition.training {
            Some(training) if self.p > 0.0 => {
                let mask = self.mask(&x.value, training)?;
                x.map(|t| Ok(t.broadcast_mul(&mask)?))
            }
            _ => Ok(x.clone()),
        }
    }

    fn mask(&self, like: &Tensor, training: Training) -> Result<Tensor> {
        let n = like.elem_count() / like.dim(0)?.max(1);
        let mut mask = vec![0.0; like.elem_count()];
        let key = training.key.fold(self.layer);
        for (b, row) in mask.chunks_mut(n.max(1)).enumerate() {
            row_key(key, training, b).fill_uniforms(0, row);
            row.iter_mut().for_each(|u| *u = if *u < self.p { 0.0 } else { 1.0 / (1.0 - self.p) });
        }
        let mask = Tensor::from_vec(mask, like.shape(), &Device::Cpu)?;
        Ok(mask.to_dtype(like.dtype())?.to_device(like.device())?)
    }
}

/// In training, takes the class of every row away with probability `p` (Ho and Salimans 2022).
///
/// # Errors
/// [`Error::Setting`] for `p` outside `[0, 1)` and for labels that are no classes.
pub fn drop_labels(
    condition: &Condition,
    p: f64,
    rows: usize,
    n_classes: usize,
    like: &Tensor,
) -> Result<Condition> {
    check_probability("label dropout", p)?;
    let Some(training) = condition.training.filter(|_| p > 0.0) else {
        return Ok(condition.clone());
    };
    let Some(weights) = condition.one_hot(rows, n_classes, like)? else {
        return Ok(condition.clone());
    };
    let key = training.key.fold(layer_number("label dropout"));
    let keep = |b: usize| {
        let mut u = [0.0];
        row_key(key, training, b).fill_uniforms(0, &mut u);
        f64::from(u8::from(u[0] >= p))
    };
    let keep = Tensor::from_vec((0..rows).map(keep).collect(), (rows, 1), &Device::Cpu)?;
    let keep = keep.to_dtype(weights.dtype())?.to_device(weights.device())?;
    Ok(Condition { labels: Some(weights.broadcast_mul(&keep)?), training: Some(training) })
}

fn row_key(key: Key, training: Training, b: usize) -> Key {
    key.fold(training.first_row.wrapping_add(b as u64))
}

pub(crate) fn check_probability(name: &str, p: f64) -> Result<()> {
    if (0.0..1.0).contains(&p) {
        return Ok(());
    }
    Err(Error::setting(name, p, "must be a probability below 1"))
}
