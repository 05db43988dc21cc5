//! Attention of all pixels to all.

use candle_core::{D, Tensor};

use crate::{Jet, Result, ops};

/// `softmax(scale q k^T) v` in every head, for `q`, `k`, `v` of `[B, N, heads, d]`.
///
/// # Errors
/// [`crate::Error::Setting`] for shapes that do not belong together.
pub fn attention(q: &Jet, k: &Jet, v: &Jet, scale: f64) -> Result<Jet> {
    let value = ops::attention(&q.value, &k.value, &v.value, scale)?;
    if [q, k, v].iter().all(|j| j.is_constant()) {
        return Ok(Jet::constant(value));
    }
    // [B, heads, N, d]
    let heads_first = |j: &Jet| j.map(|t| Ok(t.transpose(1, 2)?.contiguous()?));
    let (q, k, v) = (heads_first(q)?, heads_first(k)?, heads_first(v)?);
    let product = |a: &Tensor, b: &Tensor| {
        Ok((a.broadcast_matmul(&b.transpose(2, 3)?.contiguous()?)? * scale)?)
    };
    let weights = softmax(&q.bilinear(&k, product)?)?;
    let y = weights.matmul(&v)?;
    y.map(|t| Ok(t.transpose(1, 2)?.contiguous()?))?.replace(value)
}

/// `exp(z) / sum exp(z)` over the last dimension.
fn softmax(z: &Jet) -> Result<Jet> {
    // Taken off before the exponential, the largest changes nothing but the range.
    let largest = z.value.max_keepdim(D::Minus1)?.detach();
    let z = z.shift(&largest.neg()?)?;
    let e = z.value.exp()?;
    let e = z.apply(e.clone(), || Ok(e.clone()), || Ok(e.clone()))?;
    let sum = e.map(|t| Ok(t.sum_keepdim(D::Minus1)?))?;
    e.mul(&super::reciprocal(&sum)?)
}
