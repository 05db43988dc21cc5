//! Matrix products on the tiles of AMX, in single precision made of pieces of bf16.
//!
//! A tile instruction multiplies 16 rows of 32 numbers in bf16 (8 significant bits) by 32 rows of 16
//! and adds to 16 x 16 sums in f32. A number in f32 is the sum of three pieces `h + m + l` in bf16;
//! of the nine products of two such sums the six largest are kept,
//!
//! ```text
//! a b = h h' + (h m' + m h') + (h l' + m m' + l h')        to about 2^-24
//! ```
//!
//! which is what a rounding of f32 loses, at six sixteenths of its time.

#[cfg(target_arch = "x86_64")]
mod detect;
#[cfg(target_arch = "x86_64")]
mod multiply;
mod pack;
#[cfg(target_arch = "x86_64")]
mod product;
#[cfg(target_arch = "x86_64")]
mod split;
mod tiles;

#[cfg(target_arch = "x86_64")]
pub(super) use detect::is_available;
pub(super) use pack::{len as pieces_len, pack};
#[cfg(target_arch = "x86_64")]
pub(super) use product::{outer, product};
pub(super) use tiles::Tiles;
