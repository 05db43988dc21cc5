//! Gradients of a linear layer over many rows.
#![allow(
    clippy::needless_range_loop,
    reason = "loops over a tile run over rows and registers of several arrays at once"
)]

use super::Isa;
use super::denormals::Flushed;
use super::isa::{Work, on_registers};
use super::memory::Aligned;
use super::shared::{Shared, filled, for_each};
use super::simd::{Kernel, MAX_ROWS, Simd, Tile, for_groups};

/// Rows that are summed by themselves at least, and into how many sums at most.
const ROWS: usize = 512;
const SUMS: usize = 64;
/// Numbers of `dy` that stay in the first-level cache.
const BLOCK: usize = 4096;
/// The largest layer, in weights: beyond it the sums would leave the cache.
const LARGEST: usize = 1 << 16;

/// A layer `y = W x + b`: numbers of rows, inputs and outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Size {
    /// Whether there are rows enough to share them among threads.
    pub(crate) fn suits(&self) -> bool {
        self.rows >= 2 * ROWS && self.inputs * self.outputs <= LARGEST
    }

    /// Rows that are summed by themselves. They depend on the layer alone, so that no result depends on the
    /// number of threads.
    fn rows_a_sum(&self) -> usize {
        ROWS.max(self.rows.div_ceil(SUMS))
    }
}

/// The gradients of `W`, `[O, I]`, and of `b`, `[O]`, from `x`, `[R, I]`, and the gradient of `y`, `[R, O]`.
pub(crate) fn gradients(isa: Isa, size: Size, x: &[f32], dy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    assert_eq!((x.len(), dy.len()), (size.rows * size.inputs, size.rows * size.outputs));
    let mut db = Vec::new();
    // SAFETY: every row of the weights is written, and every number of the bias.
    let dw = unsafe {
        filled(size.outputs * size.inputs, |dw| {
            db = filled(size.outputs, |db| on_registers(isa, Layer { size, x, dy, dw, db }));
        })
    };
    (dw, db)
}

struct Layer<'a> {
    size: Size,
    x: &'a [f32],
    dy: &'a [f32],
    dw: Shared<'a>,
    db: Shared<'a>,
}

impl Work for Layer<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let Self { size, x, dy, dw, db } = self;
        let Size { rows, inputs, outputs } = size;
        let (wide, per_sum) = (inputs.next_multiple_of(S::LANES), size.rows_a_sum());
        // The weights, whole tiles of them, and the biases as another row.
        let (tall, bias) = (outputs + MAX_ROWS, outputs.next_multiple_of(S::LANES));
        let part = tall * wide + bias;
        let count = rows.div_ceil(per_sum);
        let mut sums = Aligned::zeroed(count * part);
        let to = Shared::new(sums.as_mut_slice());
        for_each(count, rows * inputs * outputs, |number| {
            let _flushed = Flushed::new();
            let start = number * per_sum;
            let end = rows.min(start + per_sum);
            // SAFETY: the part of this sum, which nobody else uses; the instruction set is the caller's promise.
            unsafe {
                let sums = to.slice(number * part, part);
                let (weights, biases) = sums.split_at_mut(tall * wide);
                let sum = Sum { size, wide, x, dy, weights, biases };
                sum.add::<S>(start, end);
            }
        });
        let sums = sums.as_slice();
        let total = |at: usize| {
            (0..count).map(|number| f64::from(sums[number * part + at])).sum::<f64>() as f32
        };
        for_each(outputs, 2 * count * inputs * outputs, |o| {
            // SAFETY: the weights and the bias of this output.
            unsafe {
                for i in 0..inputs {
                    dw.write(o * inputs + i, total(o * wide + i));
                }
                db.write(o, total(tall * wide + o));
            }
        });
    }
}

/// The sums of some rows.
struct Sum<'a> {
    size: Size,
    /// Numbers of a row of the weights, in whole registers.
    wide: usize,
    x: &'a [f32],
    dy: &'a [f32],
    weights: &'a mut [f32],
    biases: &'a mut [f32],
}

impl Sum<'_> {
    /// Adds rows `start` to `end`.
    ///
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn add<S: Simd>(self, start: usize, end: usize) {
        let Size { inputs, outputs, .. } = self.size;
        let (weights, biases) = (self.weights.as_mut_ptr(), self.biases.as_mut_ptr());
        let block = (BLOCK / outputs).clamp(8, 64);
        let (mut last_x, mut last_dy) = (Vec::new(), Vec::new());
        for row in (start..end).step_by(block) {
            let rows = block.min(end - row);
            let (mut x, mut dy) = (&self.x[row * inputs..], &self.dy[row * outputs..]);
            // A tile reads beyond the last number of a row. What it finds there, numbers of the next rows,
            // ends in sums that nobody reads; only behind the last rows there must be something.
            let spare = S::MAX_VECS * S::LANES + MAX_ROWS;
            if x.len() < rows * inputs + spare || dy.len() < rows * outputs + spare {
                x = padded(&mut last_x, &x[..rows * inputs], spare);
                dy = padded(&mut last_dy, &dy[..rows * outputs], spare);
            }
            let (x, dy) = (x.as_ptr(), dy.as_ptr());
            for_groups(self.wide / S::LANES, S::MAX_VECS, |first, vecs| {
                let first = first * S::LANES;
                // SAFETY: the rows are there, and room behind them; the sums have whole tiles.
                unsafe {
                    let (x, sums) = (x.add(first), weights.add(first));
                    let tile = WeightTile { x, dy, rows, inputs, outputs, sums, wide: self.wide };
                    S::tiled(vecs, tile);
                }
            });
            // SAFETY: as above.
            unsafe { S::invoke(BiasRows { dy, rows, outputs, sums: biases }) }
        }
    }
}

/// A copy with zeros behind it.
fn padded<'a>(room: &'a mut Vec<f32>, values: &[f32], spare: usize) -> &'a [f32] {
    room.clear();
    room.extend_from_slice(values);
    room.resize(values.len() + spare, 0.0);
    room
}

/// `sums += dy^T x` in some columns.
struct WeightTile {
    x: *const f32,
    dy: *const f32,
    rows: usize,
    inputs: usize,
    outputs: usize,
    sums: *mut f32,
    wide: usize,
}

impl Tile for WeightTile {
    #[inline(always)]
    unsafe fn run<S: Simd, const VECS: usize, const ROWS: usize>(self) {
        let Self { x, dy, rows, inputs, outputs, sums, wide } = self;
        // SAFETY: the caller's promise.
        unsafe {
            for o in (0..outputs).step_by(ROWS) {
                let sums = sums.add(o * wide);
                let mut acc: [[S::V; VECS]; ROWS] = std::array::from_fn(|r| {
                    std::array::from_fn(|v| S::load(sums.add(r * wide + v * S::LANES)))
                });
                let (mut x, mut dy) = (x, dy.add(o));
                for _ in 0..rows {
                    let xv: [S::V; VECS] =
                        std::array::from_fn(|v| S::load_any(x.add(v * S::LANES)));
                    for r in 0..ROWS {
                        let s = S::splat(*dy.add(r));
                        for v in 0..VECS {
                            acc[r][v] = S::fma(s, xv[v], acc[r][v]);
                        }
                    }
                    x = x.add(inputs);
                    dy = dy.add(outputs);
                }
                for r in 0..ROWS {
                    for v in 0..VECS {
                        S::store(sums.add(r * wide + v * S::LANES), acc[r][v]);
                    }
                }
            }
        }
    }
}

/// `sums += dy`, row by row.
struct BiasRows {
    dy: *const f32,
    rows: usize,
    outputs: usize,
    sums: *mut f32,
}

impl Kernel for BiasRows {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { dy, rows, outputs, sums } = self;
        // SAFETY: the caller's promise.
        unsafe {
            for at in (0..outputs).step_by(S::LANES) {
                let mut sum = S::splat(0.0);
                for row in 0..rows {
                    sum = S::add(sum, S::load_any(dy.add(row * outputs + at)));
                }
                S::store(sums.add(at), S::add(sum, S::load(sums.add(at))));
            }
        }
    }
}
