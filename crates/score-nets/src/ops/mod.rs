//! The tensor operations of networks, each with its own backward pass.
//!
//! All of them are channels last: a table is `[B, C]`, an image batch `[B, H, W, C]`, contiguous. Weights have
//! PyTorch's shapes. In `f32` on the CPU they are hand-written kernels ([`crate::fused`]); in any
//! other type and on any other device they are made of candle's operations. `f16` and `bf16` on the
//! CPU are refused.
//!
//! The backward pass of an operation computes the gradients of those arguments that are variables or
//! depend on some, and no others: no weight gradient of a frozen network, no input gradient of a
//! first layer. There are no second derivatives.
//!
//! In `f32` on the CPU the rows of a batch do not depend on the rows beside them, nor anything on the
//! number of threads, bit for bit.
//!
//! ```
//! use candle_core::{DType, Device, Tensor, Var};
//! use score_nets::ops::{Conv, conv2d, group_norm};
//!
//! let x = Tensor::ones((2, 8, 8, 3), DType::F32, &Device::Cpu)?;
//! let w = Var::from_tensor(&x.ones_like()?.narrow(0, 0, 1)?.reshape((8, 3, 4, 2))?)?;
//! let y = conv2d(&x, &w, None, Conv::new(1, [1, 2, 1, 0]))?;
//! assert_eq!(y.dims(), [2, 8, 8, 8]);
//! let z = group_norm(&y, None, None, 4, 1e-6, true)?;
//! let grads = z.sqr()?.sum_all()?.backward()?;
//! assert_eq!(grads.get(&w).map(Tensor::dims), Some(w.dims()));
//! # Ok::<(), score_nets::Error>(())
//! ```

mod activation;
mod add;
mod attention;
mod channels;
mod conv;
mod fir;
mod host;
mod linear;
mod mul;
mod norm;
mod record;
mod silu;
#[cfg(test)]
mod tests;

pub use activation::{activation, activation_times};
pub(crate) use add::add;
pub use add::add_scaled;
pub use attention::attention;
pub use channels::{add_channels, concat};
pub use conv::{Conv, conv2d};
pub use fir::{Fir, fir};
pub use linear::linear;
pub use mul::mul;
pub(crate) use norm::NormAt;
pub use norm::group_norm;
pub use silu::silu;

use crate::fused::rows;
use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// The first of `tensors` says how to compute, and the others must be like it.
fn check_kind(what: &'static str, tensors: &[&Tensor]) -> Result<()> {
    let first = tensors[0];
    let (dtype, place) = (first.dtype(), first.device().location());
    let float = matches!(dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16);
    if !float || (first.device().is_cpu() && matches!(dtype, DType::F16 | DType::BF16)) {
        let needs = format!("f32 or f64 on the CPU, found {} on {place:?}", dtype.as_str());
        return Err(Error::Unsupported { what, needs });
    }
    for other in &tensors[1..] {
        if other.dtype() != dtype || !other.device().same_device(first.device()) {
            let needs = format!(
                "arguments of one kind, found {} on {place:?} and {} on {:?}",
                dtype.as_str(),
                other.dtype().as_str(),
                other.device().location()
            );
            return Err(Error::Unsupported { what, needs });
        }
    }
    Ok(())
}

fn check_shape(what: &str, tensor: &Tensor, expected: &[usize]) -> Result<()> {
    if tensor.dims() == expected {
        return Ok(());
    }
    let found = tensor.dims().to_vec();
    Err(Error::Shape { what: what.into(), expected: expected.to_vec(), found })
}

fn setting(name: &str, value: impl std::fmt::Debug, reason: impl ToString) -> Error {
    Error::Setting { name: name.into(), value: format!("{value:?}"), reason: reason.to_string() }
}

/// Whether `row` is one row, long enough for a pass of its own, of which `shape` has many.
fn is_row(row: &Tensor, shape: &[usize]) -> bool {
    const SHORTEST: usize = 16;
    let ones = row.dims().iter().take_while(|&&n| n == 1).count();
    let fits = row.rank() <= shape.len() && shape.ends_with(&row.dims()[ones..]);
    fits && row.elem_count() >= SHORTEST
}

/// The gradient of `like` from that of its copies, one for each row of `gradient`.
fn sum_of_rows(gradient: Tensor, like: &Tensor) -> Result<Tensor> {
    if gradient.shape() == like.shape() {
        return Ok(gradient);
    }
    let rows = gradient.reshape(((), like.elem_count()))?;
    Ok(sum_to_last(&rows)?.reshape(like.shape())?)
}

/// Sums over all dimensions but the last.
fn sum_to_last(x: &Tensor) -> Result<Tensor> {
    let last = x.dims().last().copied().unwrap_or(1);
    let x = x.contiguous()?.reshape(((), last))?;
    let Some(isa) = host::kernels(&x) else {
        return Ok(x.sum(0)?);
    };
    // Of some rows each, on all threads; then of these.
    const SOME: usize = 1024;
    let values = host::Values::of(&x)?;
    let parts = values.len() / (SOME * last);
    let (whole, rest) = values.split_at(parts * SOME * last);
    let mut sums = rows::sum(isa, whole, [parts, SOME, last]);
    sums.extend(rows::sum(isa, rest, [1, rest.len() / last, last]));
    host::tensor(rows::sum(isa, &sums, [1, parts + 1, last]), &[last])
}
