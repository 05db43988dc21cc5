//! Products of packed matrices with rows that are gathered from images.
#![allow(
    clippy::needless_range_loop,
    reason = "loops over a tile run over rows and registers of several arrays at once"
)]

use super::simd::{Simd, Tile};

/// Where a pixel is read and where its sum is written, in numbers from the start of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixel {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// Neighbouring numbers that every pixel reads: how far from it they begin, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) at: usize,
    pub(super) len: usize,
}

/// `y = start + sum over runs of x B` for each pixel, in the columns of one panel of `B`.
///
/// Each number is summed in the order of the runs, so that a pixel does not depend on those beside it.
pub(super) struct Gather<'a> {
    pub(super) x: *const f32,
    pub(super) y: *mut f32,
    pub(super) pixels: &'a [Pixel],
    pub(super) runs: &'a [Run],
    /// The panel: for each number of the runs a row as wide as the tile.
    pub(super) b: *const f32,
    /// Where the sums start, as wide as the tile; where they start from what is in `y` if null.
    pub(super) start: *const f32,
    /// Columns of the panel that exist.
    pub(super) used: usize,
}

/// The widest panel of any instruction set, in numbers.
pub(super) const MAX_PANEL: usize = 80;

impl Tile for Gather<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const VECS: usize, const ROWS: usize>(self) {
        let mut pixels = self.pixels;
        // SAFETY: the caller's promise.
        unsafe {
            while !pixels.is_empty() {
                // A few pixels alone are quicker one by one.
                if 3 * pixels.len() > ROWS {
                    self.tile::<S, VECS, ROWS>(pixels);
                    pixels = &pixels[ROWS.min(pixels.len())..];
                } else {
                    self.tile::<S, VECS, 1>(pixels);
                    pixels = &pixels[1..];
                }
            }
        }
    }
}

impl Gather<'_> {
    /// The first `ROWS` of `pixels`; where there are fewer, the last of them is done again and again.
    #[inline(always)]
    unsafe fn tile<S: Simd, const VECS: usize, const ROWS: usize>(&self, pixels: &[Pixel]) {
        let count = pixels.len().min(ROWS);
        // SAFETY: the caller's promise.
        unsafe {
            let pixel: [Pixel; ROWS] =
                std::array::from_fn(|r| *pixels.get_unchecked(r.min(count - 1)));
            let mut acc: [[S::V; VECS]; ROWS] = self.begin::<S, VECS, ROWS>(&pixel);
            let mut b = self.b;
            for run in self.runs {
                let x: [*const f32; ROWS] =
                    std::array::from_fn(|r| self.x.add(pixel[r].from + run.at));
                for k in 0..run.len {
                    let bv: [S::V; VECS] = std::array::from_fn(|v| S::load(b.add(v * S::LANES)));
                    for r in 0..ROWS {
                        let x = S::splat(*x[r].add(k));
                        for v in 0..VECS {
                            acc[r][v] = S::fma(x, bv[v], acc[r][v]);
                        }
                    }
                    b = b.add(VECS * S::LANES);
                }
            }
            self.end::<S, VECS, ROWS>(&pixel, &acc);
        }
    }

    /// What the sums of some pixels begin with: the same for all of them, or what is in the result already.
    #[inline(always)]
    unsafe fn begin<S: Simd, const VECS: usize, const ROWS: usize>(
        &self,
        pixel: &[Pixel; ROWS],
    ) -> [[S::V; VECS]; ROWS] {
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc = [[S::splat(0.0); VECS]; ROWS];
            if !self.start.is_null() {
                let start: [S::V; VECS] =
                    std::array::from_fn(|v| S::load(self.start.add(v * S::LANES)));
                acc = [start; ROWS];
            } else if self.used == VECS * S::LANES {
                for r in 0..ROWS {
                    for v in 0..VECS {
                        acc[r][v] = S::load_any(self.y.add(pixel[r].to + v * S::LANES));
                    }
                }
            } else {
                let mut row = [0.0; MAX_PANEL];
                for r in 0..ROWS {
                    let from = self.y.add(pixel[r].to);
                    std::ptr::copy_nonoverlapping(from, row.as_mut_ptr(), self.used);
                    for v in 0..VECS {
                        acc[r][v] = S::load_any(row.as_ptr().add(v * S::LANES));
                    }
                }
            }
            acc
        }
    }

    /// Writes the sums of some pixels.
    #[inline(always)]
    unsafe fn end<S: Simd, const VECS: usize, const ROWS: usize>(
        &self,
        pixel: &[Pixel; ROWS],
        acc: &[[S::V; VECS]; ROWS],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.used == VECS * S::LANES {
                for r in 0..ROWS {
                    // (All rows are written: those done again are the same numbers.)
                    for v in 0..VECS {
                        S::store_any(self.y.add(pixel[r].to + v * S::LANES), acc[r][v]);
                    }
                }
            } else {
                let mut row = [0.0; MAX_PANEL];
                for r in 0..ROWS {
                    for v in 0..VECS {
                        S::store_any(row.as_mut_ptr().add(v * S::LANES), acc[r][v]);
                    }
                    std::ptr::copy_nonoverlapping(row.as_ptr(), self.y.add(pixel[r].to), self.used);
                }
            }
        }
    }
}
