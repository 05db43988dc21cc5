//! Attention.

use super::host::{self, Strided, Values};
use super::record::{Backward, Found, record};
use super::{check_kind, setting};
use crate::Result;
use crate::fused::attention::Attention as Sizes;
use candle_core::{D, Tensor};
use std::sync::{Arc, OnceLock};

/// Scaled dot-product attention, `softmax(scale q k^T) v` for each head.
///
/// # Shapes
/// `q` is `[B, N, heads, d]`, `k` and `v` are `[B, M, heads, d]`, views with any strides; the result
/// is `[B, N, heads, d]`.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) where the shapes do not fit,
/// [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// # Reference
/// Vaswani et al. (2017), arXiv:1706.03762, equation 1.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let q = Tensor::new(&[0.0, 0.0], &Device::Cpu)?.reshape((1, 1, 1, 2))?;
/// let k = Tensor::new(&[1.0, 2.0, 3.0, 4.0], &Device::Cpu)?.reshape((1, 2, 1, 2))?;
/// let y = score_nets::ops::attention(&q, &k, &k, 0.5)?; // Zero queries: the mean of the values.
/// assert_eq!(y.flatten_all()?.to_vec1::<f64>()?, [2.0, 3.0]);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let fits = match (q.dims(), k.dims()) {
        (&[b, n, heads, d], &[b2, m, heads2, d2]) => {
            b * n * m * heads * d > 0 && (b, heads, d) == (b2, heads2, d2) && v.dims() == k.dims()
        }
        _ => false,
    };
    if !fits {
        let shapes = (q.dims(), k.dims(), v.dims());
        let reason = "expected q [B, N, heads, d] and k, v [B, M, heads, d]";
        return Err(setting("arguments of attention", shapes, reason));
    }
    check_kind("attention", &[q, k, v])?;
    let sizes = Sizes {
        batch: q.dims()[0],
        heads: q.dims()[2],
        queries: q.dims()[1],
        keys: k.dims()[1],
        width: q.dims()[3],
        scale,
    };
    if let Some(isa) = host::kernels(q) {
        let tensors = [rows(q)?, rows(k)?, rows(v)?];
        let y = {
            let [q, k, v] = &tensors;
            let [q, k, v] = [Strided::of(q)?, Strided::of(k)?, Strided::of(v)?];
            sizes.forward(isa, q.heads(), k.heads(), v.heads())
        };
        return attended(Found::host(y, q.dims()), [q, k, v], sizes);
    }
    let [qh, kh, vh] =
        [heads_first(&q.detach())?, heads_first(&k.detach())?, heads_first(&v.detach())?];
    let y = probabilities(&qh, &kh, scale)?.matmul(&vh)?;
    attended(Found::Tensor(heads_last(&y)?), [q, k, v], sizes)
}

/// The tensor, or a copy of it where the numbers of a head are not neighbours.
fn rows(x: &Tensor) -> Result<Tensor> {
    let x = x.detach();
    Ok(if x.stride()[3] == 1 || x.dims()[3] == 1 { x } else { x.contiguous()? })
}

/// `[B, N, heads, d]` to `[B, heads, N, d]`
fn heads_first(x: &Tensor) -> Result<Tensor> {
    Ok(x.transpose(1, 2)?.contiguous()?)
}

/// `[B, heads, N, d]` to `[B, N, heads, d]`
fn heads_last(x: &Tensor) -> Result<Tensor> {
    Ok(x.transpose(1, 2)?.contiguous()?)
}

/// `softmax(scale q k^T)`, `[B, heads, N, M]`.
fn probabilities(q: &Tensor, k: &Tensor, scale: f64) -> Result<Tensor> {
    let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? * scale)?;
    let e = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
    Ok(e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?)
}

struct Attention {
    sizes: Sizes,
    /// The result, which the gradient needs.
    result: Arc<OnceLock<Tensor>>,
}

fn attended(y: Found, args: [&Tensor; 3], sizes: Sizes) -> Result<Tensor> {
    let result = Arc::new(OnceLock::new());
    let y = record(y, &args, Attention { sizes, result: result.clone() })?;
    let _ = result.set(y.detach());
    Ok(y)
}

impl Backward for Attention {
    const NAME: &'static str = "attention";

    fn backward(
        &self,
        args: &[Tensor],
        wanted: &[bool],
        dy: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let y = self.result.get().unwrap_or(dy);
        if let Some(isa) = host::kernels(dy) {
            let [q, k, v] = [rows(&args[0])?, rows(&args[1])?, rows(&args[2])?];
            let [q, k, v] = [Strided::of(&q)?, Strided::of(&k)?, Strided::of(&v)?];
            let inputs = [q.heads(), k.heads(), v.heads()];
            let (y, dy) = (y.contiguous()?, dy.contiguous()?);
            let gradients = self.sizes.backward(isa, inputs, &Values::of(&y)?, &Values::of(&dy)?);
            let tensors = gradients.into_iter().zip(args);
            return tensors.map(|(dx, arg)| host::tensor(dx, arg.dims()).map(Some)).collect();
        }
        let [q, k, v] = [heads_first(&args[0])?, heads_first(&args[1])?, heads_first(&args[2])?];
        let [y, dy] = [heads_first(y)?, heads_first(dy)?];
        let p = probabilities(&q, &k, self.sizes.scale)?;
        let transposed = |x: &Tensor| x.transpose(2, 3)?.contiguous();
        let dv = match wanted[2] {
            true => Some(heads_last(&transposed(&p)?.matmul(&dy)?)?),
            false => None,
        };
        if !wanted[0] && !wanted[1] {
            return Ok(vec![None, None, dv]);
        }
        // The gradient of the scores: p (dp - sum of p dp), the sum being that of y dy.
        let dp = dy.matmul(&transposed(&v)?)?;
        let mean = (&y * &dy)?.sum_keepdim(D::Minus1)?;
        let ds = ((p * dp.broadcast_sub(&mean)?)? * self.sizes.scale)?;
        let dq = match wanted[0] {
            true => Some(heads_last(&ds.matmul(&k)?)?),
            false => None,
        };
        let dk = match wanted[1] {
            true => Some(heads_last(&transposed(&ds)?.matmul(&q)?)?),
            false => None,
        };
        Ok(vec![dq, dk, dv])
    }
}
