//! Activations and their derivatives over arrays, number by number.

use super::activation::{Act, Kept};
use super::isa::{Job, Work, dispatch};
use super::maps::{All, Map, pieces};
use super::shared::{Shared, filled};
use super::simd::{Kernel, Simd, load_some, store_some};
use super::{Activation, Isa};

/// The derivative of some order, from 0 to 4, of an activation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Derivative {
    pub(crate) activation: Activation,
    pub(crate) order: usize,
}

impl Derivative {
    /// `f(z)` for each number.
    pub(crate) fn of(self, isa: Isa, z: &[f32]) -> Vec<f32> {
        // SAFETY: the pieces cover the result.
        unsafe {
            filled(z.len(), |to| {
                dispatch(isa, self.activation, Values { order: self.order, z, to });
            })
        }
    }

    /// `f(z) g` for each number; `g` is as long as `z`, or a row that all rows of `z` are multiplied with.
    pub(crate) fn times(self, isa: Isa, z: &[f32], g: &[f32]) -> Vec<f32> {
        // SAFETY: the pieces cover the result.
        unsafe {
            filled(z.len(), |to| {
                dispatch(isa, self.activation, Products { order: self.order, z, g, to });
            })
        }
    }

    /// The gradients of [`Derivative::times`] in `z` and in `g`, from that of the result: `f'(z) g dy` and
    /// `f(z) dy`. Of a row `g` they are those before the sum over rows. The order is at most 3.
    pub(crate) fn gradients(
        self,
        isa: Isa,
        z: &[f32],
        g: &[f32],
        dy: &[f32],
    ) -> (Vec<f32>, Vec<f32>) {
        assert_eq!(z.len(), dy.len());
        let mut dg = Vec::new();
        // SAFETY: the pieces cover both results.
        let dz = unsafe {
            filled(z.len(), |dz| {
                dg = filled(z.len(), |dg| {
                    let to = [dz, dg];
                    dispatch(isa, self.activation, Gradients { order: self.order, z, g, dy, to });
                });
            })
        };
        (dz, dg)
    }
}

/// The derivatives `order` and, where it is asked for, `order + 1` at `z`.
///
/// # Safety
/// The caller runs under the instruction set of `S`.
#[inline(always)]
unsafe fn at<S: Simd, A: Act, const NEXT: bool>(act: A, order: usize, z: S::V) -> [S::V; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        if order == 0 {
            let (value, kept) = act.value::<S>(z);
            return [value, if NEXT { act.d1::<S>(kept) } else { value }];
        }
        let kept = act.keep::<S>(z);
        let first = derivative::<S, A>(act, order, kept);
        [first, if NEXT { derivative::<S, A>(act, order + 1, kept) } else { first }]
    }
}

/// The derivative `order`, from 1 to 4.
///
/// # Safety
/// As for [`at`].
#[inline(always)]
unsafe fn derivative<S: Simd, A: Act>(act: A, order: usize, kept: Kept<S>) -> S::V {
    // SAFETY: the caller's promise.
    unsafe {
        match order {
            1 => act.d1::<S>(kept),
            2 => act.d2::<S>(kept),
            3 => act.d3::<S>(kept),
            _ => act.d4::<S>(kept),
        }
    }
}

/// A [`Derivative`] of the numbers of `z`.
struct Values<'a> {
    order: usize,
    z: &'a [f32],
    to: Shared<'a>,
}

impl Job for Values<'_> {
    type Output = ();

    unsafe fn run<S: Simd, A: Act>(self, act: A) {
        let Self { order, z, to } = self;
        // SAFETY: the caller's promise.
        unsafe { All { a: z, b: z, to, map: Value { act, order } }.run::<S>() }
    }
}

#[derive(Clone, Copy)]
struct Value<A> {
    act: A,
    order: usize,
}

impl<A: Act> Map for Value<A> {
    #[inline(always)]
    unsafe fn of<S: Simd>(self, z: S::V, _: S::V) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { at::<S, A, false>(self.act, self.order, z)[0] }
    }
}

/// A [`Derivative`] of the numbers of `z`, times those of `g`.
struct Products<'a> {
    order: usize,
    z: &'a [f32],
    g: &'a [f32],
    to: Shared<'a>,
}

impl Job for Products<'_> {
    type Output = ();

    unsafe fn run<S: Simd, A: Act>(self, act: A) {
        let Self { order, z, g, to } = self;
        // SAFETY: the caller's promise.
        unsafe { All { a: z, b: g, to, map: Product { act, order } }.run::<S>() }
    }
}

#[derive(Clone, Copy)]
struct Product<A> {
    act: A,
    order: usize,
}

impl<A: Act> Map for Product<A> {
    #[inline(always)]
    unsafe fn of<S: Simd>(self, z: S::V, g: S::V) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { S::mul(at::<S, A, false>(self.act, self.order, z)[0], g) }
    }
}

struct Gradients<'a> {
    order: usize,
    z: &'a [f32],
    g: &'a [f32],
    dy: &'a [f32],
    /// Of `z`, of `g`.
    to: [Shared<'a>; 2],
}

impl Job for Gradients<'_> {
    type Output = ();

    unsafe fn run<S: Simd, A: Act>(self, act: A) {
        let Self { order, z, g, dy, to } = self;
        pieces(z.len(), g.len(), |start, len, in_g| {
            // SAFETY: the instruction set is the caller's promise; the piece is in all arrays.
            unsafe {
                let (z, g, dy) = (z[start..].as_ptr(), g[in_g..].as_ptr(), dy[start..].as_ptr());
                let to = to.map(|to| to.at(start));
                S::invoke(GradientPiece { act, order, z, g, dy, to, len });
            }
        });
    }
}

struct GradientPiece<A> {
    act: A,
    order: usize,
    z: *const f32,
    g: *const f32,
    dy: *const f32,
    to: [*mut f32; 2],
    len: usize,
}

impl<A: Act> Kernel for GradientPiece<A> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { act, order, z, g, dy, to: [dz, dg], len } = self;
        // SAFETY: the caller's promise.
        unsafe {
            for i in (0..len).step_by(S::LANES) {
                let z = load_some::<S>(z.add(i), len - i);
                let g = load_some::<S>(g.add(i), len - i);
                let dy = load_some::<S>(dy.add(i), len - i);
                let [value, next] = at::<S, A, true>(act, order, z);
                store_some::<S>(dz.add(i), len - i, S::mul(S::mul(next, g), dy));
                store_some::<S>(dg.add(i), len - i, S::mul(value, dy));
            }
        }
    }
}
