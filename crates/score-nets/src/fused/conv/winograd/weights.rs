//! The gradient of the weights.

use super::transforms::{Gradient, Input, WeightsBack};
use super::{POINTS, Tiles};
use crate::fused::conv::shape::Shape;
use crate::fused::denormals::Flushed;
use crate::fused::isa::Work;
use crate::fused::memory::Aligned;
use crate::fused::outer::Outer;
use crate::fused::shared::{Shared, for_each};
use crate::fused::simd::{MAX_LANES, Simd};

/// Numbers of transformed images that are worked on at a time.
const CHUNK: usize = 1 << 20;
/// Tiles that are summed at a time, so that they stay in the first-level cache.
const BLOCK: usize = 128;
/// Tiles that one thread transforms at a time.
const SOME: usize = 16;

/// The gradient of the weights, `[O, C, 3, 3]`.
pub(in crate::fused::conv) struct WeightGradient<'a> {
    pub(in crate::fused::conv) shape: Shape,
    pub(in crate::fused::conv) x: &'a [f32],
    pub(in crate::fused::conv) dy: &'a [f32],
    /// Uninitialised room for it.
    pub(in crate::fused::conv) target: Shared<'a>,
}

/// How the arrays lie.
struct Layout {
    /// Registers, numbers and rows of a register tile.
    vecs: usize,
    wide: usize,
    tall: usize,
    /// Panels of output channels, and rows of register tiles of input channels.
    panels: usize,
    rows: usize,
    /// Tiles of images in a chunk.
    chunk: usize,
    /// Numbers between the tiles of a chunk.
    row: usize,
    /// Numbers between points of the transformed input, of the transformed gradient and of the sums.
    in_point: usize,
    out_point: usize,
    sum_point: usize,
}

impl Layout {
    fn new<S: Simd>(shape: &Shape, all: usize) -> Self {
        let needed = shape.outputs.div_ceil(S::LANES);
        let cost = |vecs: usize| (needed.div_ceil(vecs) * vecs, usize::MAX - vecs);
        let vecs = (1..=S::MAX_VECS.min(4)).min_by_key(|&vecs| cost(vecs)).unwrap_or(1);
        let (wide, tall) = (vecs * S::LANES, S::rows(vecs));
        let (panels, rows) = (needed.div_ceil(vecs), shape.channels.div_ceil(tall));
        // Rows an odd number of cache lines long: a column of them is then all over the cache.
        let row = 16 * (shape.channels.div_ceil(16) | 1);
        let fitting = CHUNK / (POINTS * (row + panels * wide));
        let chunk = (fitting / BLOCK).max(1) * BLOCK;
        let chunk = chunk.min(all.next_multiple_of(SOME));
        Self {
            vecs,
            wide,
            tall,
            panels,
            rows,
            chunk,
            row,
            // A tile may read beyond the last row.
            in_point: chunk * row + 16,
            out_point: chunk * panels * wide + 16,
            sum_point: panels * rows * tall * wide + 16,
        }
    }
}

impl Work for WeightGradient<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let shape = &self.shape;
        let tiles = Tiles::new(shape.input, shape.output, shape.before.map(|n| n as isize));
        let all = shape.batch * tiles.per_image();
        let layout = &Layout::new::<S>(shape, all);
        let mut inputs = Aligned::zeroed(POINTS * layout.in_point + 16);
        let mut gradients = Aligned::zeroed(POINTS * layout.out_point);
        let mut sums = Aligned::zeroed(POINTS * layout.sum_point);
        let sums = Shared::new(sums.as_mut_slice());
        let zeros = Aligned::zeroed(shape.channels.max(shape.outputs));
        for first in (0..all).step_by(layout.chunk) {
            let count = layout.chunk.min(all - first);
            let x = Shared::new(inputs.as_mut_slice());
            let dy = Shared::new(gradients.as_mut_slice());
            let work = 8 * POINTS * count * (shape.channels + shape.outputs);
            for_each(count.div_ceil(SOME), work, |unit| {
                let _flushed = Flushed::new();
                for number in unit * SOME..(unit * SOME + SOME).min(count) {
                    // SAFETY: the instruction set is the caller's promise; nobody else has the tile.
                    unsafe {
                        self.transform::<S>(layout, &tiles, first + number, number, &zeros, x, dy);
                    }
                }
            });
            let (x, dy) = (inputs.as_slice(), gradients.as_slice());
            let work = POINTS * count * shape.channels * shape.outputs;
            for_each(POINTS * layout.panels, work, |unit| {
                let _flushed = Flushed::new();
                let (point, panel) = (unit / layout.panels, unit % layout.panels);
                // SAFETY: as above; nobody else has these sums.
                unsafe { multiply::<S>(layout, point, panel, count, x, dy, sums) }
            });
        }
        for_each(layout.panels * layout.vecs, 32 * shape.channels * shape.outputs, |register| {
            // SAFETY: as above; nobody else has the weights of these outputs.
            unsafe { self.back::<S>(layout, register, sums) }
        });
    }
}

/// Adds the products of a chunk to the sums of a point and a panel.
///
/// # Safety
/// The processor has the instruction set, and nobody else uses these sums.
unsafe fn multiply<S: Simd>(
    layout: &Layout,
    point: usize,
    panel: usize,
    count: usize,
    x: &[f32],
    dy: &[f32],
    sums: Shared<'_>,
) {
    let Layout { wide, tall, row, .. } = *layout;
    for first in (0..count).step_by(BLOCK) {
        let dy = &dy[point * layout.out_point + (panel * layout.chunk + first) * wide..];
        for number in 0..layout.rows {
            let x = &x[point * layout.in_point + first * row + number * tall..];
            let sum = point * layout.sum_point + (panel * layout.rows + number) * tall * wide;
            // SAFETY: the caller's promise, and the sizes.
            unsafe {
                let outer = Outer {
                    images: 1,
                    x: x.as_ptr(),
                    x_len: 0,
                    line: 0,
                    step: row,
                    dy: dy.as_ptr(),
                    dy_len: 0,
                    rows: 1,
                    columns: BLOCK.min(count - first),
                    sums: sums.at(sum),
                };
                S::tiled(layout.vecs, outer);
            }
        }
    }
}

impl WeightGradient<'_> {
    /// Input and gradient of a tile in the basis of products.
    ///
    /// # Safety
    /// The processor has the instruction set, and nobody else writes tile `number` of the chunk.
    #[expect(clippy::too_many_arguments, reason = "arrays in and out")]
    unsafe fn transform<S: Simd>(
        &self,
        layout: &Layout,
        tiles: &Tiles,
        tile: usize,
        number: usize,
        zeros: &Aligned,
        x: Shared<'_>,
        dy: Shared<'_>,
    ) {
        let Shape { channels, outputs, .. } = self.shape;
        let zeros = zeros.as_slice().as_ptr();
        let of_x =
            |pixel: Option<usize>| pixel.map_or(zeros, |pixel| self.x[pixel * channels..].as_ptr());
        let of_dy =
            |pixel: Option<usize>| pixel.map_or(zeros, |pixel| self.dy[pixel * outputs..].as_ptr());
        // SAFETY: the caller's promise, and the sizes.
        unsafe {
            S::invoke(Input {
                pixels: tiles.sees(tile).map(|row| row.map(of_x)),
                channels,
                to: x.at(number * layout.row),
                apart: layout.in_point,
            });
            S::invoke(Gradient {
                pixels: tiles.makes(tile).map(|row| row.map(of_dy)),
                channels: outputs,
                to: dy.at(number * layout.wide),
                apart: layout.out_point,
                panel: layout.chunk * layout.wide,
                wide: layout.wide,
            });
        }
    }

    /// The weights of a register of outputs from their sums.
    ///
    /// # Safety
    /// The processor has the instruction set; nobody else writes these weights.
    unsafe fn back<S: Simd>(&self, layout: &Layout, register: usize, sums: Shared<'_>) {
        let Shape { channels, outputs, .. } = self.shape;
        let (panel, v) = (register / layout.vecs, register % layout.vecs);
        let first = register * S::LANES;
        let mut kernels = [0.0; 9 * MAX_LANES];
        for c in 0..channels {
            let tile = panel * layout.rows + c / layout.tall;
            let row = (tile * layout.tall + c % layout.tall) * layout.wide + v * S::LANES;
            // SAFETY: the caller's promise, and the sizes.
            unsafe {
                let from = sums.at(row);
                S::invoke(WeightsBack { from, apart: layout.sum_point, to: kernels.as_mut_ptr() });
                for o in first..outputs.min(first + S::LANES) {
                    for place in 0..9 {
                        let weight = kernels[place * S::LANES + o - first];
                        self.target.write((o * channels + c) * 9 + place, weight);
                    }
                }
            }
        }
    }
}
