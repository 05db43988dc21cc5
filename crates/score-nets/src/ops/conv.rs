//! Convolutions.

mod composite;

use super::host::{self, Values};
use super::record::{Backward, Found, record};
use super::{check_kind, check_shape, setting, sum_to_last};
use crate::Result;
use crate::fused::conv::{self as kernels, Shape};
use candle_core::Tensor;

/// How a kernel moves over an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Pixels between two positions of the kernel.
    pub stride: usize,
    /// Zeros around the image: top, bottom, left, right.
    pub pad: [usize; 4],
}

impl Conv {
    /// Stride 1 and as many zeros as keep the size of the image, for an odd kernel.
    pub fn same(kernel: usize) -> Self {
        Self::new(1, [kernel / 2; 4])
    }

    /// A stride and zeros at the top, the bottom, the left and the right.
    pub fn new(stride: usize, pad: [usize; 4]) -> Self {
        Self { stride, pad }
    }
}

/// Cross-correlation of images with kernels, as `torch.conv2d` (one group, no dilation):
///
/// $$ y_{hwo} = b_o + \sum_{ijc} w_{ocij}\, x_{hs+i-top,\,ws+j-left,\,c} $$
///
/// # Shapes
/// `x` is `[B, H, W, C]`, `w` is `[O, C, kh, kw]`, `b` is `[O]`; the result is `[B, H', W', O]` with
/// `H' = (H + top + bottom - kh) / stride + 1`, rounded down.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) where the kernel is larger than the padded image or the
/// stride is 0, [`Error::Shape`](crate::Error::Shape) where shapes do not fit,
/// [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use score_nets::ops::{Conv, conv2d};
///
/// let x = Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?.reshape((1, 1, 3, 1))?;
/// let w = Tensor::new(&[1.0, 10.0, 100.0], &Device::Cpu)?.reshape((1, 1, 1, 3))?;
/// let y = conv2d(&x, &w, None, Conv::new(1, [0, 0, 1, 1]))?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f64>()?, [210.0, 321.0, 32.0]);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn conv2d(x: &Tensor, w: &Tensor, b: Option<&Tensor>, conv: Conv) -> Result<Tensor> {
    let shape = shape(x, w, conv)?;
    let args: Vec<&Tensor> = [x, w].into_iter().chain(b).collect();
    check_kind("conv2d", &args)?;
    if let Some(b) = b {
        check_shape("bias of a convolution", b, &[shape.outputs])?;
    }
    let y = forward(&shape, &x.detach(), &w.detach(), b.map(Tensor::detach).as_ref())?;
    record(y, &args, Convolve(shape))
}

/// The sizes of a convolution of `x` with `w`.
fn shape(x: &Tensor, w: &Tensor, conv: Conv) -> Result<Shape> {
    let Conv { stride, pad: [top, bottom, left, right] } = conv;
    let &[outputs, channels, kh, kw] = w.dims() else {
        return Err(setting("kernel", w.dims(), "expected [O, C, kh, kw]"));
    };
    let &[batch, h, width, c] = x.dims() else {
        return Err(setting("image", x.dims(), "expected [B, H, W, C]"));
    };
    if c != channels {
        check_shape("image of a convolution", x, &[batch, h, width, channels])?;
    }
    if w.elem_count() == 0 || stride == 0 {
        return Err(setting("kernel and stride", (w.dims(), stride), "expected no zeros"));
    }
    let along = |n: usize, before: usize, after: usize, kernel: usize| {
        let room = n.checked_add(before)?.checked_add(after)?.checked_sub(kernel)?;
        (n > 0).then_some(room / stride + 1)
    };
    match (along(h, top, bottom, kh), along(width, left, right, kw)) {
        (Some(rows), Some(columns)) => Ok(Shape {
            batch,
            input: [h, width],
            output: [rows, columns],
            channels,
            outputs,
            kernel: [kh, kw],
            stride,
            before: [top, left],
            after: [bottom, right],
        }),
        _ => {
            let reason = format!("larger than an image of {h} x {width} padded {:?}", conv.pad);
            Err(setting("kernel", [kh, kw], reason))
        }
    }
}

/// The sizes of an image batch.
fn image(shape: &Shape, size: [usize; 2], channels: usize) -> [usize; 4] {
    [shape.batch, size[0], size[1], channels]
}

fn forward(shape: &Shape, x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Found> {
    let Some(isa) = host::kernels(x) else {
        return Ok(Found::Tensor(composite::forward(shape, x, w, b)?));
    };
    let (x, w, b) = (x.contiguous()?, w.contiguous()?, b.map(Tensor::contiguous).transpose()?);
    let b = b.as_ref().map(Values::of).transpose()?;
    let y = kernels::forward(isa, shape, &Values::of(&x)?, &Values::of(&w)?, b.as_deref());
    Ok(Found::host(y, &image(shape, shape.output, shape.outputs)))
}

fn input_gradient(shape: &Shape, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let Some(isa) = host::kernels(dy) else {
        return composite::input_gradient(shape, dy, w);
    };
    let (dy, w) = (dy.contiguous()?, w.contiguous()?);
    let dx = kernels::input_gradient(isa, shape, &Values::of(&dy)?, &Values::of(&w)?);
    host::tensor(dx, &image(shape, shape.input, shape.channels))
}

fn weight_gradient(shape: &Shape, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let Some(isa) = host::kernels(x) else {
        return composite::weight_gradient(shape, x, dy);
    };
    let (x, dy) = (x.contiguous()?, dy.contiguous()?);
    let dw = kernels::weight_gradient(isa, shape, &Values::of(&x)?, &Values::of(&dy)?);
    host::tensor(dw, &[shape.outputs, shape.channels, shape.kernel[0], shape.kernel[1]])
}

struct Convolve(Shape);

impl Backward for Convolve {
    const NAME: &'static str = "conv2d";

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
        let (shape, x, w) = (&self.0, &args[0], &args[1]);
        let dx = match wanted[0] {
            true => Some(input_gradient(shape, dy, w)?),
            false => None,
        };
        let dw = match wanted[1] {
            true => Some(weight_gradient(shape, x, dy)?),
            false => None,
        };
        let db = match wanted.get(2) {
            Some(true) => Some(sum_to_last(dy)?),
            _ => None,
        };
        Ok(vec![dx, dw, db])
    }
}
