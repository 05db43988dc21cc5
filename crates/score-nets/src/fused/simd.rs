//! The vector unit as the kernels see it: a few operations on a register of `f32`, and a way to run
//! a kernel with the instruction set switched on.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;
pub(super) use portable::Portable;

use super::matrices::{Outer, Product};

/// A register of `LANES` single-precision numbers and the operations on it.
///
/// Every method is `#[inline(always)]` and unsafe: the caller is a [`Kernel`] or a [`Tile`], which
/// [`Simd::invoke`] and [`Simd::tiled`] run inside a function that has the instruction set enabled.
pub(super) trait Simd: Copy + 'static {
    /// The register.
    type V: Copy;
    /// Numbers in a register.
    const LANES: usize;
    /// The widest tile of [`Simd::tiled`], in registers.
    const MAX_VECS: usize;
    /// Whether there are [`Simd::product`] and [`Simd::outer`].
    const TILES: bool = false;

    /// Runs `kernel` with the instruction set enabled.
    ///
    /// # Safety
    /// The processor has the instruction set, and the pointers in `kernel` are what it says.
    unsafe fn invoke<K: Kernel>(kernel: K) -> K::Output;
    /// The rows of a tile of so many registers.
    fn rows(vecs: usize) -> usize;
    /// Runs `tile` on `vecs <= MAX_VECS` registers a row and [`Simd::rows`] rows.
    ///
    /// # Safety
    /// As for [`Simd::invoke`].
    unsafe fn tiled<T: Tile>(vecs: usize, tile: T);

    /// A product with a matrix that has pieces, on the tiles of the processor.
    ///
    /// # Safety
    /// As for [`Product::run`].
    unsafe fn product(_: &Product) {
        unreachable!("no tiles")
    }
    /// A weight gradient on the tiles of the processor.
    ///
    /// # Safety
    /// As for [`Outer::run`].
    unsafe fn outer(_: &Outer<'_>) {
        unreachable!("no tiles")
    }

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, x: Self::V);
    /// A load from any address.
    unsafe fn load_any(p: *const f32) -> Self::V;
    /// A store to any address.
    unsafe fn store_any(p: *mut f32, x: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a b + c`
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a b`
    unsafe fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The smaller; `b` where either is NaN.
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// The larger; `b` where either is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `-|a|`
    unsafe fn neg_abs(a: Self::V) -> Self::V;
    /// The nearest integer, ties to even.
    unsafe fn round(a: Self::V) -> Self::V;
    /// `1/a` to the last bit or two, for `a` in [1, 2] or NaN.
    unsafe fn recip(a: Self::V) -> Self::V;
    /// `p 2^n` where `not (y <= floor)`, else exactly zero. `n` is integral, and in [-100, 0]
    /// wherever `y > floor`.
    unsafe fn scale_above(y: Self::V, floor: f32, p: Self::V, n: Self::V) -> Self::V;
    /// `a b` where `z < 0`, else `a`.
    unsafe fn mul_where_negative(z: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// The sum of the lanes of four registers, each in the order of every other.
    unsafe fn sums(a: [Self::V; 4]) -> [f32; 4];
}

/// Work without a choice of shape: elementwise passes and dot products.
pub(super) trait Kernel {
    /// What it returns.
    type Output;
    /// # Safety
    /// Called by [`Simd::invoke`] only; the pointers of the kernel are valid for what it says.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

/// Work on a register tile of `ROWS` rows of `VECS` registers.
pub(super) trait Tile {
    /// # Safety
    /// Called by [`Simd::tiled`] only; the pointers of the tile are valid for what it says.
    unsafe fn run<S: Simd, const VECS: usize, const ROWS: usize>(self);
}

/// The tallest tile of any instruction set: buffers have this many rows to spare.
pub(super) const MAX_ROWS: usize = 16;

/// Cuts `vecs` registers into groups of at most `max` of nearly equal size, and calls
/// `f(first, count)` for each.
#[inline]
pub(super) fn for_groups(vecs: usize, max: usize, mut f: impl FnMut(usize, usize)) {
    if vecs <= max {
        return f(0, vecs);
    }
    let count = vecs.div_ceil(max);
    for i in 0..count {
        let (first, end) = (i * vecs / count, (i + 1) * vecs / count);
        f(first, end - first);
    }
}

/// The first `count` numbers at `p`, and zeros.
///
/// # Safety
/// They are readable; the caller runs under the instruction set of `S`.
#[inline(always)]
pub(super) unsafe fn load_some<S: Simd>(p: *const f32, count: usize) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        if count >= S::LANES {
            return S::load_any(p);
        }
        let mut row = [0.0; MAX_LANES];
        std::ptr::copy_nonoverlapping(p, row.as_mut_ptr(), count);
        S::load_any(row.as_ptr())
    }
}

/// The first `count` numbers of `x` to `p`.
///
/// # Safety
/// They are writable; the caller runs under the instruction set of `S`.
#[inline(always)]
pub(super) unsafe fn store_some<S: Simd>(p: *mut f32, count: usize, x: S::V) {
    // SAFETY: the caller's promise.
    unsafe {
        if count >= S::LANES {
            return S::store_any(p, x);
        }
        let mut row = [0.0; MAX_LANES];
        S::store_any(row.as_mut_ptr(), x);
        std::ptr::copy_nonoverlapping(row.as_ptr(), p, count);
    }
}

/// The most numbers in a register of any instruction set.
pub(super) const MAX_LANES: usize = 16;
