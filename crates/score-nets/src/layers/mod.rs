//! Layers over [`Jet`]s: what networks of images and tables are made of.
//!
//! Images are channels last within, `[B, H, W, C]`; tables are `[B, C]`. A layer takes its tensors from a
//! [`VarBuilder`](candle_nn::VarBuilder) under PyTorch's names and in PyTorch's shapes. Values come from the
//! one-pass operations of [`crate::ops`]; derivatives along directions, where there are some, are composed of
//! the algebra of jets, so that one backward pass gives the gradient of either.
//!
//! ```
//! use score_nets::{Backend, Jet, Parameters, layers::{Conv2d, GroupNorm}};
//! use sde_core::Key;
//! let backend = Backend::cpu_f64();
//! let mut layers = None;
//! let parameters = Parameters::initial(Key::root(1), &backend, |vb| {
//!     let conv = Conv2d::new(&vb.pp("conv"), 3, 8, 3, 1.0)?;
//!     layers = Some((conv, GroupNorm::new(&vb.pp("norm"), 8, 2, 1e-5)?));
//!     Ok(vec![])
//! })?;
//! let (conv, norm) = layers.expect("was built");
//! let x = Jet::constant(backend.tensor(vec![0.5; 75], &[1, 5, 5, 3])?);
//! let y = norm.forward_silu(&conv.forward(&x)?)?;
//! assert_eq!(y.value.dims(), [1, 5, 5, 8]);
//! assert_eq!(parameters.n_scalars(), 8 * 3 * 9 + 8 + 2 * 8);
//! # Ok::<(), score_nets::Error>(())
//! ```

mod attention;
mod dropout;
mod embedding;
mod linear;
mod norm;
mod resample;

pub use attention::attention;
pub(crate) use dropout::check_probability;
pub use dropout::{Dropout, drop_labels};
pub use embedding::{Fourier, LabelEmbedding, Order, Sinusoid};
pub use linear::{Conv2d, Form, Linear};
pub use norm::GroupNorm;
pub use resample::Resample;

use crate::{Activation, Jet, Result, ops};

/// `silu(x) = x / (1 + exp(-x))`.
///
/// # Errors
/// Whatever candle fails with.
pub fn silu(x: &Jet) -> Result<Jet> {
    x.activated(ops::silu(&x.value)?, Activation::Silu)
}

/// `1 / x`.
///
/// # Errors
/// Whatever candle fails with.
pub fn reciprocal(x: &Jet) -> Result<Jet> {
    let r = x.value.recip()?;
    x.apply(r.clone(), || Ok(r.sqr()?.neg()?), || Ok(((r.sqr()? * &r)? * 2.0)?))
}

/// `factor (a + b)` of jets of one shape.
///
/// # Errors
/// [`crate::Error::Shape`] for two shapes.
pub fn add_scaled(a: &Jet, b: &Jet, factor: f64) -> Result<Jet> {
    let value = ops::add_scaled(&a.value, &b.value, factor)?;
    if a.is_constant() && b.is_constant() {
        return Ok(Jet::constant(value));
    }
    a.add(b)?.scale(factor)?.replace(value)
}

/// The channels, the last dimension, of `a` and then those of `b`.
///
/// # Errors
/// [`crate::Error::Shape`] for shapes that differ otherwise.
pub fn concat(a: &Jet, b: &Jet) -> Result<Jet> {
    let value = ops::concat(&a.value, &b.value)?;
    if a.is_constant() && b.is_constant() {
        return Ok(Jet::constant(value));
    }
    Jet::cat(&[a, b], value.rank() - 1)?.replace(value)
}

/// An image `[B, H, W, C]` plus a number for every channel of a row, `e [B, C]`.
///
/// # Errors
/// [`crate::Error::Shape`] for shapes that do not belong together.
pub fn add_channels(x: &Jet, e: &Jet) -> Result<Jet> {
    let value = ops::add_channels(&x.value, &e.value)?;
    if x.is_constant() && e.is_constant() {
        return Ok(Jet::constant(value));
    }
    x.add(&e.map(|t| Ok(t.unsqueeze(1)?.unsqueeze(1)?))?)?.replace(value)
}
