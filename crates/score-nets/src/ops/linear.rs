//! Linear layers.

use super::host::{self, Values};
use super::record::{Backward, Found, record};
use super::{check_kind, check_shape, setting, sum_to_last};
use crate::Result;
use crate::fused::conv::{self as kernels, Shape};
use crate::fused::layer::{self, Size};
use candle_core::Tensor;

/// `y = x W^T + b`, over the last dimension.
///
/// # Shapes
/// `x` is `[..., I]`, `w` is `[O, I]`, `b` is `[O]`; the result is `[..., O]`.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where these do not fit,
/// [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let x = Tensor::new(&[[1.0, 2.0]], &Device::Cpu)?;
/// let w = Tensor::new(&[[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]], &Device::Cpu)?;
/// let y = score_nets::ops::linear(&x, &w, None)?;
/// assert_eq!(y.to_vec2::<f64>()?, [[11.0, 17.0, 23.0]]);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn linear(x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
    let (o, i) = match *w.dims() {
        [o, i] if o > 0 && i > 0 => (o, i),
        _ => return Err(setting("weight of a linear layer", w.dims(), "expected [O, I]")),
    };
    let mut shape = x.dims().to_vec();
    match shape.last_mut() {
        Some(last) if *last == i => *last = o,
        _ => {
            return Err(setting(
                "input of a linear layer",
                x.dims(),
                format!("expected [..., {i}]"),
            ));
        }
    }
    let args: Vec<&Tensor> = [x, w].into_iter().chain(b).collect();
    check_kind("linear", &args)?;
    if let Some(b) = b {
        check_shape("bias of a linear layer", b, &[o])?;
    }
    let y = forward(&rows(&x.detach())?, &w.detach(), b.map(Tensor::detach).as_ref(), &shape)?;
    record(y, &args, Linear)
}

fn rows(x: &Tensor) -> Result<Tensor> {
    let last = x.dims()[x.rank() - 1];
    let count = x.elem_count() / last;
    Ok(x.contiguous()?.reshape((count, last))?)
}

/// The sizes for the kernels, from rows `[R, I]` and weights `[O, I]`.
fn shape(x: &Tensor, w: &Tensor) -> Result<Shape> {
    let ((rows, _), (outputs, inputs)) = (x.dims2()?, w.dims2()?);
    Ok(Shape::linear(rows, inputs, outputs))
}

/// Of rows; `dims` are those of the result.
fn forward(x: &Tensor, w: &Tensor, b: Option<&Tensor>, dims: &[usize]) -> Result<Found> {
    let Some(isa) = host::kernels(x) else {
        let mut y = x.matmul(&w.t()?)?;
        if let Some(b) = b {
            y = y.broadcast_add(b)?;
        }
        return Ok(Found::Tensor(y.reshape(dims)?));
    };
    let (w, b) = (w.contiguous()?, b.map(Tensor::contiguous).transpose()?);
    let b = b.as_ref().map(Values::of).transpose()?;
    let shape = shape(x, &w)?;
    let y = kernels::forward(isa, &shape, &Values::of(x)?, &Values::of(&w)?, b.as_deref());
    Ok(Found::host(y, dims))
}

fn input_gradient(dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let Some(isa) = host::kernels(dy) else {
        return Ok(dy.matmul(w)?);
    };
    let w = w.contiguous()?;
    let shape = shape(dy, &w)?;
    let dx = kernels::input_gradient(isa, &shape, &Values::of(dy)?, &Values::of(&w)?);
    host::tensor(dx, &[shape.batch, shape.channels])
}

fn weight_gradient(x: &Tensor, w: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let Some(isa) = host::kernels(x) else {
        return Ok(dy.t()?.matmul(x)?);
    };
    let shape = shape(x, w)?;
    let dw = kernels::weight_gradient(isa, &shape, &Values::of(x)?, &Values::of(dy)?);
    host::tensor(dw, w.dims())
}

struct Linear;

impl Backward for Linear {
    const NAME: &'static str = "linear";

    fn uses(&self, arg: usize, wanted: &[bool]) -> bool {
        // Of a product, the other factor.
        match arg {
            0 => wanted[1],
            1 => wanted[0],
            _ => false,
        }
    }

    fn backward(
        &self,
        args: &[Tensor],
        wanted: &[bool],
        dy: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let (x, w) = (&args[0], &args[1]);
        let rows_of_dy = rows(dy)?;
        let dx = match wanted[0] {
            true => Some(input_gradient(&rows_of_dy, w)?.reshape(x.shape())?),
            false => None,
        };
        let wants_b = matches!(wanted.get(2), Some(true));
        if let (true, Some(isa)) = (wanted[1], host::kernels(dy)) {
            let x = rows(x)?;
            let shape = shape(&x, w)?;
            let size = Size { rows: shape.batch, inputs: shape.channels, outputs: shape.outputs };
            if size.suits() {
                let (x, dy) = (Values::of(&x)?, Values::of(&rows_of_dy)?);
                let (dw, db) = layer::gradients(isa, size, &x, &dy);
                let dw = host::tensor(dw, w.dims())?;
                let db = wants_b.then(|| host::tensor(db, &[size.outputs])).transpose()?;
                return Ok(vec![dx, Some(dw), db]);
            }
        }
        let dw = match wanted[1] {
            true => Some(weight_gradient(&rows(x)?, w, &rows_of_dy)?),
            false => None,
        };
        let db = if wants_b { Some(sum_to_last(dy)?) } else { None };
        Ok(vec![dx, dw, db])
    }
}
