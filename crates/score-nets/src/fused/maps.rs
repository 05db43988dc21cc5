//! Functions of one or two arrays, number by number.

use super::Isa;
use super::activation::{Act, Silu};
use super::denormals::Flushed;
use super::isa::{Work, on_registers};
use super::shared::{Shared, filled, for_each};
use super::simd::{Kernel, Simd, load_some, store_some};

/// Numbers that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// A function of two numbers in registers.
pub(super) trait Map: Copy + Sync {
    unsafe fn of<S: Simd>(self, a: S::V, b: S::V) -> S::V;
}

/// `z / (1 + exp(-z))` for each number.
pub(crate) fn silu(isa: Isa, z: &[f32]) -> Vec<f32> {
    map(isa, z, z, Value)
}

/// The gradient of [`silu`] at `z` times `dy`.
pub(crate) fn silu_gradient(isa: Isa, z: &[f32], dy: &[f32]) -> Vec<f32> {
    map(isa, z, dy, Slope)
}

/// `factor (a + b)` for each pair of numbers.
pub(crate) fn add_scaled(isa: Isa, a: &[f32], b: &[f32], factor: f32) -> Vec<f32> {
    map(isa, a, b, AddScaled(factor))
}

/// `factor a` for each number.
pub(crate) fn scale(isa: Isa, a: &[f32], factor: f32) -> Vec<f32> {
    map(isa, a, a, Scale(factor))
}

/// `a b` for each number; `b` is as long as `a`, or a row that all rows of `a` are multiplied with.
pub(crate) fn mul(isa: Isa, a: &[f32], b: &[f32]) -> Vec<f32> {
    map(isa, a, b, Mul)
}

#[derive(Clone, Copy)]
struct Value;

// SAFETY (every block of the five implementations): the caller runs under the instruction set of S.
impl Map for Value {
    #[inline(always)]
    unsafe fn of<S: Simd>(self, z: S::V, _: S::V) -> S::V {
        // SAFETY: see the impl.
        unsafe { Silu.value::<S>(z).0 }
    }
}

#[derive(Clone, Copy)]
struct Slope;

impl Map for Slope {
    #[inline(always)]
    unsafe fn of<S: Simd>(self, z: S::V, dy: S::V) -> S::V {
        // SAFETY: see the impl.
        unsafe { S::mul(Silu.d1::<S>(Silu.keep::<S>(z)), dy) }
    }
}

#[derive(Clone, Copy)]
struct AddScaled(f32);

impl Map for AddScaled {
    #[inline(always)]
    unsafe fn of<S: Simd>(self, a: S::V, b: S::V) -> S::V {
        // SAFETY: see the impl.
        unsafe { S::mul(S::splat(self.0), S::add(a, b)) }
    }
}

#[derive(Clone, Copy)]
struct Scale(f32);

impl Map for Scale {
    #[inline(always)]
    unsafe fn of<S: Simd>(self, a: S::V, _: S::V) -> S::V {
        // SAFETY: see the impl.
        unsafe { S::mul(S::splat(self.0), a) }
    }
}

#[derive(Clone, Copy)]
struct Mul;

impl Map for Mul {
    #[inline(always)]
    unsafe fn of<S: Simd>(self, a: S::V, b: S::V) -> S::V {
        // SAFETY: see the impl.
        unsafe { S::mul(a, b) }
    }
}

fn map<M: Map>(isa: Isa, a: &[f32], b: &[f32], map: M) -> Vec<f32> {
    // SAFETY: the pieces cover the result.
    unsafe { filled(a.len(), |to| on_registers(isa, All { a, b, to, map })) }
}

/// Calls `f(start, len, start in a row)` on all threads for pieces of `len` numbers, each within one of the
/// rows, of `row` numbers, that `all` numbers are made of.
pub(super) fn pieces(all: usize, row: usize, f: impl Fn(usize, usize, usize) + Sync) {
    let work = 8 * all;
    if row == all {
        return for_each(all.div_ceil(CHUNK), work, |chunk| {
            let _flushed = Flushed::new();
            let start = chunk * CHUNK;
            f(start, CHUNK.min(all - start), start);
        });
    }
    assert!(row > 0 && all.is_multiple_of(row), "{all} numbers in rows of {row}");
    let (rows, some) = (all / row, (CHUNK / row).max(1));
    for_each(rows.div_ceil(some), work, |chunk| {
        let _flushed = Flushed::new();
        for number in chunk * some..(chunk * some + some).min(rows) {
            f(number * row, row, 0);
        }
    });
}

/// A function of all numbers of `a` and of `b`, or of the rows of `a` and the row `b`.
pub(super) struct All<'a, M> {
    pub(super) a: &'a [f32],
    pub(super) b: &'a [f32],
    /// Uninitialised room for as many numbers as `a` has.
    pub(super) to: Shared<'a>,
    pub(super) map: M,
}

impl<M: Map> Work for All<'_, M> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        pieces(self.a.len(), self.b.len(), |start, len, in_b| {
            // SAFETY: the instruction set is the caller's promise; the piece is in all arrays.
            unsafe {
                let (a, b) = (self.a[start..].as_ptr(), self.b[in_b..].as_ptr());
                S::invoke(Chunk { a, b, to: self.to.at(start), len, map: self.map });
            }
        });
    }
}

struct Chunk<M> {
    a: *const f32,
    b: *const f32,
    to: *mut f32,
    len: usize,
    map: M,
}

impl<M: Map> Kernel for Chunk<M> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { a, b, to, len, map } = self;
        // SAFETY: the caller's promise.
        unsafe {
            for at in (0..len).step_by(S::LANES) {
                let count = len - at;
                let (a, b) = (load_some::<S>(a.add(at), count), load_some::<S>(b.add(at), count));
                store_some::<S>(to.add(at), count, map.of::<S>(a, b));
            }
        }
    }
}
