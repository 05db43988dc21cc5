//! The products of the kernels, by tiles.

use super::multiply::{GROUP, Multiply};
use super::pack::{Depth, TILE};
use super::split::{ROW, split, split_half, transposed};
use super::tiles::Tiles;
use crate::fused::matrices::{Outer, Product};
use crate::fused::memory::Aligned;
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
    if rows == 0 {
        return;
    }
    let configured = Tiles::keep();
    // SAFETY: AMX is available.
    unsafe { configured.configure(rows) };
    for first in (0..rows).step_by(16 * GROUP) {
        let tiles = (rows - first).div_ceil(16).min(GROUP);
        // SAFETY: up to 15 rows beyond the last are readable and writable; the scratch holds the
        // pieces of a group.
        unsafe {
            for tile in 0..tiles {
                let from = a.add((first + 16 * tile) * lda);
                split_rows(from, lda, rows.min(16), depth, pieces.add(tile * depth.bytes()));
            }
            for column in (0..width).step_by(16) {
                let multiply = Multiply {
                    a: pieces,
                    b: b.pieces.add(column / 16 * depth.bytes()),
                    depth,
                    init: bias.add(column),
                    ldi: 0,
                    c: c.add(first * width + column),
                    ldc: width,
                };
                multiply.run(tiles);
            }
        }
    }
}

/// Cuts up to sixteen rows into pieces as the left factor.
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn split_rows(a: *const f32, lda: usize, rows: usize, depth: Depth, to: *mut u8) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let from = a.add(row * lda);
            let to = to.add(row * ROW);
            for k in 0..depth.whole {
                let x = _mm512_loadu_ps(from.add(32 * k));
                let y = _mm512_loadu_ps(from.add(32 * k + 16));
                let [h, m, l] = split(x, y);
                store(to.add(3 * k * TILE), [l, m, h]);
            }
            if depth.half {
                let x = _mm512_loadu_ps(from.add(32 * depth.whole));
                store(to.add(3 * depth.whole * TILE), split_half(x));
            }
        }
    }
}

/// Stores a row of three tiles.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store(to: *mut u8, [first, second, third]: [__m512i; 3]) {
    // SAFETY: the caller's promise.
    unsafe {
        _mm512_store_si512(to.cast(), first);
        _mm512_store_si512(to.add(TILE).cast(), second);
        _mm512_store_si512(to.add(2 * TILE).cast(), third);
    }
}

/// Inner dimension of weight gradients done at once, in tiles.
const DEPTH: usize = 4;

/// [`Outer::run`].
///
/// # Safety
/// As there, and AMX is available.
#[target_feature(enable = "avx512f,avx512dq")]
pub(in crate::fused) unsafe fn outer(outer: &Outer<'_>) {
    let &Outer { ldy, ldx, outputs, w, rows, .. } = outer;
    let (columns, tiles) = (ldx / 16, outputs.div_ceil(16));
    let sixteens = outer.pairs.len() * rows.div_ceil(16);
    let most = Depth { whole: DEPTH, half: false }.bytes();
    let mut pieces = Pieces::new((GROUP + columns) * most);
    let y_pieces = pieces.start();
    let x_pieces = y_pieces.wrapping_add(GROUP * most);
    let configured = Tiles::keep();
    // SAFETY: AMX is available.
    unsafe { configured.configure(16) };
    for begin in (0..sixteens).step_by(2 * DEPTH) {
        let depth = Depth { whole: (sixteens - begin).div_ceil(2).min(DEPTH), half: false };
        // SAFETY: the caller's promise; the scratch holds the pieces of all columns of x and of a
        // group of y.
        unsafe {
            for k in 0..depth.whole {
                let chunks = [0, 1].map(|i| Chunk::new(outer, begin + 2 * k + i));
                for column in 0..columns {
                    let to = x_pieces.add(column * depth.bytes() + 3 * k * TILE);
                    split_column(chunks, ldx, 16 * column, to);
                }
            }
            for first in (0..tiles).step_by(GROUP) {
                let group = (tiles - first).min(GROUP);
                for k in 0..depth.whole {
                    let chunks = [0, 1].map(|i| Chunk::new(outer, begin + 2 * k + i));
                    for tile in 0..group {
                        let to = y_pieces.add(tile * depth.bytes() + 3 * k * TILE);
                        split_transposed(chunks, ldy, 16 * (first + tile), to);
                    }
                }
                for column in 0..columns {
                    let (b, c) = (column * depth.bytes(), w.add(16 * (first * ldx + column)));
                    let b = x_pieces.add(b);
                    let multiply =
                        Multiply { a: y_pieces, b, depth, init: c, ldi: ldx, c, ldc: ldx };
                    multiply.run(group);
                }
            }
        }
    }
}

/// At most sixteen rows of a pair.
#[derive(Clone, Copy)]
struct Chunk {
    y: *const f32,
    x: *const f32,
    rows: usize,
}

impl Chunk {
    /// Chunk `i` of all pairs; empty beyond the last.
    fn new(outer: &Outer<'_>, i: usize) -> Self {
        let each = outer.rows.div_ceil(16);
        let Some(&(y, x)) = outer.pairs.get(i / each) else {
            return Self { y: std::ptr::null(), x: std::ptr::null(), rows: 0 };
        };
        let first = 16 * (i % each);
        let (y, x) = (y.wrapping_add(first * outer.ldy), x.wrapping_add(first * outer.ldx));
        Self { y, x, rows: (outer.rows - first).min(16) }
    }
}

/// Cuts sixteen columns, from `column` on, of two chunks of rows of `x` into pieces as the right
/// factor.
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn split_column(chunks: [Chunk; 2], ldx: usize, column: usize, to: *mut u8) {
    let [a, b] = chunks.map(|chunk| chunk.x.wrapping_add(column));
    for row in 0..16 {
        let [used, also] = chunks.map(|chunk| if row < chunk.rows { 0xffff } else { 0 });
        // SAFETY: the caller's promise; what is not there is masked.
        unsafe {
            let a = _mm512_maskz_loadu_ps(used, a.wrapping_add(row * ldx));
            let b = _mm512_maskz_loadu_ps(also, b.wrapping_add(row * ldx));
            store(to.add(row * ROW), split(a, b));
        }
    }
}

/// Cuts sixteen columns, from `column` on, of two chunks of rows of `y` into pieces as the left factor.
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn split_transposed(chunks: [Chunk; 2], ldy: usize, column: usize, to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let a = columns_of(chunks[0], ldy, column);
        let b = columns_of(chunks[1], ldy, column);
        for row in 0..16 {
            let [h, m, l] = split(a[row], b[row]);
            store(to.add(row * ROW), [l, m, h]);
        }
    }
}

/// Sixteen columns of a chunk of `y`, zero where it has no rows.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn columns_of(chunk: Chunk, ldy: usize, column: usize) -> [__m512; 16] {
    let from = chunk.y.wrapping_add(column);
    if chunk.rows == 16 {
        // SAFETY: the caller's promise.
        return unsafe { transposed(from, ldy) };
    }
    let mut whole = [0.0_f32; 256];
    for row in 0..chunk.rows {
        // SAFETY: a row of the chunk, and one of the array.
        unsafe {
            std::ptr::copy_nonoverlapping(from.add(row * ldy), whole[16 * row..].as_mut_ptr(), 16)
        }
    }
    // SAFETY: the array.
    unsafe { transposed(whole.as_ptr(), 16) }
}
