//! Products, number by number.

use super::host::{self, Values};
use super::record::{Backward, Found, record};
use super::{check_kind, is_row, sum_of_rows};
use crate::Result;
use crate::fused::{Isa, maps};
use candle_core::Tensor;

/// `a b`, number by number.
///
/// # Shapes
/// `a` and `b` have one shape, or shapes that broadcast to one.
///
/// # Errors
/// Whatever candle fails with where the shapes do not fit;
/// [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let a = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// let b = Tensor::new(&[[10.0, 20.0]], &Device::Cpu)?; // a row for both
/// assert_eq!(score_nets::ops::mul(&a, &b)?.to_vec2::<f64>()?, [[10.0, 40.0], [30.0, 80.0]]);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    check_kind("mul", &[a, b])?;
    let (a, b) = if a.elem_count() < b.elem_count() { (b, a) } else { (a, b) };
    let Some(isa) = host::kernels(a).filter(|_| a.dims() == b.dims() || is_row(b, a.dims())) else {
        return Ok(a.broadcast_mul(b)?);
    };
    let y = product(isa, &a.detach(), &b.detach())?;
    record(y, &[a, b], Mul(isa))
}

/// `b` may be a row.
fn product(isa: Isa, a: &Tensor, b: &Tensor) -> Result<Found> {
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    Ok(Found::host(maps::mul(isa, &Values::of(&a)?, &Values::of(&b)?), a.dims()))
}

struct Mul(Isa);

impl Backward for Mul {
    const NAME: &'static str = "mul";

    fn backward(
        &self,
        args: &[Tensor],
        wanted: &[bool],
        dy: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (a, b) = (&args[0], &args[1]);
        let da = wanted[0].then(|| product(self.0, dy, b)?.tensor()).transpose()?;
        let db =
            wanted[1].then(|| sum_of_rows(product(self.0, dy, a)?.tensor()?, b)).transpose()?;
        Ok(vec![da, db])
    }
}
