//! SiLU.

use super::check_kind;
use super::host::{self, Values};
use super::record::{Backward, Found, record};
use crate::Result;
use crate::fused::maps;
use candle_core::Tensor;

/// The sigmoid linear unit, `z / (1 + exp(-z))`, element by element.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// # Reference
/// Elfwing, Uchibe and Doya (2018), arXiv:1702.03118.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let y = score_nets::ops::silu(&Tensor::new(&[0.0, 1.0], &Device::Cpu)?)?;
/// assert!((y.to_vec1::<f64>()?[1] - 1.0 / (1.0 + (-1.0_f64).exp())).abs() < 1e-15);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn silu(x: &Tensor) -> Result<Tensor> {
    check_kind("silu", &[x])?;
    let x_only = x.detach();
    let y = match host::kernels(x) {
        Some(isa) => {
            let x = x_only.contiguous()?;
            Found::host(maps::silu(isa, &Values::of(&x)?), x.dims())
        }
        None => Found::Tensor(forward(&x_only)?),
    };
    record(y, &[x], Silu)
}

struct Silu;

impl Backward for Silu {
    const NAME: &'static str = "silu";

    fn backward(&self, args: &[Tensor], _: &[bool], dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let dx = match host::kernels(dy) {
            Some(isa) => {
                let (x, dy) = (args[0].contiguous()?, dy.contiguous()?);
                let dx = maps::silu_gradient(isa, &Values::of(&x)?, &Values::of(&dy)?);
                host::tensor(dx, x.dims())?
            }
            None => gradient(&args[0], dy)?,
        };
        Ok(vec![Some(dx)])
    }
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok((x.neg()?.exp()? + 1.0)?.recip()?)
}

/// The value, of candle's operations.
pub(super) fn forward(x: &Tensor) -> Result<Tensor> {
    Ok((x * sigmoid(x)?)?)
}

/// `dy s (1 + x (1 - s))` with `s = 1 / (1 + exp(-x))`.
pub(super) fn gradient(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let s = sigmoid(x)?;
    let slope = (&s * ((x * (1.0 - &s)?)? + 1.0)?)?;
    Ok((slope * dy)?)
}
