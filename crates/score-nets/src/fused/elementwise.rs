//! What happens between two matrix products: the activation and its adjoint, element by element.

use super::activation::{Act, Kept};
use super::simd::{Kernel, Simd};

/// An array `[rows][width]` whose rows are `stride` apart: 0 where all rows are the same.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) data: *const f32,
    pub(super) stride: usize,
}

impl Rows {
    #[inline(always)]
    unsafe fn load<S: Simd>(self, row: usize, at: usize) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { S::load(self.data.add(row * self.stride + at)) }
    }
}

/// Some rows of the block and what the activation kept for them.
#[derive(Clone, Copy)]
pub(super) struct Layer<A> {
    pub(super) act: A,
    pub(super) kept: [*mut f32; 2],
    /// The first, and the one after the last.
    pub(super) rows: (usize, usize),
    pub(super) width: usize,
}

impl<A: Act> Layer<A> {
    #[inline(always)]
    unsafe fn kept<S: Simd>(&self, at: usize) -> Kept<S> {
        // SAFETY: the caller's promise.
        unsafe {
            let first = S::load(self.kept[0].add(at));
            [first, if A::KEPT > 1 { S::load(self.kept[1].add(at)) } else { first }]
        }
    }
}

/// Runs `$body` for each register of these rows: its row, its column, its offset.
///
/// (A macro, not a closure: a closure is compiled without the instruction set of the kernel around
/// it, and becomes a call for each operation where it is not inlined.)
macro_rules! each {
    ($layer:expr, |$row:pat_param, $column:pat_param, $at:ident| $body:block) => {
        for row in $layer.rows.0..$layer.rows.1 {
            for column in (0..$layer.width).step_by(S::LANES) {
                let ($row, $column, $at) = (row, column, row * $layer.width + column);
                $body
            }
        }
    };
}

/// `z` becomes `a(z)` in place (where the value is wanted) and what is kept of it.
pub(super) struct Activate<A> {
    pub(super) layer: Layer<A>,
    pub(super) z: *mut f32,
    pub(super) value: bool,
}

impl<A: Act> Kernel for Activate<A> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        unsafe { if self.value { self.sweep::<S, true>() } else { self.sweep::<S, false>() } }
    }
}

impl<A: Act> Activate<A> {
    #[inline(always)]
    unsafe fn sweep<S: Simd, const VALUE: bool>(self) {
        let Self { layer, z, .. } = self;
        // SAFETY: the caller's promise.
        unsafe {
            each!(layer, |_, _, at| {
                let x = S::load(z.add(at));
                let kept = if VALUE {
                    let (h, kept) = layer.act.value::<S>(x);
                    S::store(z.add(at), h);
                    kept
                } else {
                    layer.act.keep::<S>(x)
                };
                S::store(layer.kept[0].add(at), kept[0]);
                if A::KEPT > 1 {
                    S::store(layer.kept[1].add(at), kept[1]);
                }
            });
        }
    }
}

/// `g = a' c`.
pub(super) struct Reverse<A> {
    pub(super) layer: Layer<A>,
    pub(super) c: Rows,
    pub(super) g: *mut f32,
}

impl<A: Act> Kernel for Reverse<A> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { layer, c, g } = self;
        // SAFETY: the caller's promise.
        unsafe {
            each!(layer, |row, column, at| {
                let d1 = layer.act.d1::<S>(layer.kept::<S>(at));
                S::store(g.add(at), S::mul(d1, c.load::<S>(row, column)));
            });
        }
    }
}

/// A jet through the activation: `j_h = a' j`, and its square to the sum.
pub(super) struct Jet<A> {
    pub(super) layer: Layer<A>,
    pub(super) j: Rows,
    pub(super) jh: *mut f32,
    pub(super) squares: *mut f32,
    /// Whether this jet starts the sum.
    pub(super) first: bool,
}

impl<A: Act> Kernel for Jet<A> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        unsafe { if self.first { self.sweep::<S, true>() } else { self.sweep::<S, false>() } }
    }
}

impl<A: Act> Jet<A> {
    #[inline(always)]
    unsafe fn sweep<S: Simd, const FIRST: bool>(self) {
        let Self { layer, j, jh, squares, .. } = self;
        // SAFETY: the caller's promise.
        unsafe {
            each!(layer, |row, column, at| {
                let j = j.load::<S>(row, column);
                let d1 = layer.act.d1::<S>(layer.kept::<S>(at));
                S::store(jh.add(at), S::mul(d1, j));
                let square =
                    if FIRST { S::mul(j, j) } else { S::fma(j, j, S::load(squares.add(at))) };
                S::store(squares.add(at), square);
            });
        }
    }
}

/// The jets of a layer together: the sum of their squares, and the coefficient of each sample.
#[derive(Clone, Copy)]
pub(super) struct Jets<'a> {
    pub(super) squares: *const f32,
    pub(super) coefficients: &'a [f32],
}

impl Jets<'_> {
    /// `l sum of j^2`
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, row: usize, at: usize) -> S::V {
        // SAFETY: the caller's promise.
        unsafe {
            S::mul(S::splat(*self.coefficients.get_unchecked(row)), S::load(self.squares.add(at)))
        }
    }
}

/// The combined tangent through the activation: `m_h = a' m + l a'' sum of j^2`.
pub(super) struct Combined<'a, A> {
    pub(super) layer: Layer<A>,
    pub(super) m: *const f32,
    pub(super) mh: *mut f32,
    /// None where there are no jets; then the second term is zero.
    pub(super) jets: Option<Jets<'a>>,
}

impl<A: Act> Kernel for Combined<'_, A> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { layer, m, mh, jets } = self;
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(jets) = jets {
                each!(layer, |row, _, at| {
                    let kept = layer.kept::<S>(at);
                    let m = S::mul(layer.act.d1::<S>(kept), S::load(m.add(at)));
                    let d2 = layer.act.d2::<S>(kept);
                    S::store(mh.add(at), S::fma(d2, jets.load::<S>(row, at), m));
                });
            } else {
                each!(layer, |_, _, at| {
                    let d1 = layer.act.d1::<S>(layer.kept::<S>(at));
                    S::store(mh.add(at), S::mul(d1, S::load(m.add(at))));
                });
            }
        }
    }
}

/// The adjoint of a jet: `jbar = a' t + 2 l a'' c j` and `t j` to the part of `zbar` that comes
/// through the jets, `t` being its adjoint after the activation, where `jbar` is put.
pub(super) struct JetAdjoint<'a, A> {
    pub(super) layer: Layer<A>,
    /// Whether this is the last layer, where `t` is zero.
    pub(super) last: bool,
    pub(super) j: Rows,
    /// `c`, or `a' c`, as the activation wants it.
    pub(super) e: *const f32,
    pub(super) coefficients: &'a [f32],
    pub(super) jbar: *mut f32,
    pub(super) through: *mut f32,
    /// Whether this jet starts the sum.
    pub(super) first: bool,
}

impl<A: Act> Kernel for JetAdjoint<'_, A> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.last, self.first) {
                (true, _) => self.sweep::<S, true, false>(),
                (false, true) => self.sweep::<S, false, true>(),
                (false, false) => self.sweep::<S, false, false>(),
            }
        }
    }
}

impl<A: Act> JetAdjoint<'_, A> {
    #[inline(always)]
    unsafe fn sweep<S: Simd, const LAST: bool, const FIRST: bool>(self) {
        let Self { layer, j, e, coefficients, jbar, through, .. } = self;
        // SAFETY: the caller's promise.
        unsafe {
            each!(layer, |row, column, at| {
                let (kept, j) = (layer.kept::<S>(at), j.load::<S>(row, column));
                let twice_l = S::splat(2.0 * *coefficients.get_unchecked(row));
                let curve = layer.act.d2_times::<S>(kept, S::load(e.add(at)));
                let own = S::mul(S::mul(twice_l, curve), j);
                if LAST {
                    S::store(jbar.add(at), own);
                } else {
                    let t = S::load(jbar.add(at));
                    S::store(jbar.add(at), S::fma(layer.act.d1::<S>(kept), t, own));
                    let sum =
                        if FIRST { S::mul(t, j) } else { S::fma(t, j, S::load(through.add(at))) };
                    S::store(through.add(at), sum);
                }
            });
        }
    }
}

/// The adjoint of `z`: `zbar = a' t + a'' through + a'' c m + l a''' c sum of j^2`, `t` being its
/// adjoint after the activation, where `zbar` is put.
pub(super) struct Adjoint<'a, A> {
    pub(super) layer: Layer<A>,
    /// Whether this is the last layer, where `t` is zero and nothing comes through the jets.
    pub(super) last: bool,
    pub(super) m: *const f32,
    pub(super) e: *const f32,
    pub(super) jets: Option<Jets<'a>>,
    pub(super) through: *const f32,
    pub(super) zbar: *mut f32,
}

impl<A: Act> Kernel for Adjoint<'_, A> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.last, self.jets) {
                (true, None) => self.sweep::<S, true>(),
                (false, None) => self.sweep::<S, false>(),
                (true, Some(jets)) => self.sweep_with_jets::<S, true>(jets),
                (false, Some(jets)) => self.sweep_with_jets::<S, false>(jets),
            }
        }
    }
}

impl<A: Act> Adjoint<'_, A> {
    #[inline(always)]
    unsafe fn sweep<S: Simd, const LAST: bool>(self) {
        let Self { layer, m, e, zbar, .. } = self;
        // SAFETY: the caller's promise.
        unsafe {
            each!(layer, |_, _, at| {
                let kept = layer.kept::<S>(at);
                let e = S::load(e.add(at));
                let mut z = S::mul(layer.act.d2_times::<S>(kept, e), S::load(m.add(at)));
                if !LAST {
                    z = S::fma(layer.act.d1::<S>(kept), S::load(zbar.add(at)), z);
                }
                S::store(zbar.add(at), z);
            });
        }
    }

    #[inline(always)]
    unsafe fn sweep_with_jets<S: Simd, const LAST: bool>(self, jets: Jets<'_>) {
        let Self { layer, m, e, through, zbar, .. } = self;
        // SAFETY: the caller's promise.
        unsafe {
            each!(layer, |row, _, at| {
                let kept = layer.kept::<S>(at);
                let e = S::load(e.add(at));
                let mut z = S::mul(layer.act.d2_times::<S>(kept, e), S::load(m.add(at)));
                z = S::fma(layer.act.d3_times::<S>(kept, e), jets.load::<S>(row, at), z);
                if !LAST {
                    z = S::fma(layer.act.d1::<S>(kept), S::load(zbar.add(at)), z);
                    z = S::fma(layer.act.d2::<S>(kept), S::load(through.add(at)), z);
                }
                S::store(zbar.add(at), z);
            });
        }
    }
}

/// `x *= weight` for each row.
pub(super) struct ScaleRows<'a> {
    pub(super) x: *mut f32,
    pub(super) width: usize,
    pub(super) weights: &'a [f32],
}

impl Kernel for ScaleRows<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            for (row, &weight) in self.weights.iter().enumerate() {
                let weight = S::splat(weight);
                for column in (0..self.width).step_by(S::LANES) {
                    let at = self.x.add(row * self.width + column);
                    S::store(at, S::mul(weight, S::load(at)));
                }
            }
        }
    }
}
