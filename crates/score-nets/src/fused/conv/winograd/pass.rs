//! The output of a convolution, or the gradient of its input.

use super::transforms::{Input, Output, Weights};
use super::{POINTS, Tiles};
use crate::fused::conv::shape::Shape;
use crate::fused::denormals::Flushed;
use crate::fused::gather::{Gather, MAX_PANEL, Pixel, Run};
use crate::fused::isa::Work;
use crate::fused::memory::{Aligned, Scratch};
use crate::fused::shared::{Shared, for_each};
use crate::fused::simd::{MAX_LANES, Simd, for_groups};
use std::ops::Range;

/// Tiles that are worked on at a time: a multiple of the rows of most register tiles.
const SOME: usize = 48;
/// Channels that are summed at a time.
const BLOCK: usize = 256;

/// From source images to target images.
pub(in crate::fused::conv) struct Pass<'a> {
    batch: usize,
    /// Channels of the source and of the target.
    from: usize,
    to: usize,
    tiles: Tiles,
    source: &'a [f32],
    weights: &'a [f32],
    /// Numbers between weights of neighbouring channels of the source and the target.
    strides: [usize; 2],
    /// Whether the kernel is turned round.
    turned: bool,
    bias: Option<&'a [f32]>,
    target: Shared<'a>,
}

impl<'a> Pass<'a> {
    /// The convolution itself; `target` has room for the output.
    pub(in crate::fused::conv) fn forward(
        shape: &Shape,
        x: &'a [f32],
        w: &'a [f32],
        bias: Option<&'a [f32]>,
        target: Shared<'a>,
    ) -> Self {
        Self {
            batch: shape.batch,
            from: shape.channels,
            to: shape.outputs,
            tiles: Tiles::new(shape.input, shape.output, shape.before.map(|n| n as isize)),
            source: x,
            weights: w,
            strides: [9, 9 * shape.channels],
            turned: false,
            bias,
            target,
        }
    }

    /// The gradient of the input from that of the output; `target` has room for it.
    pub(in crate::fused::conv) fn backward(
        shape: &Shape,
        dy: &'a [f32],
        w: &'a [f32],
        target: Shared<'a>,
    ) -> Self {
        let before = shape.before.map(|n| 2 - n as isize);
        Self {
            batch: shape.batch,
            from: shape.outputs,
            to: shape.channels,
            tiles: Tiles::new(shape.output, shape.input, before),
            source: dy,
            weights: w,
            strides: [9 * shape.channels, 9],
            turned: true,
            bias: None,
            target,
        }
    }
}

impl Work for Pass<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let vecs = self.to.div_ceil(S::LANES);
        let mut groups = Vec::new();
        for_groups(vecs, S::MAX_VECS, |first, count| groups.push((first, count)));
        let point = self.from * vecs * S::LANES;
        let mut panels = Aligned::zeroed(POINTS * point);
        // SAFETY: the instruction set is the caller's promise.
        unsafe { self.pack::<S>(&groups, point, Shared::new(panels.as_mut_slice())) };
        let mut bias = Aligned::zeroed(vecs * S::LANES);
        if let Some(values) = self.bias {
            bias.as_mut_slice()[..values.len()].copy_from_slice(values);
        }
        let all = self.batch * self.tiles.per_image();
        let work = POINTS * all * self.from * self.to;
        let some = SOME.min(all.max(1));
        for_each(all.div_ceil(some), work, |unit| {
            let _flushed = Flushed::new();
            let tiles = unit * some..(unit * some + some).min(all);
            // SAFETY: the instruction set is the caller's promise; no other unit has these tiles.
            unsafe { self.unit::<S>(tiles, &groups, panels.as_slice(), bias.as_slice()) }
        });
    }
}

impl Pass<'_> {
    /// The weights in the basis of products, for each point a matrix in panels.
    ///
    /// # Safety
    /// The processor has the instruction set; there is the room.
    unsafe fn pack<S: Simd>(&self, groups: &[(usize, usize)], point: usize, to: Shared<'_>) {
        let registers: Vec<(usize, usize, usize)> = (groups.iter())
            .flat_map(|&(first, count)| (0..count).map(move |v| (first, count, v)))
            .collect();
        for_each(registers.len(), 32 * self.from * self.to, |number| {
            let (first, count, v) = registers[number];
            let column = (first + v) * S::LANES;
            let used = S::LANES.min(self.to - column);
            let mut kernels = [0.0; 9 * MAX_LANES];
            for c in 0..self.from {
                let from = c * self.strides[0] + column * self.strides[1];
                for o in 0..used {
                    let kernel = &self.weights[from + o * self.strides[1]..][..9];
                    for (i, &weight) in kernel.iter().enumerate() {
                        let place = if self.turned { 8 - i } else { i };
                        kernels[place * S::LANES + o] = weight;
                    }
                }
                // SAFETY: the caller's promise; nobody else writes these columns.
                unsafe {
                    let row = self.from * first * S::LANES + (c * count + v) * S::LANES;
                    S::invoke(Weights { from: kernels.as_ptr(), to: to.at(row), apart: point });
                }
            }
        });
    }

    /// # Safety
    /// The processor has the instruction set, and nobody else writes these tiles.
    unsafe fn unit<S: Simd>(
        &self,
        tiles: Range<usize>,
        groups: &[(usize, usize)],
        panels: &[f32],
        bias: &[f32],
    ) {
        let (count, wide) = (tiles.len(), self.to.next_multiple_of(S::LANES));
        let row = self.from.next_multiple_of(16);
        // Points a little off a multiple of the page, so that they do not compete for cache lines.
        let (in_point, out_point) = (count * row + 16, count * wide + 16);
        let mut scratch = Scratch::take();
        let room = scratch.room(POINTS * (in_point + out_point) + row);
        let (zeros, room) = room.split_at_mut(row);
        zeros.fill(0.0);
        let zeros = zeros.as_ptr();
        let (inputs, products) = room.split_at_mut(POINTS * in_point);
        let (inputs, products) = (inputs.as_mut_ptr(), products.as_mut_ptr());
        // SAFETY: the caller's promise, and the sizes.
        unsafe {
            for (number, tile) in tiles.clone().enumerate() {
                let place = |pixel: Option<usize>| {
                    pixel.map_or(zeros, |pixel| self.source[pixel * self.from..].as_ptr())
                };
                S::invoke(Input {
                    pixels: self.tiles.sees(tile).map(|row| row.map(place)),
                    channels: self.from,
                    to: inputs.add(number * row),
                    apart: in_point,
                });
            }
            let pixels: Vec<Pixel> =
                (0..count).map(|t| Pixel { from: t * row, to: t * wide }).collect();
            for point in 0..POINTS {
                let x = inputs.add(point * in_point);
                let y = products.add(point * out_point);
                let panels = &panels[point * self.from * wide..][..self.from * wide];
                self.multiply::<S>(groups, &pixels, x, y, panels);
            }
            for (number, tile) in tiles.enumerate() {
                let place = |pixel: Option<usize>| {
                    pixel.map_or(std::ptr::null_mut(), |pixel| self.target.at(pixel * self.to))
                };
                S::invoke(Output {
                    from: products.add(number * wide),
                    apart: out_point,
                    channels: self.to,
                    bias: bias.as_ptr(),
                    pixels: self.tiles.makes(tile).map(|row| row.map(place)),
                });
            }
        }
    }

    /// The product of one point.
    ///
    /// # Safety
    /// The processor has the instruction set; the arrays are as `unit` has them.
    unsafe fn multiply<S: Simd>(
        &self,
        groups: &[(usize, usize)],
        pixels: &[Pixel],
        x: *const f32,
        y: *mut f32,
        panels: &[f32],
    ) {
        let zeros = Zeros([0.0; MAX_PANEL]);
        let blocks = self.from.div_ceil(BLOCK);
        for &(first, vecs) in groups {
            let column = first * S::LANES;
            for block in 0..blocks {
                let (begin, end) = (block * self.from / blocks, (block + 1) * self.from / blocks);
                // SAFETY: the caller's promise, and the panel of these columns.
                unsafe {
                    let tile = Gather {
                        x,
                        y: y.add(column),
                        pixels,
                        runs: &[Run { at: begin, len: end - begin }],
                        b: panels[self.from * column + begin * vecs * S::LANES..].as_ptr(),
                        start: if block == 0 { zeros.0.as_ptr() } else { std::ptr::null() },
                        used: vecs * S::LANES,
                    };
                    S::tiled(vecs, tile);
                }
            }
        }
    }
}

/// Where sums start.
#[repr(align(64))]
struct Zeros([f32; MAX_PANEL]);
