//! The products of the kernels, by tiles.

use super::multiply::{GROUP, Multiply, Tiles};
use super::pack::{Depth, TILE};
use super::split::{ROW, split, split_half, transposed};
use crate::fused::memory::Aligned;
use crate::fused::product::{Outer, Product};
use std::arch::x86_64::*;
use std::cell::Cell;

thread_local! {
    /// The memory for pieces that this thread used last.
    static SPARE: Cell<Aligned> = const { Cell::new(Aligned::empty()) };
}

/// Memory for pieces, given back to the thread at the end.
struct Pieces(Aligned);

impl Pieces {
    fn new(bytes: usize) -> Self {
        let spare = SPARE.take();
        let floats = bytes / 4;
        Self(if spare.len() < floats { Aligned::zeroed(floats) } else { spare })
    }
    fn start(&mut self) -> *mut u8 {
        self.0.as_mut_slice().as_mut_ptr().cast()
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        SPARE.set(std::mem::take(&mut self.0));
    }
}

/// [`Product::run`] with the pieces of the matrix that its panels carry.
///
/// # Safety
/// As there, and AMX is available.
#[target_feature(enable = "avx512f,avx512dq")]
pub(in crate::fused) unsafe fn product(product: &Product) {
    let &Product { a, lda, b, bias, c, rows } = product;
    let (depth, width) = (Depth::of(b.k), b.width);
    let mut pieces = Pieces::new(GROUP * depth.bytes());
    let pieces = pieces.start();
    // SAFETY: AMX is available.
    let _tiles = unsafe { Tiles::new() };
    for first in (0..rows).step_by(16 * GROUP) {
        let tiles = (rows - first).div_ceil(16).min(GROUP);
        // SAFETY: up to 15 rows beyond the last are readable and writable; the scratch holds the
        // pieces of a group.
        unsafe {
            split_rows(a.add(first * lda), lda, 16 * tiles, depth, pieces);
            for column in 0..width / 16 {
                let multiply = Multiply {
                    a: pieces,
                    b: b.pieces.add(column * depth.bytes()),
                    depth,
                    init: bias.add(16 * column),
                    ldi: 0,
                    c: c.add(first * width + 16 * column),
                    ldc: width,
                };
                multiply.run(tiles);
            }
        }
    }
}

/// Cuts rows into pieces as the left factor.
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn split_rows(a: *const f32, lda: usize, rows: usize, depth: Depth, to: *mut u8) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let from = a.add(row * lda);
            let to = to.add(row / 16 * depth.bytes() + row % 16 * ROW);
            for k in 0..depth.whole {
                let [h, m, l] = split(
                    _mm512_loadu_ps(from.add(32 * k)),
                    _mm512_loadu_ps(from.add(32 * k + 16)),
                );
                store(to.add(3 * k * TILE), [l, m, h]);
            }
            if depth.half {
                let parts = split_half(_mm512_loadu_ps(from.add(32 * depth.whole)));
                store(to.add(3 * depth.whole * TILE), parts);
            }
        }
    }
}

/// Stores a row of three tiles.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store(to: *mut u8, pieces: [__m512i; 3]) {
    for (i, piece) in pieces.into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { _mm512_store_si512(to.add(i * TILE).cast(), piece) }
    }
}

/// Inner dimension of weight gradients done at once, in tiles.
const DEPTH: usize = 6;

/// [`Outer::run`].
///
/// # Safety
/// As there, and AMX is available.
#[target_feature(enable = "avx512f,avx512dq")]
pub(in crate::fused) unsafe fn outer(outer: &Outer<'_>) {
    let &Outer { pairs, rows, ldy, ldx, outputs, w } = outer;
    let (columns, tiles) = (ldx / 16, outputs.div_ceil(16));
    // The rows of all pairs in sixteens: pair, first row, how many.
    let sixteens = rows.div_ceil(16);
    let n_chunks = pairs.len() * sixteens;
    let chunk = |i: usize| -> Option<(usize, usize, usize)> {
        let first = 16 * (i % sixteens);
        (i < n_chunks).then(|| (i / sixteens, first, (rows - first).min(16)))
    };
    let most = Depth { whole: DEPTH, half: false }.bytes();
    let mut pieces = Pieces::new((columns + GROUP) * most);
    let y_pieces = pieces.start();
    let x_pieces = y_pieces.wrapping_add(GROUP * most);
    // SAFETY: AMX is available.
    let _tiles = unsafe { Tiles::new() };
    for begin in (0..n_chunks).step_by(2 * DEPTH) {
        let depth = Depth { whole: (n_chunks - begin).div_ceil(2).min(DEPTH), half: false };
        // SAFETY: the caller's promise; the scratch holds the pieces of all columns of x and of a
        // group of y.
        unsafe {
            for k in 0..depth.whole {
                let chunks = [chunk(begin + 2 * k), chunk(begin + 2 * k + 1)];
                split_columns(pairs, chunks, ldx, columns, depth, x_pieces.add(3 * k * TILE));
            }
            for first in (0..tiles).step_by(GROUP) {
                let group = (tiles - first).min(GROUP);
                for tile in 0..group {
                    let to = y_pieces.add(tile * depth.bytes());
                    for k in 0..depth.whole {
                        let chunks = [chunk(begin + 2 * k), chunk(begin + 2 * k + 1)];
                        split_transposed(pairs, chunks, ldy, 16 * (first + tile), to.add(3 * k * TILE));
                    }
                }
                for column in 0..columns {
                    let c = w.add(16 * (first * ldx + column));
                    let multiply = Multiply {
                        a: y_pieces,
                        b: x_pieces.add(column * depth.bytes()),
                        depth,
                        init: c,
                        ldi: ldx,
                        c,
                        ldc: ldx,
                    };
                    multiply.run(group);
                }
            }
        }
    }
}

/// Some rows of a pair: its number, the first row, how many (at most 16).
type Chunk = Option<(usize, usize, usize)>;

/// Cuts two chunks of rows of `x` into pieces as the right factor, for all columns.
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn split_columns(
    pairs: &[(*const f32, *const f32)],
    chunks: [Chunk; 2],
    ldx: usize,
    columns: usize,
    depth: Depth,
    to: *mut u8,
) {
    for row in 0..16 {
        let from = chunks.map(|chunk| {
            let (pair, first, count) = chunk?;
            (row < count).then(|| pairs[pair].1.wrapping_add((first + row) * ldx))
        });
        for column in 0..columns {
            // SAFETY: the caller's promise.
            unsafe {
                let load = |from: Option<*const f32>| match from {
                    Some(from) => _mm512_loadu_ps(from.add(16 * column)),
                    None => _mm512_setzero_ps(),
                };
                store(to.add(column * depth.bytes() + row * ROW), split(load(from[0]), load(from[1])));
            }
        }
    }
}

/// Cuts sixteen columns, from `column` on, of two chunks of rows of `y` into pieces as the left factor.
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn split_transposed(
    pairs: &[(*const f32, *const f32)],
    chunks: [Chunk; 2],
    ldy: usize,
    column: usize,
    to: *mut u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let [x, y] = chunks.map(|chunk| match chunk {
            Some((pair, first, count)) => {
                transposed(pairs[pair].0.add(first * ldy + column), ldy, count)
            }
            None => [_mm512_setzero_ps(); 16],
        });
        for row in 0..16 {
            let [h, m, l] = split(x[row], y[row]);
            store(to.add(row * ROW), [l, m, h]);
        }
    }
}
