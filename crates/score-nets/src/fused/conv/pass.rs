//! A pass over images: every pixel of the target is a sum of products over pixels of the source.

use super::shape::{Axis, Phase, Shape};
use super::window::Window;
use crate::fused::denormals::Flushed;
use crate::fused::gather::{Gather, Pixel, Run};
use crate::fused::isa::Work;
use crate::fused::memory::{Aligned, Scratch};
use crate::fused::shared::{Shared, for_each};
use crate::fused::simd::{Simd, for_groups};

/// Rows of a panel that are multiplied at a time: 16 KiB of it in registers of eight, which stay in
/// the first-level cache.
const BLOCK: usize = 256;
/// Numbers of a source that are worked on at a time, to stay in the second-level cache.
const WINDOW: usize = 64 << 10;
/// Pixels that are worth packing a window for.
const PIXELS: usize = 192;

/// From source images to target images.
pub(super) struct Pass<'a> {
    pub(super) batch: usize,
    /// Channels of the source and of the target.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) rows: Axis,
    pub(super) columns: Axis,
    pub(super) source: &'a [f32],
    pub(super) weights: Kernel<'a>,
    pub(super) bias: Option<&'a [f32]>,
    /// Uninitialised room for the target.
    pub(super) target: Shared<'a>,
}

/// The weights of a convolution as a pass sees them: the weight from channel `c` to channel `o` at a
/// place of the kernel is number `c * from + o * to + place`.
#[derive(Clone, Copy)]
pub(super) struct Kernel<'a> {
    pub(super) values: &'a [f32],
    pub(super) from: usize,
    pub(super) to: usize,
    /// Width of the kernel.
    pub(super) width: usize,
}

impl<'a> Pass<'a> {
    /// The convolution itself; `target` has room for the output.
    pub(super) fn forward(
        shape: &Shape,
        x: &'a [f32],
        w: &'a [f32],
        bias: Option<&'a [f32]>,
        target: Shared<'a>,
    ) -> Self {
        let places = shape.kernel[0] * shape.kernel[1];
        Self {
            batch: shape.batch,
            from: shape.channels,
            to: shape.outputs,
            rows: Axis::forward(shape, 0),
            columns: Axis::forward(shape, 1),
            source: x,
            weights: Kernel {
                values: w,
                from: places,
                to: shape.channels * places,
                width: shape.kernel[1],
            },
            bias,
            target,
        }
    }

    /// The gradient of the input from that of the output; `target` has room for it.
    pub(super) fn backward(shape: &Shape, dy: &'a [f32], w: &'a [f32], target: Shared<'a>) -> Self {
        let places = shape.kernel[0] * shape.kernel[1];
        Self {
            batch: shape.batch,
            from: shape.outputs,
            to: shape.channels,
            rows: Axis::backward(shape, 0),
            columns: Axis::backward(shape, 1),
            source: dy,
            weights: Kernel {
                values: w,
                from: shape.channels * places,
                to: places,
                width: shape.kernel[1],
            },
            bias: None,
            target,
        }
    }
}

/// The weights of a pair of phases in panels, and how they are multiplied.
struct Part<'a> {
    rows: &'a Phase,
    columns: &'a Phase,
    /// Numbers that a pixel is made of.
    depth: usize,
    panels: Aligned,
    /// Runs of the source, cut where a block of the panel ends.
    runs: Vec<Run>,
    /// Where each block begins and ends in the runs, and how many rows of the panel it has.
    blocks: Vec<(usize, usize, usize)>,
}

impl Work for Pass<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let threads = rayon::current_num_threads();
        let vecs = self.to.div_ceil(S::LANES);
        // What the window is across: whole rows of the source.
        let bare = self.rows.is_bare() && self.columns.is_bare();
        let across = if bare { self.columns.source } else { self.columns.padded };
        let parts: Vec<Part<'_>> = (self.rows.phases.iter())
            .flat_map(|rows| self.columns.phases.iter().map(move |columns| (rows, columns)))
            .map(|(rows, columns)| self.part::<S>(rows, columns, across, vecs))
            .collect();
        let mut start = Aligned::zeroed(vecs * S::LANES);
        if let Some(bias) = self.bias {
            start.as_mut_slice()[..bias.len()].copy_from_slice(bias);
        }
        let pixels = self.rows.target * self.columns.target;
        let strips = Strips::new(&self, across, pixels);
        let mut groups = Vec::new();
        for_groups(vecs, S::MAX_VECS, |first, count| groups.push((first, count)));
        let shares = (4 * threads).div_ceil(strips.count.max(1)).min(groups.len());
        let work = self.batch * pixels * self.from * self.to;
        for_each(strips.count * shares, work, |unit| {
            let _flushed = Flushed::new();
            let (strip, share) = (unit / shares, unit % shares);
            let groups =
                &groups[share * groups.len() / shares..(share + 1) * groups.len() / shares];
            let mut scratch = Scratch::take();
            let window = strips.window(&self, strip, across, bare);
            let x = match bare {
                true => self.source[window.first_image * self.image()..].as_ptr(),
                false => window.copy(self.source, &mut scratch),
            };
            let mut list = Vec::with_capacity(window.images * pixels);
            for part in &parts {
                strips.pixels(&self, part, &window, across, bare, &mut list);
                // SAFETY: the instruction set is the caller's promise; pixels and runs are in the
                // window and in the target, whose pixels no other unit writes in these columns.
                unsafe { self.multiply::<S>(part, groups, &list, x, start.as_slice()) }
            }
        });
    }
}

impl Pass<'_> {
    /// Numbers in an image of the source.
    fn image(&self) -> usize {
        self.rows.source * self.columns.source * self.from
    }

    fn part<'a, S: Simd>(
        &self,
        rows: &'a Phase,
        columns: &'a Phase,
        across: usize,
        vecs: usize,
    ) -> Part<'a> {
        let len = columns.places.len() * self.from;
        let depth = rows.places.len() * len;
        let mut panels = Aligned::zeroed(depth * vecs * S::LANES);
        let places: Vec<usize> = (rows.places.iter())
            .flat_map(|&i| columns.places.iter().map(move |&j| i * self.weights.width + j))
            .collect();
        let to = Shared::new(panels.as_mut_slice());
        let mut groups = Vec::new();
        for_groups(vecs, S::MAX_VECS, |first, count| {
            // In pieces of a register, so that threads can share a wide panel.
            groups.extend((0..count).map(|v| (first, count, v)));
        });
        for_each(groups.len(), depth * self.to, |group| {
            let (first, count, v) = groups[group];
            // SAFETY: the columns of this register, which nobody else writes.
            unsafe { self.pack::<S>(&places, first, count, v, to) }
        });
        let (runs, blocks) = cut(rows.places.len(), across * self.from, len);
        Part { rows, columns, depth, panels, runs, blocks }
    }

    /// Packs register `v` of the panel of `count` registers from `first` on.
    ///
    /// # Safety
    /// `to` has the panel, and nobody else uses these columns of it.
    unsafe fn pack<S: Simd>(
        &self,
        places: &[usize],
        first: usize,
        count: usize,
        v: usize,
        to: Shared<'_>,
    ) {
        let Kernel { values, from, to: across, .. } = self.weights;
        let (panel, column) = (count * S::LANES, (first + v) * S::LANES);
        let used = S::LANES.min(self.to - column);
        let start = places.len() * self.from * first * S::LANES + v * S::LANES;
        for c in 0..self.from {
            for (place, &number) in places.iter().enumerate() {
                let row = start + (place * self.from + c) * panel;
                let at = c * from + column * across + number;
                for o in 0..used {
                    // SAFETY: the caller's promise.
                    unsafe { to.write(row + o, values[at + o * across]) }
                }
            }
        }
    }

    /// # Safety
    /// The processor has the instruction set; pixels and runs are in `x` and in the target, and
    /// nobody else uses these columns of these pixels.
    unsafe fn multiply<S: Simd>(
        &self,
        part: &Part<'_>,
        groups: &[(usize, usize)],
        pixels: &[Pixel],
        x: *const f32,
        start: &[f32],
    ) {
        for &(first, vecs) in groups {
            let column = first * S::LANES;
            let mut b = part.panels.as_slice()[part.depth * column..].as_ptr();
            for (number, &(from, to, rows)) in part.blocks.iter().enumerate() {
                // SAFETY: the caller's promise, and the panel of these columns.
                unsafe {
                    let tile = Gather {
                        x,
                        y: self.target.at(column),
                        pixels,
                        runs: &part.runs[from..to],
                        b,
                        start: match number {
                            0 => start[column..].as_ptr(),
                            _ => std::ptr::null(),
                        },
                        used: (vecs * S::LANES).min(self.to - column),
                    };
                    S::tiled(vecs, tile);
                    b = b.add(rows * vecs * S::LANES);
                }
            }
        }
    }
}

/// `count` runs of `len` numbers, `apart` from each other, cut into blocks of nearly equal depth.
fn cut(count: usize, apart: usize, len: usize) -> (Vec<Run>, Vec<(usize, usize, usize)>) {
    let depth = count * len;
    let number = depth.div_ceil(BLOCK).max(1);
    let (mut runs, mut blocks) = (Vec::new(), Vec::new());
    for block in 0..number {
        let (begin, end) = (block * depth / number, (block + 1) * depth / number);
        let first = runs.len();
        let mut at = begin;
        while at < end {
            let (run, within) = (at / len, at % len);
            let size = (len - within).min(end - at);
            runs.push(Run { at: run * apart + within, len: size });
            at += size;
        }
        blocks.push((first, runs.len(), end - begin));
    }
    (runs, blocks)
}

/// How the images are cut into units: some whole images together, or some rows of one.
struct Strips {
    count: usize,
    /// Images of a unit.
    images: usize,
    /// Rows of each phase in a unit, and units of an image.
    rows: usize,
    per_image: usize,
}

impl Strips {
    fn new(pass: &Pass<'_>, across: usize, pixels: usize) -> Self {
        let longest = pass.rows.longest().max(1);
        let whole = pass.rows.padded.max(1) * across * pass.from;
        if whole <= WINDOW {
            let images = PIXELS.div_ceil(pixels.max(1)).clamp(1, (WINDOW / whole.max(1)).max(1));
            let count = pass.batch.div_ceil(images);
            return Self { count, images, rows: longest, per_image: 1 };
        }
        let rows = (longest * WINDOW / whole).max(PIXELS.div_ceil(pass.columns.target));
        let rows = rows.clamp(1, longest);
        let per_image = longest.div_ceil(rows);
        Self { count: pass.batch * per_image, images: 1, rows, per_image }
    }

    fn window(&self, pass: &Pass<'_>, strip: usize, across: usize, bare: bool) -> Window {
        let first_image = strip / self.per_image * self.images;
        let begin = strip % self.per_image * self.rows;
        let end = (begin + self.rows).min(pass.rows.longest());
        // The rows that any phase reads.
        let read = pass.rows.phases.iter().filter(|phase| begin < phase.count);
        let (mut top, mut bottom) = (usize::MAX, 0);
        for phase in read {
            let last = end.min(phase.count) - 1;
            top = top.min(phase.origin + phase.pace * begin);
            bottom = bottom.max(phase.origin + phase.pace * last + phase.places.len());
        }
        let top = if bare { 0 } else { top.min(bottom) };
        Window {
            first_image,
            images: self.images.min(pass.batch - first_image),
            channels: pass.from,
            size: [pass.rows.source, pass.columns.source],
            begin,
            end,
            top,
            height: if bare { pass.rows.source } else { bottom - top },
            across,
            before: [pass.rows.before, pass.columns.before],
        }
    }

    /// The pixels of a part that belong to a window.
    fn pixels(
        &self,
        pass: &Pass<'_>,
        part: &Part<'_>,
        window: &Window,
        across: usize,
        bare: bool,
        list: &mut Vec<Pixel>,
    ) {
        list.clear();
        let (rows, columns) = (part.rows, part.columns);
        let target = [pass.rows.target, pass.columns.target];
        // A phase without places reads nothing, wherever that may be.
        let top = if bare { 0 } else { window.top };
        for image in 0..window.images {
            let from = image * window.height * across;
            let to = (window.first_image + image) * target[0];
            for i in window.begin..window.end.min(rows.count) {
                let from = from + (rows.origin + rows.pace * i).saturating_sub(top) * across;
                let to = (to + rows.first + rows.step * i) * target[1];
                list.extend((0..columns.count).map(|j| Pixel {
                    from: (from + columns.origin + columns.pace * j) * pass.from,
                    to: (to + columns.first + columns.step * j) * pass.to,
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_runs_in_order() {
        for (count, apart, len) in
            [(3, 100, 192), (1, 0, 7), (3, 1000, 768), (5, 20, 5), (0, 9, 3), (2, 4, 0)]
        {
            let (runs, blocks) = cut(count, apart, len);
            let all: Vec<usize> = runs.iter().flat_map(|run| run.at..run.at + run.len).collect();
            let expected: Vec<usize> =
                (0..count).flat_map(|i| i * apart..i * apart + len).collect();
            assert_eq!(all, expected);
            assert_eq!(blocks.iter().map(|block| block.2).sum::<usize>(), count * len);
            assert!(blocks.iter().all(|block| block.2 <= BLOCK) && !blocks.is_empty());
        }
    }
}
