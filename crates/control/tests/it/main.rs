//! The tests of this crate. The oracle is the law of a Gaussian mixture given a measurement or a class, in closed form.

mod common;
mod guidance;
mod literature;
mod operators;
mod reconstruction;
mod replaced;
mod smc;
