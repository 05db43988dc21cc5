//! To the basis of products and back, for all channels of a tile.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over the numbers of a tile run over several arrays at once"
)]

use super::POINTS;
use crate::fused::simd::{Kernel, Simd, load_some, store_some};

/// `B^T d`, a row of it.
#[inline(always)]
unsafe fn spread<S: Simd>(d: [S::V; 4]) -> [S::V; 4] {
    // SAFETY: the caller runs under the instruction set of S.
    unsafe { [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3])] }
}

/// `A^T m`, a row of it.
#[inline(always)]
unsafe fn gather<S: Simd>(m: [S::V; 4]) -> [S::V; 2] {
    // SAFETY: the caller runs under the instruction set of S.
    unsafe {
        let (sum, difference) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        [S::add(m[0], sum), S::sub(difference, m[3])]
    }
}

/// `A y`, a row of it.
#[inline(always)]
unsafe fn widen<S: Simd>(y: [S::V; 2]) -> [S::V; 4] {
    // SAFETY: the caller runs under the instruction set of S.
    unsafe { [y[0], S::add(y[0], y[1]), S::sub(y[0], y[1]), S::sub(S::splat(0.0), y[1])] }
}

/// `G g`, a row of it.
#[inline(always)]
unsafe fn weigh<S: Simd>(g: [S::V; 3]) -> [S::V; 4] {
    // SAFETY: the caller runs under the instruction set of S.
    unsafe {
        let half = S::splat(0.5);
        let ends = S::mul(half, S::add(g[0], g[2]));
        [g[0], S::fma(half, g[1], ends), S::fnma(half, g[1], ends), g[2]]
    }
}

/// `G^T u`, a row of it.
#[inline(always)]
unsafe fn collect<S: Simd>(u: [S::V; 4]) -> [S::V; 3] {
    // SAFETY: the caller runs under the instruction set of S.
    unsafe {
        let half = S::splat(0.5);
        let sum = S::mul(half, S::add(u[1], u[2]));
        let difference = S::mul(half, S::sub(u[1], u[2]));
        [S::add(u[0], sum), difference, S::add(u[3], sum)]
    }
}

/// `B^T d B` of a tile, `channels` numbers each.
pub(super) struct Input {
    pub(super) pixels: [[*const f32; 4]; 4],
    pub(super) channels: usize,
    /// The first point, and numbers between points.
    pub(super) to: *mut f32,
    pub(super) apart: usize,
}

impl Kernel for Input {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { pixels, channels, to, apart } = self;
        // SAFETY: the caller's promise.
        unsafe {
            for at in (0..channels).step_by(S::LANES) {
                let count = channels - at;
                macro_rules! row {
                    ($i:expr) => {
                        spread::<S>([
                            load_some::<S>(pixels[$i][0].add(at), count),
                            load_some::<S>(pixels[$i][1].add(at), count),
                            load_some::<S>(pixels[$i][2].add(at), count),
                            load_some::<S>(pixels[$i][3].add(at), count),
                        ])
                    };
                }
                macro_rules! store {
                    ($i:expr, $j:expr, $value:expr) => {
                        store_some::<S>(to.add((4 * $i + $j) * apart + at), count, $value)
                    };
                }
                let (r0, r2) = (row!(0), row!(2));
                for j in 0..4 {
                    store!(0, j, S::sub(r0[j], r2[j]));
                }
                let r1 = row!(1);
                for j in 0..4 {
                    store!(1, j, S::add(r1[j], r2[j]));
                    store!(2, j, S::sub(r2[j], r1[j]));
                }
                let r3 = row!(3);
                for j in 0..4 {
                    store!(3, j, S::sub(r1[j], r3[j]));
                }
            }
        }
    }
}

/// `A^T m A + bias` of a tile, for `channels` numbers each.
pub(super) struct Output {
    /// The first point, and numbers between points.
    pub(super) from: *const f32,
    pub(super) apart: usize,
    pub(super) channels: usize,
    /// In whole registers.
    pub(super) bias: *const f32,
    /// Null for a pixel that does not exist.
    pub(super) pixels: [[*mut f32; 2]; 2],
}

impl Kernel for Output {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { from, apart, channels, bias, pixels } = self;
        // SAFETY: the caller's promise; the points are in whole registers.
        unsafe {
            for at in (0..channels).step_by(S::LANES) {
                macro_rules! row {
                    ($i:expr) => {
                        gather::<S>([
                            S::load_any(from.add((4 * $i) * apart + at)),
                            S::load_any(from.add((4 * $i + 1) * apart + at)),
                            S::load_any(from.add((4 * $i + 2) * apart + at)),
                            S::load_any(from.add((4 * $i + 3) * apart + at)),
                        ])
                    };
                }
                let bias = S::load(bias.add(at));
                let (r0, r1, r2, r3) = (row!(0), row!(1), row!(2), row!(3));
                for j in 0..2 {
                    let [upper, lower] = gather::<S>([r0[j], r1[j], r2[j], r3[j]]);
                    for (pixel, value) in [(pixels[0][j], upper), (pixels[1][j], lower)] {
                        if !pixel.is_null() {
                            store_some::<S>(pixel.add(at), channels - at, S::add(value, bias));
                        }
                    }
                }
            }
        }
    }
}

/// `A dy A^T` of a tile, for `channels` numbers each.
pub(super) struct Gradient {
    pub(super) pixels: [[*const f32; 2]; 2],
    pub(super) channels: usize,
    /// The first point, numbers between points, and between panels of `wide` numbers.
    pub(super) to: *mut f32,
    pub(super) apart: usize,
    pub(super) panel: usize,
    pub(super) wide: usize,
}

impl Kernel for Gradient {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { pixels, channels, to, apart, panel, wide } = self;
        // SAFETY: the caller's promise; panels are in whole registers.
        unsafe {
            for at in (0..channels).step_by(S::LANES) {
                let count = channels - at;
                macro_rules! pixel {
                    ($i:expr, $j:expr) => {
                        load_some::<S>(pixels[$i][$j].add(at), count)
                    };
                }
                let left = widen::<S>([pixel!(0, 0), pixel!(1, 0)]);
                let right = widen::<S>([pixel!(0, 1), pixel!(1, 1)]);
                let to = to.add(at / wide * panel + at % wide);
                for i in 0..4 {
                    let row = widen::<S>([left[i], right[i]]);
                    for j in 0..4 {
                        S::store_any(to.add((4 * i + j) * apart), row[j]);
                    }
                }
            }
        }
    }
}

/// `G g G^T` of the kernels of one channel to a register of others.
pub(super) struct Weights {
    /// `[3][3]` registers.
    pub(super) from: *const f32,
    /// The first point, and numbers between points.
    pub(super) to: *mut f32,
    pub(super) apart: usize,
}

impl Kernel for Weights {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { from, to, apart } = self;
        // SAFETY: the caller's promise.
        unsafe {
            let mut columns = [[S::splat(0.0); 4]; 3];
            for j in 0..3 {
                let place = |i: usize| from.add((3 * i + j) * S::LANES);
                columns[j] = weigh::<S>([
                    S::load_any(place(0)),
                    S::load_any(place(1)),
                    S::load_any(place(2)),
                ]);
            }
            for i in 0..4 {
                let row = weigh::<S>([columns[0][i], columns[1][i], columns[2][i]]);
                for j in 0..4 {
                    S::store_any(to.add((4 * i + j) * apart), row[j]);
                }
            }
        }
    }
}

/// `G^T u G` of a register of numbers.
pub(super) struct WeightsBack {
    /// The first point, and numbers between points.
    pub(super) from: *const f32,
    pub(super) apart: usize,
    /// `[3][3]` registers.
    pub(super) to: *mut f32,
}

impl Kernel for WeightsBack {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { from, apart, to } = self;
        // SAFETY: the caller's promise.
        unsafe {
            let mut columns = [[S::splat(0.0); 3]; 4];
            for j in 0..4 {
                let point = |i: usize| from.add((4 * i + j) * apart);
                columns[j] = collect::<S>([
                    S::load_any(point(0)),
                    S::load_any(point(1)),
                    S::load_any(point(2)),
                    S::load_any(point(3)),
                ]);
            }
            for i in 0..3 {
                let row =
                    collect::<S>([columns[0][i], columns[1][i], columns[2][i], columns[3][i]]);
                for j in 0..3 {
                    S::store_any(to.add((3 * i + j) * S::LANES), row[j]);
                }
            }
        }
    }
}

const _: () = assert!(POINTS == 4 * 4, "points are 4 x 4");
