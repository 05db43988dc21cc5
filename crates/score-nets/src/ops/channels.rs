//! Channels of two arrays beside each other, and the same number added to a whole channel.

use super::host::{self, Values};
use super::record::{Backward, Found, record};
use super::{check_kind, check_shape, setting};
use crate::Result;
use crate::fused::rows;
use candle_core::{D, Tensor};

/// The channels of `a` and then those of `b`.
///
/// # Shapes
/// `a` is `[..., C]`, `b` is `[..., D]` with the same dimensions before; the result is `[..., C + D]`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where these do not fit,
/// [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let a = Tensor::new(&[[1.0], [2.0]], &Device::Cpu)?;
/// let y = score_nets::ops::concat(&a, &a.zeros_like()?)?;
/// assert_eq!(y.to_vec2::<f64>()?, [[1.0, 0.0], [2.0, 0.0]]);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn concat(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (&[.., wide_a], &[.., wide_b]) = (a.dims(), b.dims()) else {
        return Err(setting("arguments of concat", (a.dims(), b.dims()), "expected [..., C]"));
    };
    if wide_a == 0 || wide_b == 0 {
        return Err(setting("arguments of concat", (a.dims(), b.dims()), "expected channels"));
    }
    let mut dims = a.dims().to_vec();
    *dims.last_mut().expect("there is a last dimension") = wide_b;
    check_shape("second argument of concat", b, &dims)?;
    check_kind("concat", &[a, b])?;
    *dims.last_mut().expect("there is a last dimension") = wide_a + wide_b;
    let (x, y) = (a.detach().contiguous()?, b.detach().contiguous()?);
    let both = match host::kernels(a) {
        Some(_) => {
            let both = rows::concat((&Values::of(&x)?, wide_a), (&Values::of(&y)?, wide_b));
            Found::host(both, &dims)
        }
        None => Found::Tensor(Tensor::cat(&[x, y], D::Minus1)?),
    };
    record(both, &[a, b], Concat([wide_a, wide_b]))
}

/// The channels of each.
struct Concat([usize; 2]);

impl Backward for Concat {
    const NAME: &'static str = "concat";

    fn uses(&self, _: usize, _: &[bool]) -> bool {
        false
    }

    fn backward(
        &self,
        args: &[Tensor],
        wanted: &[bool],
        dy: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let [a, b] = self.0;
        let dy = dy.contiguous()?;
        let part = |arg: usize, first: usize, count: usize| -> Result<Option<Tensor>> {
            if !wanted[arg] {
                return Ok(None);
            }
            Ok(Some(match host::kernels(&dy) {
                Some(_) => {
                    let part = rows::columns(&Values::of(&dy)?, a + b, first, count);
                    host::tensor(part, args[arg].dims())?
                }
                None => dy.narrow(D::Minus1, first, count)?.contiguous()?,
            }))
        };
        Ok(vec![part(0, 0, a)?, part(1, a, b)?])
    }
}

/// `x + e`, the same number for all pixels of a channel.
///
/// # Shapes
/// `x` is `[B, ..., C]`, `e` is `[B, C]`; the result is like `x`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where these do not fit,
/// [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[1.0, 2.0, 3.0, 4.0], &Device::Cpu)?.reshape((1, 2, 2))?;
/// let e = Tensor::new(&[[10.0, 20.0]], &Device::Cpu)?;
/// let y = score_nets::ops::add_channels(&x, &e)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f64>()?, [11.0, 22.0, 13.0, 24.0]);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn add_channels(x: &Tensor, e: &Tensor) -> Result<Tensor> {
    let &[batch, .., c] = x.dims() else {
        return Err(setting("image", x.dims(), "expected [B, ..., C]"));
    };
    check_shape("numbers of the channels", e, &[batch, c])?;
    check_kind("add_channels", &[x, e])?;
    let pixels = x.elem_count() / (batch * c).max(1);
    let size = [batch, pixels, c];
    let (image, row) = (x.detach().contiguous()?, e.detach().contiguous()?);
    let y = match host::kernels(x) {
        Some(isa) => {
            let y = rows::add(isa, &Values::of(&image)?, &Values::of(&row)?, size);
            Found::host(y, x.dims())
        }
        None => {
            let y = image.reshape(&size)?.broadcast_add(&row.reshape((batch, 1, c))?)?;
            Found::Tensor(y.reshape(x.shape())?)
        }
    };
    record(y, &[x, e], AddChannels(size))
}

struct AddChannels([usize; 3]);

impl Backward for AddChannels {
    const NAME: &'static str = "add_channels";

    fn uses(&self, _: usize, _: &[bool]) -> bool {
        false
    }

    fn backward(&self, _: &[Tensor], wanted: &[bool], dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let [batch, _, c] = self.0;
        let contiguous = dy.contiguous()?;
        let de = match host::kernels(dy) {
            _ if !wanted[1] => None,
            Some(isa) => {
                let sums = rows::sum(isa, &Values::of(&contiguous)?, self.0);
                Some(host::tensor(sums, &[batch, c])?)
            }
            None => Some(contiguous.reshape(&self.0)?.sum(1)?),
        };
        Ok(vec![Some(dy.clone()), de])
    }
}
