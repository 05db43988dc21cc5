//! Products of a transposed matrix whose rows lie in images.
#![allow(
    clippy::needless_range_loop,
    reason = "loops over a tile run over rows and registers of several arrays at once"
)]

use super::simd::{Simd, Tile};

/// `sums += sum over pixels of x^T dy`, as many channels of `x` as the tile has rows.
pub(super) struct Outer {
    pub(super) images: usize,
    /// The first pixel; numbers between images, rows and pixels.
    pub(super) x: *const f32,
    pub(super) x_len: usize,
    pub(super) line: usize,
    pub(super) step: usize,
    /// A panel as wide as the tile; numbers between images.
    pub(super) dy: *const f32,
    pub(super) dy_len: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) sums: *mut f32,
}

impl Tile for Outer {
    #[inline(always)]
    unsafe fn run<S: Simd, const VECS: usize, const ROWS: usize>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc = [[S::splat(0.0); VECS]; ROWS];
            for image in 0..self.images {
                let mut dy = self.dy.add(image * self.dy_len);
                for row in 0..self.rows {
                    let mut x = self.x.add(image * self.x_len + row * self.line);
                    for _ in 0..self.columns {
                        let dv: [S::V; VECS] =
                            std::array::from_fn(|v| S::load(dy.add(v * S::LANES)));
                        for r in 0..ROWS {
                            let s = S::splat(*x.add(r));
                            for v in 0..VECS {
                                acc[r][v] = S::fma(s, dv[v], acc[r][v]);
                            }
                        }
                        x = x.add(self.step);
                        dy = dy.add(VECS * S::LANES);
                    }
                }
            }
            for r in 0..ROWS {
                for v in 0..VECS {
                    let at = self.sums.add((r * VECS + v) * S::LANES);
                    S::store(at, S::add(acc[r][v], S::load(at)));
                }
            }
        }
    }
}
