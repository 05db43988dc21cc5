//! The work that is measured, one module for each kind.

pub(crate) mod composite;
mod flops;
pub(crate) mod published;
pub(crate) mod transport;
pub(crate) mod unet;
