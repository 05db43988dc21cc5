//! Convolutions of images, channels last, and their gradients.
//!
//! A convolution is a product of the pixels that the kernel sees with its weights. No matrix of these
//! pixels is made: an image gets its zeros around it, and each pixel of the output gathers what it
//! sees, a row of the kernel at a time, which is contiguous. The gradient of the input is the same
//! with the kernel turned round; where the stride is larger than one, once for each kind of pixel.
//! Kernels of 3 x 3 with stride 1 on many channels take fewer products, by Winograd's algorithm.
//!
//! Numbers are summed in blocks of a fixed size, so that no result depends on the number of threads
//! and no pixel on its batch.

mod pass;
mod shape;
mod weights;
mod window;
mod winograd;

pub(crate) use shape::Shape;

use super::Isa;
use super::isa::on_registers;
use super::shared::filled;
use pass::Pass;
use weights::WeightGradient;

/// The output, from an input `[B, H, W, C]`, weights `[O, C, kh, kw]` and a bias `[O]`.
pub(crate) fn forward(
    isa: Isa,
    shape: &Shape,
    x: &[f32],
    w: &[f32],
    b: Option<&[f32]>,
) -> Vec<f32> {
    let [inputs, weights, outputs] = shape.lens();
    assert_eq!((x.len(), w.len()), (inputs, weights));
    assert!(b.is_none_or(|b| b.len() == shape.outputs));
    // SAFETY: every pixel of the output belongs to the only phase of the pass.
    unsafe {
        filled(outputs, |target| match winograd::suits(shape) {
            true => on_registers(isa, winograd::Pass::forward(shape, x, w, b, target)),
            false => on_registers(isa, Pass::forward(shape, x, w, b, target)),
        })
    }
}

/// The gradient of the input from that of the output.
pub(crate) fn input_gradient(isa: Isa, shape: &Shape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let [inputs, weights, outputs] = shape.lens();
    assert_eq!((w.len(), dy.len()), (weights, outputs));
    // SAFETY: every pixel of the input belongs to one of the phases.
    unsafe {
        filled(inputs, |target| match winograd::suits(shape) {
            true => on_registers(isa, winograd::Pass::backward(shape, dy, w, target)),
            false => on_registers(isa, Pass::backward(shape, dy, w, target)),
        })
    }
}

/// The gradient of the weights from the input and the gradient of the output.
pub(crate) fn weight_gradient(isa: Isa, shape: &Shape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let [inputs, weights, outputs] = shape.lens();
    assert_eq!((x.len(), dy.len()), (inputs, outputs));
    // SAFETY: every weight belongs to one row of one tile.
    unsafe {
        filled(weights, |target| match winograd::suits(shape) {
            true => {
                on_registers(isa, winograd::WeightGradient { shape: *shape, x, dy, target });
            }
            false => on_registers(isa, WeightGradient { shape: *shape, x, dy, target }),
        })
    }
}
