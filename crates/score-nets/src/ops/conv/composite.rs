//! Convolutions of candle's operations: its forward convolution and its products, never its backward.

use crate::Result;
use crate::fused::conv::Shape;
use candle_core::Tensor;

/// Along `dim`, `before` zeros first and then as many as make `to` numbers; negative counts leave
/// numbers out.
fn fit(x: &Tensor, dim: usize, before: isize, to: usize) -> Result<Tensor> {
    let drop = before.min(0).unsigned_abs();
    let x = x.narrow(dim, drop, x.dim(dim)? - drop)?;
    let before = before.max(0) as usize;
    let kept = x.dim(dim)?.min(to - before);
    Ok(x.narrow(dim, 0, kept)?.pad_with_zeros(dim, before, to - before - kept)?)
}

/// `stride - 1` zeros after each number along `dim`.
fn spread(x: &Tensor, dim: usize, stride: usize) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    dims.insert(dim + 1, 1);
    let wide = x.contiguous()?.reshape(dims)?.pad_with_zeros(dim + 1, 0, stride - 1)?;
    let mut dims = x.dims().to_vec();
    dims[dim] *= stride;
    Ok(wide.reshape(dims)?)
}

fn channels_first(x: &Tensor) -> Result<Tensor> {
    Ok(x.permute((0, 3, 1, 2))?.contiguous()?)
}

fn channels_last(x: &Tensor) -> Result<Tensor> {
    Ok(x.permute((0, 2, 3, 1))?.contiguous()?)
}

/// The padded image, channels first.
fn padded(shape: &Shape, x: &Tensor) -> Result<Tensor> {
    let mut x = channels_first(x)?;
    for axis in 0..2 {
        let (before, after) = (shape.before[axis], shape.after[axis]);
        x = x.pad_with_zeros(2 + axis, before, after)?;
    }
    Ok(x)
}

pub(super) fn forward(shape: &Shape, x: &Tensor, w: &Tensor, b: Option<&Tensor>) -> Result<Tensor> {
    let x = padded(shape, x)?;
    let y = channels_last(&x.conv2d(&w.contiguous()?, 0, shape.stride, 1, 1)?)?;
    Ok(match b {
        Some(b) => y.broadcast_add(b)?,
        None => y,
    })
}

/// A convolution of the gradient, with zeros between its pixels where the stride is larger than 1,
/// with the kernel turned round.
pub(super) fn input_gradient(shape: &Shape, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let mut dy = channels_first(dy)?;
    for axis in 0..2 {
        let kernel = shape.kernel[axis];
        let before = kernel as isize - 1 - shape.before[axis] as isize;
        dy = spread(&dy, 2 + axis, shape.stride)?;
        dy = fit(&dy, 2 + axis, before, shape.input[axis] + kernel - 1)?;
    }
    let w = w.flip(&[2, 3])?.transpose(0, 1)?.contiguous()?;
    channels_last(&dy.conv2d(&w, 0, 1, 1, 1)?)
}

/// For each place of the kernel, the product of the gradient with the pixels that it saw.
pub(super) fn weight_gradient(shape: &Shape, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let Shape { stride, channels, outputs, kernel: [kh, kw], output: [rows, columns], .. } = *shape;
    let x = padded(shape, x)?.transpose(0, 1)?.contiguous()?; // [C, B, H, W]
    let dy = dy.contiguous()?.reshape(((), outputs))?;
    let every = |x: &Tensor, dim: usize, first: usize, count: usize| -> Result<Tensor> {
        let at: Vec<u32> = (0..count).map(|i| (first + stride * i) as u32).collect();
        Ok(x.index_select(&Tensor::from_vec(at, count, x.device())?, dim)?)
    };
    let mut places = Vec::with_capacity(kh * kw);
    for i in 0..kh {
        let x = every(&x, 2, i, rows)?;
        for j in 0..kw {
            let x = every(&x, 3, j, columns)?.reshape((channels, ()))?;
            places.push(x.matmul(&dy)?); // [C, O]
        }
    }
    let dw = Tensor::stack(&places, 0)?.permute((2, 1, 0))?.contiguous()?;
    Ok(dw.reshape((outputs, channels, kh, kw))?)
}
