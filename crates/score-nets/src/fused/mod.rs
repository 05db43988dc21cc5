//! Hand-written CPU kernels for the networks that everything waits for.
//!
//! A [`FusedMlp`] is a multilayer perceptron `N: R^K -> R^O` in single precision. It gives, block of
//! samples by block of samples so that all of it stays in the cache, for a single output
//!
//! - the value and the gradient with respect to the inputs, [`FusedMlp::value_and_grad`], or to some
//!   of them, [`FusedMlp::grad`];
//! - the sum of second derivatives over some inputs, [`FusedMlp::laplacian`], and products with the
//!   Hessian, [`FusedMlp::hessian_product`];
//! - losses of the gradient (denoising score matching) and of a second-order operator (a
//!   Fokker-Planck residual) with the gradients of all parameters, [`FusedMlp::gradient_loss`] and
//!   [`FusedMlp::operator_loss`];
//!
//! and for any number of outputs
//!
//! - the values, products with the Jacobian, and sums of its entries (a divergence),
//!   [`FusedMlp::values`], [`FusedMlp::tangent`] and [`FusedMlp::trace`];
//! - losses of the values with the gradients of all parameters, [`FusedMlp::output_loss`].
//!
//! It works in the input space of the network and knows no stochastic process: what an input means,
//! and what the loss is, the caller says. Use it where the same small network is evaluated again and
//! again; a network with more than [`MAX_INPUTS`] inputs or another layer than these, and second
//! derivatives of several outputs, are for the tensors of candle.
//!
//! Results do not depend on the number of threads, bit for bit; those of a sample do not depend on
//! the samples beside it. They do depend on the instruction set ([`Isa`]) in the last bits.
//!
//! How it is built: `simd` is the vector unit in a few operations; `product` the matrix products on
//! register tiles; `activation` the activations with three derivatives from one or two stored
//! numbers; `elementwise` what happens between two products; `block` the order of all this for one
//! block of samples; `parallel` the cutting into blocks and the sums over them; `mlp` and `outputs`
//! the questions, of a single output and of any number.
#![allow(
    unsafe_code,
    reason = "vector intrinsics and raw arrays are what this module is for; its interface is safe"
)]

mod activation;
mod amx;
pub(crate) mod attention;
mod block;
pub(crate) mod conv;
mod denormals;
mod elementwise;
mod gather;
mod isa;
pub(crate) mod layer;
pub(crate) mod maps;
mod matrices;
mod memory;
mod mlp;
pub(crate) mod norm;
mod outer;
mod outputs;
pub(crate) mod pointwise;
mod process;
mod product;
pub(crate) mod resample;
pub(crate) mod rows;
mod shape;
mod shared;
mod simd;
mod softmax;
#[cfg(test)]
mod tests;
mod weights;
mod workspace;

pub use activation::Activation;
pub use denormals::flush_denormals;
pub use isa::Isa;
pub use mlp::{Coefficients, FusedMlp, Samples};
pub use outputs::OutputSamples;
pub use process::prepare_process;
pub use shape::MAX_INPUTS;
pub use weights::{Gradients, Layer, LayerGradient};
