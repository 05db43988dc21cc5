//! Sums of two arrays, scaled.

use super::host::{self, Values};
use super::record::{Backward, Found, record};
use super::{check_kind, check_shape};
use crate::Result;
use crate::fused::maps;
use candle_core::Tensor;

/// `factor (a + b)`, number by number: the sum of a residual and its shortcut, rescaled by
/// `1 / sqrt 2` in some networks.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where `b` has not the shape of `a`,
/// [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let a = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
/// let y = score_nets::ops::add_scaled(&a, &a, 0.5)?;
/// assert_eq!(y.to_vec1::<f64>()?, [1.0, 2.0]);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn add_scaled(a: &Tensor, b: &Tensor, factor: f64) -> Result<Tensor> {
    check_kind("add_scaled", &[a, b])?;
    check_shape("second term of a sum", b, a.dims())?;
    let (only_a, only_b) = (a.detach().contiguous()?, b.detach().contiguous()?);
    let y = match host::kernels(a) {
        Some(isa) => {
            let values =
                maps::add_scaled(isa, &Values::of(&only_a)?, &Values::of(&only_b)?, factor as f32);
            Found::host(values, a.dims())
        }
        None => Found::Tensor(((only_a + only_b)? * factor)?),
    };
    record(y, &[a, b], AddScaled(factor))
}

/// `a + b`, either broadcast to the other.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if host::kernels(a).is_some() && a.dims() == b.dims() {
        return add_scaled(a, b, 1.0);
    }
    Ok(a.broadcast_add(b)?)
}

struct AddScaled(f64);

impl Backward for AddScaled {
    const NAME: &'static str = "add_scaled";

    fn uses(&self, _: usize, _: &[bool]) -> bool {
        false
    }

    fn backward(&self, _: &[Tensor], _: &[bool], dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let scaled = match host::kernels(dy) {
            _ if self.0 == 1.0 => dy.clone(),
            Some(isa) => {
                let dy = dy.contiguous()?;
                host::tensor(maps::scale(isa, &Values::of(&dy)?, self.0 as f32), dy.dims())?
            }
            None => (dy * self.0)?,
        };
        Ok(vec![Some(scaled.clone()), Some(scaled)])
    }
}
