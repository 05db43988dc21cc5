//! Matrix products on register tiles: layers, weight gradients, column sums, dot products.
#![allow(
    clippy::needless_range_loop,
    reason = "loops over a tile run over rows and registers of several arrays at once"
)]

pub(super) use super::matrices::{Outer, Panels, Product};
use super::simd::{Kernel, Simd, Tile, for_groups};

/// Whether a matrix `[k][width]` is multiplied on the tiles of the processor, where it has them:
/// from about 64 x 64 on that is quicker than cutting numbers into pieces is slow.
pub(super) fn on_tiles(k: usize, width: usize) -> bool {
    k * width >= 64 * 64
}

impl Product {
    /// # Safety
    /// The processor has the instruction set; the matrices are readable and writable as described,
    /// on register boundaries.
    pub(super) unsafe fn run<S: Simd>(self) {
        if S::TILES && !self.b.pieces.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { S::product(&self) };
        }
        for_groups(self.b.width / S::LANES, S::MAX_VECS, |first, vecs| {
            let at = first * S::LANES;
            // SAFETY: the panel of these columns, the caller's promise.
            unsafe {
                let tile = ProductTile {
                    a: self.a,
                    lda: self.lda,
                    k: self.b.k,
                    b: self.b.data.add(self.b.k * at),
                    bias: self.bias.add(at),
                    c: self.c.add(at),
                    ldc: self.b.width,
                    rows: self.rows,
                };
                S::tiled(vecs, tile);
            }
        });
    }
}

struct ProductTile {
    a: *const f32,
    lda: usize,
    k: usize,
    b: *const f32,
    bias: *const f32,
    c: *mut f32,
    ldc: usize,
    rows: usize,
}

impl ProductTile {
    #[inline(always)]
    unsafe fn tile<S: Simd, const VECS: usize, const ROWS: usize>(&self, row: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let bias: [S::V; VECS] = std::array::from_fn(|v| S::load(self.bias.add(v * S::LANES)));
            let mut acc = [bias; ROWS];
            // (Not unrolled: the compiler would gather the numbers of A ahead and spill registers.)
            let mut a = self.a.add(row * self.lda);
            let mut b = self.b;
            for _ in 0..self.k {
                let bv: [S::V; VECS] = std::array::from_fn(|v| S::load(b.add(v * S::LANES)));
                for r in 0..ROWS {
                    let x = S::splat(*a.add(r * self.lda));
                    for v in 0..VECS {
                        acc[r][v] = S::fma(x, bv[v], acc[r][v]);
                    }
                }
                a = a.add(1);
                b = b.add(VECS * S::LANES);
            }
            for r in 0..ROWS {
                for v in 0..VECS {
                    S::store(self.c.add((row + r) * self.ldc + v * S::LANES), acc[r][v]);
                }
            }
        }
    }
}

impl Tile for ProductTile {
    #[inline(always)]
    unsafe fn run<S: Simd, const VECS: usize, const ROWS: usize>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut row = 0;
            while row < self.rows {
                // A few rows alone are quicker one by one.
                if 3 * (self.rows - row) > ROWS {
                    self.tile::<S, VECS, ROWS>(row);
                    row += ROWS;
                } else {
                    self.tile::<S, VECS, 1>(row);
                    row += 1;
                }
            }
        }
    }
}

impl Outer<'_> {
    /// # Safety
    /// As for [`Product::run`].
    pub(super) unsafe fn run<S: Simd>(self) {
        // (Of fewer rows most of a tile is empty.)
        if S::TILES && self.rows >= 16 && on_tiles(self.outputs, self.ldx) {
            // SAFETY: the caller's promise.
            return unsafe { S::outer(&self) };
        }
        for_groups(self.ldx / S::LANES, S::MAX_VECS, |first, vecs| {
            // SAFETY: these columns, the caller's promise.
            unsafe { S::tiled(vecs, OuterTile { outer: self, first: first * S::LANES }) };
        });
    }
}

struct OuterTile<'a> {
    outer: Outer<'a>,
    first: usize,
}

impl Tile for OuterTile<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const VECS: usize, const ROWS: usize>(self) {
        let Outer { pairs, rows, ldy, ldx, outputs, w } = self.outer;
        // SAFETY: the caller's promise.
        unsafe {
            let w = w.add(self.first);
            let mut i = 0;
            while i < outputs {
                let mut acc: [[S::V; VECS]; ROWS] = std::array::from_fn(|r| {
                    std::array::from_fn(|v| S::load(w.add((i + r) * ldx + v * S::LANES)))
                });
                for &(y, x) in pairs {
                    let (mut y, mut x) = (y.add(i), x.add(self.first));
                    for _ in 0..rows {
                        let xv: [S::V; VECS] =
                            std::array::from_fn(|v| S::load(x.add(v * S::LANES)));
                        for r in 0..ROWS {
                            let s = S::splat(*y.add(r));
                            for v in 0..VECS {
                                acc[r][v] = S::fma(s, xv[v], acc[r][v]);
                            }
                        }
                        y = y.add(ldy);
                        x = x.add(ldx);
                    }
                }
                for r in 0..ROWS {
                    for v in 0..VECS {
                        S::store(w.add((i + r) * ldx + v * S::LANES), acc[r][v]);
                    }
                }
                i += ROWS;
            }
        }
    }
}

/// `out += sum over rows of weight x`, `x` being `[rows][ld]` and the weights 1 where not given.
#[derive(Clone, Copy)]
pub(super) struct ColumnSum<'a> {
    pub(super) x: *const f32,
    pub(super) ld: usize,
    pub(super) rows: usize,
    pub(super) weights: Option<&'a [f32]>,
    pub(super) out: *mut f32,
}

impl ColumnSum<'_> {
    /// # Safety
    /// As for [`Product::run`]; there are at least `rows` weights.
    pub(super) unsafe fn run<S: Simd>(self) {
        for_groups(self.ld / S::LANES, S::MAX_VECS, |first, vecs| {
            let at = first * S::LANES;
            // SAFETY: these columns, the caller's promise.
            unsafe {
                let (x, out) = (self.x.add(at), self.out.add(at));
                S::tiled(vecs, Self { x, out, ..self });
            }
        });
    }
}

impl Tile for ColumnSum<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const VECS: usize, const ROWS: usize>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc: [S::V; VECS] =
                std::array::from_fn(|v| S::load(self.out.add(v * S::LANES)));
            for row in 0..self.rows {
                let x = self.x.add(row * self.ld);
                let weight = self.weights.map_or(S::splat(1.0), |w| S::splat(w[row]));
                for v in 0..VECS {
                    acc[v] = S::fma(weight, S::load(x.add(v * S::LANES)), acc[v]);
                }
            }
            for v in 0..VECS {
                S::store(self.out.add(v * S::LANES), acc[v]);
            }
        }
    }
}

/// `out[row][i] = x[row] . w[i]` for `rows` rows of `x` and `count` of `w`, all `width` apart.
pub(super) struct Dots<'a> {
    pub(super) x: *const f32,
    pub(super) w: *const f32,
    pub(super) width: usize,
    pub(super) count: usize,
    /// `[rows][count]`
    pub(super) out: &'a mut [f32],
}

impl Kernel for Dots<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(mut self) {
        let rows = self.out.len() / self.count;
        let (pairs, fours) = (self.count / 2 * 2, rows / 4 * 4);
        // SAFETY: the caller's promise, and rows and columns of the output.
        unsafe {
            for row in (0..rows / 2 * 2).step_by(2) {
                for i in (0..pairs).step_by(2) {
                    self.tile::<S, 2, 2>(row, i);
                }
            }
            if rows % 2 == 1 {
                for i in 0..pairs {
                    self.tile::<S, 1, 1>(rows - 1, i);
                }
            }
            if self.count > pairs {
                for row in (0..fours).step_by(4) {
                    self.tile::<S, 4, 1>(row, pairs);
                }
                for row in fours..rows {
                    self.tile::<S, 1, 1>(row, pairs);
                }
            }
        }
    }
}

impl Dots<'_> {
    /// The products of some rows of `x` and of `w`, at most four.
    #[inline(always)]
    unsafe fn tile<S: Simd, const ROWS: usize, const COUNT: usize>(
        &mut self,
        row: usize,
        i: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let (x, w) = (self.x.add(row * self.width), self.w.add(i * self.width));
            let mut acc = [S::splat(0.0); 4];
            for at in (0..self.width).step_by(S::LANES) {
                let w: [S::V; COUNT] = std::array::from_fn(|i| S::load(w.add(i * self.width + at)));
                for r in 0..ROWS {
                    let x = S::load(x.add(r * self.width + at));
                    for i in 0..COUNT {
                        acc[r * COUNT + i] = S::fma(x, w[i], acc[r * COUNT + i]);
                    }
                }
            }
            let sums = S::sums(acc);
            for r in 0..ROWS {
                for c in 0..COUNT {
                    *self.out.get_unchecked_mut((row + r) * self.count + i + c) =
                        sums[r * COUNT + c];
                }
            }
        }
    }
}
