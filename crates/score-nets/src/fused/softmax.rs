//! The softmax of rows of scores, and its gradient.

use super::activation::exp2_negative;
use super::simd::{Kernel, MAX_LANES, Simd};

/// What the scores of keys that do not exist are set to: far below all others, and finite.
const NOTHING: f32 = -1e30;

/// `softmax(x ln 2)` of each row, in place; what fills the last register becomes zero.
pub(super) struct Softmax {
    pub(super) x: *mut f32,
    pub(super) rows: usize,
    /// Numbers of a row: those there are, and with what fills the registers.
    pub(super) used: usize,
    pub(super) wide: usize,
}

impl Kernel for Softmax {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { x, rows, used, wide } = self;
        // SAFETY: the caller's promise.
        unsafe {
            for row in 0..rows {
                let x = x.add(row * wide);
                for at in used..wide {
                    *x.add(at) = NOTHING;
                }
                let mut top = S::load(x);
                for at in (0..wide).step_by(S::LANES) {
                    top = S::max(top, S::load(x.add(at)));
                }
                let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
                S::store_any(lanes.as_mut_ptr(), top);
                let top = S::splat(lanes.into_iter().fold(f32::NEG_INFINITY, f32::max));
                let mut sum = S::splat(0.0);
                for at in (0..wide).step_by(S::LANES) {
                    let e = exp2_negative::<S>(S::sub(S::load(x.add(at)), top));
                    S::store(x.add(at), e);
                    sum = S::add(sum, e);
                }
                let zero = S::splat(0.0);
                let [sum, ..] = S::sums([sum, zero, zero, zero]);
                let share = S::splat(1.0 / sum);
                for at in (0..wide).step_by(S::LANES) {
                    S::store(x.add(at), S::mul(S::load(x.add(at)), share));
                }
            }
        }
    }
}

/// `ds = p (ds - level) scale` for each row, in place.
pub(super) struct ScoreGradient<'a> {
    pub(super) p: *const f32,
    pub(super) ds: *mut f32,
    pub(super) wide: usize,
    pub(super) levels: &'a [f32],
    pub(super) scale: f32,
}

impl Kernel for ScoreGradient<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { p, ds, wide, levels, scale } = self;
        // SAFETY: the caller's promise.
        unsafe {
            for (row, &level) in levels.iter().enumerate() {
                for at in (row * wide..(row + 1) * wide).step_by(S::LANES) {
                    let d = S::sub(S::load(ds.add(at)), S::splat(level));
                    let p = S::mul(S::load(p.add(at)), S::splat(scale));
                    S::store(ds.add(at), S::mul(p, d));
                }
            }
        }
    }
}
