//! Scaled dot-product attention.
//!
//! A head of a sample is worked on some queries at a time: their scores against all keys, the softmax
//! of each row, the product with the values. Backwards the same scores are computed once more.

use super::Isa;
use super::denormals::Flushed;
use super::gather::{Gather, Pixel, Run};
use super::isa::{Work, on_registers};
use super::memory::Aligned;
use super::outer::Outer;
use super::shared::{Shared, filled, for_each};
use super::simd::{Simd, for_groups};
use super::softmax::{ScoreGradient, Softmax};

/// Queries that are worked on at a time.
const QUERIES: usize = 48;
/// The sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Attention {
    pub(crate) batch: usize,
    pub(crate) heads: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    /// Numbers of a query, a key and a value in a head.
    pub(crate) width: usize,
    pub(crate) scale: f64,
}

/// `[B, N, heads, d]` with any distances but 1 between the numbers of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads<'a> {
    pub(crate) values: &'a [f32],
    /// Numbers between samples, tokens and heads.
    pub(crate) strides: [usize; 3],
}

impl Attention {
    /// `[B, N, heads, d]`.
    pub(crate) fn forward(&self, isa: Isa, q: Heads<'_>, k: Heads<'_>, v: Heads<'_>) -> Vec<f32> {
        self.check(&q, self.queries);
        self.check(&k, self.keys);
        self.check(&v, self.keys);
        let len = self.batch * self.queries * self.heads * self.width;
        // SAFETY: all heads of all samples cover the result.
        unsafe { filled(len, |y| on_registers(isa, Forward { sizes: *self, q, k, v, y })) }
    }

    /// The gradients of queries, keys and values, each contiguous.
    pub(crate) fn backward(
        &self,
        isa: Isa,
        [q, k, v]: [Heads<'_>; 3],
        y: &[f32],
        dy: &[f32],
    ) -> [Vec<f32>; 3] {
        self.check(&q, self.queries);
        self.check(&k, self.keys);
        self.check(&v, self.keys);
        let len = |tokens: usize| self.batch * tokens * self.heads * self.width;
        assert_eq!((y.len(), dy.len()), (len(self.queries), len(self.queries)));
        let (mut dk, mut dv) = (Vec::new(), Vec::new());
        // SAFETY: all heads of all samples cover the three results.
        let dq = unsafe {
            filled(len(self.queries), |dq| {
                dk = filled(len(self.keys), |dk| {
                    dv = filled(len(self.keys), |dv| {
                        on_registers(isa, Backward { sizes: *self, q, k, v, y, dy, dq, dk, dv });
                    });
                });
            })
        };
        [dq, dk, dv]
    }

    fn check(&self, heads: &Heads<'_>, tokens: usize) {
        let last = [self.batch, tokens, self.heads].map(|n| n - 1);
        let at: usize = last.iter().zip(heads.strides).map(|(n, stride)| n * stride).sum();
        assert!(at + self.width <= heads.values.len());
    }

    /// Where a head of a sample starts in a contiguous array, and numbers between its tokens.
    fn place(&self, tokens: usize, sample: usize, head: usize) -> (usize, usize) {
        let row = self.heads * self.width;
        (sample * tokens * row + head * self.width, row)
    }
}

/// The rows of a head of a sample.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [f32],
    start: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    fn of(heads: Heads<'a>, sample: usize, head: usize) -> Self {
        let [b, n, h] = heads.strides;
        Self { values: heads.values, start: sample * b + head * h, stride: n }
    }

    /// The first `len` numbers of a row.
    fn row(&self, row: usize, len: usize) -> &'a [f32] {
        &self.values[self.start + row * self.stride..][..len]
    }
}

/// A matrix `[depth][width]` in panels.
struct Panels {
    memory: Aligned,
    depth: usize,
    vecs: usize,
}

impl Panels {
    /// Calls `fill` with each panel: its first column, how many are used, its width, its numbers.
    fn new<S: Simd>(
        depth: usize,
        width: usize,
        fill: impl Fn(usize, usize, usize, &mut [f32]),
    ) -> Self {
        let vecs = width.div_ceil(S::LANES);
        let mut memory = Aligned::zeroed(depth * vecs * S::LANES);
        for_groups(vecs, S::MAX_VECS, |first, count| {
            let (column, panel) = (first * S::LANES, count * S::LANES);
            let to = &mut memory.as_mut_slice()[depth * column..][..depth * panel];
            fill(column, panel.min(width - column), panel, to);
        });
        Self { memory, depth, vecs }
    }

    /// `rows`, `depth` of them.
    fn of_rows<S: Simd>(rows: Rows<'_>, depth: usize, width: usize) -> Self {
        Self::new::<S>(depth, width, |column, used, panel, to| {
            for (k, to) in to.chunks_exact_mut(panel).enumerate() {
                to[..used].copy_from_slice(&rows.row(k, width)[column..][..used]);
            }
        })
    }

    /// `factor` times the transpose of `rows`, `width` of them.
    fn of_columns<S: Simd>(rows: Rows<'_>, depth: usize, width: usize, factor: f32) -> Self {
        Self::new::<S>(depth, width, |column, used, panel, to| {
            for j in 0..used {
                let row = rows.row(column + j, depth);
                for (to, value) in to.chunks_exact_mut(panel).zip(row) {
                    to[j] = factor * value;
                }
            }
        })
    }

    /// `y = x B` for rows of `x` and `y`, the rows of `y` in whole registers.
    ///
    /// # Safety
    /// The processor has the instruction set; the rows are there.
    unsafe fn multiply<S: Simd>(
        &self,
        x: *const f32,
        pixels: &[Pixel],
        y: *mut f32,
        zeros: &[f32],
    ) {
        for_groups(self.vecs, S::MAX_VECS, |first, vecs| {
            let column = first * S::LANES;
            // SAFETY: the caller's promise, and the panel of these columns.
            unsafe {
                let tile = Gather {
                    x,
                    y: y.add(column),
                    pixels,
                    runs: &[Run { at: 0, len: self.depth }],
                    b: self.memory.as_slice()[self.depth * column..].as_ptr(),
                    start: zeros[column..].as_ptr(),
                    used: vecs * S::LANES,
                };
                S::tiled(vecs, tile);
            }
        });
    }
}

/// `[rows][width]` that products of transposed matrices are summed in, tile by tile.
struct SumsOf {
    memory: Aligned,
    vecs: usize,
    tall: usize,
    /// Tiles on top of each other.
    tiles: usize,
}

impl SumsOf {
    fn new<S: Simd>(rows: usize, width: usize) -> Self {
        let vecs = width.div_ceil(S::LANES).min(S::MAX_VECS.min(4));
        let tall = S::rows(vecs);
        let (tiles, panels) = (rows.div_ceil(tall), width.div_ceil(vecs * S::LANES));
        let memory = Aligned::zeroed(tiles * panels * tall * vecs * S::LANES);
        Self { memory, vecs, tall, tiles }
    }

    /// `count` rows from `first` on in panels as wide as a tile, `[panel][row][wide]`.
    fn pack<S: Simd>(&self, rows: Rows<'_>, first: usize, count: usize, width: usize) -> Aligned {
        let wide = self.vecs * S::LANES;
        let panels = width.div_ceil(wide);
        let mut memory = Aligned::zeroed(panels * count * wide);
        let all = memory.as_mut_slice().chunks_exact_mut(wide).take(panels * count);
        for (number, to) in all.enumerate() {
            let (panel, row) = (number / count, number % count);
            let from = &rows.row(first + row, width)[panel * wide..];
            let used = wide.min(from.len());
            to[..used].copy_from_slice(&from[..used]);
        }
        memory
    }

    /// Adds `x^T dy` for `rows` rows of `x`, `ld` numbers apart, and of the packed `dy`.
    ///
    /// # Safety
    /// The processor has the instruction set; a row of `x` has as many numbers as the tiles have rows.
    unsafe fn add<S: Simd>(&mut self, x: *const f32, ld: usize, dy: &Aligned, rows: usize) {
        let wide = self.vecs * S::LANES;
        let tile = self.tall * wide;
        let panels = self.memory.len() / (self.tiles * tile).max(1);
        for panel in 0..panels {
            for number in 0..self.tiles {
                // SAFETY: the caller's promise.
                unsafe {
                    let outer = Outer {
                        images: 1,
                        x: x.add(number * self.tall),
                        x_len: 0,
                        line: 0,
                        step: ld,
                        dy: dy.as_slice()[panel * rows * wide..].as_ptr(),
                        dy_len: 0,
                        rows: 1,
                        columns: rows,
                        sums: self.memory.as_mut_slice()[(panel * self.tiles + number) * tile..]
                            .as_mut_ptr(),
                    };
                    S::tiled(self.vecs, outer);
                }
            }
        }
    }

    /// Copies the sums to rows of `width` numbers, `apart` from each other.
    ///
    /// # Safety
    /// The rows are there, and nobody else uses them.
    unsafe fn store<S: Simd>(&self, rows: usize, width: usize, to: *mut f32, apart: usize) {
        let wide = self.vecs * S::LANES;
        for (number, from) in self.memory.as_slice().chunks_exact(wide).enumerate() {
            let (panel, row) =
                (number / (self.tiles * self.tall), number % (self.tiles * self.tall));
            if row < rows && panel * wide < width {
                let used = wide.min(width - panel * wide);
                // SAFETY: the caller's promise.
                unsafe {
                    let to = to.add(row * apart + panel * wide);
                    std::ptr::copy_nonoverlapping(from.as_ptr(), to, used);
                }
            }
        }
    }
}

/// What the heads of one call share.
struct Head<'a> {
    sizes: &'a Attention,
    q: Rows<'a>,
    /// `k^T` times the scale and the binary logarithm of e.
    k: Panels,
    /// Numbers of a row of scores in whole registers.
    wide: usize,
    zeros: Aligned,
}

impl<'a> Head<'a> {
    fn new<S: Simd>(sizes: &'a Attention, q: Rows<'a>, k: Rows<'_>) -> Self {
        let factor = (sizes.scale * std::f64::consts::LOG2_E) as f32;
        let k = Panels::of_columns::<S>(k, sizes.width, sizes.keys, factor);
        let wide = sizes.keys.next_multiple_of(S::LANES);
        let zeros = Aligned::zeroed(wide.max(sizes.width.next_multiple_of(S::LANES)));
        Self { sizes, q, k, wide, zeros }
    }

    /// The probabilities of some queries, `[queries][wide]`.
    ///
    /// # Safety
    /// The processor has the instruction set; there is the room.
    unsafe fn probabilities<S: Simd>(&self, first: usize, count: usize, p: *mut f32) {
        let Rows { values, start, stride } = self.q;
        let pixels: Vec<Pixel> = (0..count)
            .map(|row| Pixel { from: start + (first + row) * stride, to: row * self.wide })
            .collect();
        // SAFETY: the queries are there; the rest is the caller's promise.
        unsafe {
            self.k.multiply::<S>(values.as_ptr(), &pixels, p, self.zeros.as_slice());
            S::invoke(Softmax { x: p, rows: count, used: self.sizes.keys, wide: self.wide });
        }
    }
}

/// Rows `apart` numbers apart in both arrays.
fn rows_of(count: usize, from: usize, to: usize) -> Vec<Pixel> {
    (0..count).map(|row| Pixel { from: row * from, to: row * to }).collect()
}

struct Forward<'a> {
    sizes: Attention,
    q: Heads<'a>,
    k: Heads<'a>,
    v: Heads<'a>,
    y: Shared<'a>,
}

impl Work for Forward<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let sizes = &self.sizes;
        let Attention { batch, heads, queries, keys, width, .. } = *sizes;
        let work = 2 * batch * heads * queries * keys * width;
        for_each(batch * heads, work, |number| {
            let _flushed = Flushed::new();
            let (sample, head) = (number / heads, number % heads);
            let [q, k, v] = [self.q, self.k, self.v].map(|x| Rows::of(x, sample, head));
            let here = Head::new::<S>(sizes, q, k);
            let v = Panels::of_rows::<S>(v, keys, width);
            let wide = width.next_multiple_of(S::LANES);
            let mut p = Aligned::zeroed(QUERIES * here.wide);
            let mut y = Aligned::zeroed(QUERIES * wide);
            let (place, row) = sizes.place(queries, sample, head);
            for first in (0..queries).step_by(QUERIES) {
                let count = QUERIES.min(queries - first);
                // SAFETY: the instruction set is the caller's promise, the rest is the sizes; nobody
                // else writes this head.
                unsafe {
                    let p = p.as_mut_slice().as_mut_ptr();
                    here.probabilities::<S>(first, count, p);
                    let to = y.as_mut_slice().as_mut_ptr();
                    v.multiply::<S>(p, &rows_of(count, here.wide, wide), to, here.zeros.as_slice());
                    for (number, y) in y.as_slice().chunks_exact(wide).take(count).enumerate() {
                        let to = self.y.at(place + (first + number) * row);
                        std::ptr::copy_nonoverlapping(y.as_ptr(), to, width);
                    }
                }
            }
        });
    }
}

struct Backward<'a> {
    sizes: Attention,
    q: Heads<'a>,
    k: Heads<'a>,
    v: Heads<'a>,
    y: &'a [f32],
    dy: &'a [f32],
    dq: Shared<'a>,
    dk: Shared<'a>,
    dv: Shared<'a>,
}

impl Work for Backward<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let Attention { batch, heads, queries, keys, width, .. } = self.sizes;
        let work = 5 * batch * heads * queries * keys * width;
        for_each(batch * heads, work, |number| {
            let _flushed = Flushed::new();
            // SAFETY: the caller's promise; nobody else writes this head.
            unsafe { self.head::<S>(number / heads, number % heads) }
        });
    }
}

impl Backward<'_> {
    /// # Safety
    /// The processor has the instruction set; nobody else writes this head.
    unsafe fn head<S: Simd>(&self, sample: usize, head: usize) {
        let sizes = &self.sizes;
        let Attention { queries, keys, width, scale, .. } = *sizes;
        let [q, k, v] = [self.q, self.k, self.v].map(|x| Rows::of(x, sample, head));
        let here = Head::new::<S>(sizes, q, k);
        let plain_k = Panels::of_rows::<S>(k, keys, width);
        let turned_v = Panels::of_columns::<S>(v, width, keys, 1.0);
        let (mut dk, mut dv) = (SumsOf::new::<S>(keys, width), SumsOf::new::<S>(keys, width));
        let (wide, long) = (width.next_multiple_of(S::LANES), here.wide);
        // A tile of sums may read beyond a row.
        let room = QUERIES * long + dk.tall;
        let (mut p, mut ds) = (Aligned::zeroed(room), Aligned::zeroed(room));
        let mut dq = Aligned::zeroed(QUERIES * wide);
        let (place, row) = sizes.place(queries, sample, head);
        let dy = Rows { values: self.dy, start: place, stride: row };
        let zeros = here.zeros.as_slice();
        for first in (0..queries).step_by(QUERIES) {
            let count = QUERIES.min(queries - first);
            let at = |number: usize| place + (first + number) * row;
            let levels: Vec<f32> = (0..count)
                .map(|number| {
                    let (y, dy) = (&self.y[at(number)..][..width], &self.dy[at(number)..][..width]);
                    y.iter().zip(dy).map(|(y, dy)| y * dy).sum()
                })
                .collect();
            let of_dy: Vec<Pixel> =
                (0..count).map(|n| Pixel { from: at(n), to: n * long }).collect();
            let packed_dy = dv.pack::<S>(dy, first, count, width);
            let packed_q = dk.pack::<S>(q, first, count, width);
            // SAFETY: the caller's promise, and the sizes.
            unsafe {
                let p = p.as_mut_slice().as_mut_ptr();
                here.probabilities::<S>(first, count, p);
                dv.add::<S>(p, long, &packed_dy, count);
                let ds = ds.as_mut_slice().as_mut_ptr();
                turned_v.multiply::<S>(self.dy.as_ptr(), &of_dy, ds, zeros);
                let scale = scale as f32;
                S::invoke(ScoreGradient { p, ds, wide: long, levels: &levels, scale });
                dk.add::<S>(ds, long, &packed_q, count);
                let to = dq.as_mut_slice().as_mut_ptr();
                plain_k.multiply::<S>(ds, &rows_of(count, long, wide), to, zeros);
                for (number, dq) in dq.as_slice().chunks_exact(wide).take(count).enumerate() {
                    std::ptr::copy_nonoverlapping(dq.as_ptr(), self.dq.at(at(number)), width);
                }
            }
        }
        let (place, row) = sizes.place(keys, sample, head);
        // SAFETY: the keys of this head.
        unsafe {
            dk.store::<S>(keys, width, self.dk.at(place), row);
            dv.store::<S>(keys, width, self.dv.at(place), row);
        }
    }
}
