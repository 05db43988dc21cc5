//! Laws of `sde-core`; references of other software are held by the crate `references`.

mod analytic;
mod discrete;
mod grid;
mod key;
mod mixture_input;
mod posterior;
mod sde;
mod state;
