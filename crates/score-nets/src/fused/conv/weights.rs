//! The gradient of the weights of a convolution.
//!
//! For each place of the kernel it is the product of the pixels that the place saw, channels by
//! pixels, with the gradient of the output, pixels by channels. A few images at a time are packed:
//! the input in panels of as many channels as a register tile has rows, with the zeros around it, and
//! the gradient in panels as wide as the tile. Shifting the kernel is then a shift in a panel.
use super::shape::Shape;
use super::window::place;
use crate::fused::denormals::Flushed;
use crate::fused::isa::Work;
use crate::fused::memory::Aligned;
use crate::fused::outer::Outer;
use crate::fused::shared::{Shared, for_each};
use crate::fused::simd::Simd;
use std::ops::Range;

/// Numbers of packed images that are worked on at a time.
const CHUNK: usize = 1 << 20;
/// Numbers of the gradient that stay in the first-level cache.
const BLOCK: usize = 2048;

/// The gradient of the weights, `[O, C, kh, kw]`.
pub(super) struct WeightGradient<'a> {
    pub(super) shape: Shape,
    pub(super) x: &'a [f32],
    pub(super) dy: &'a [f32],
    /// Uninitialised room for it.
    pub(super) target: Shared<'a>,
}

/// How the tiles lie.
struct Layout {
    /// Registers and rows of a tile.
    vecs: usize,
    tall: usize,
    /// Numbers of a row of a tile.
    wide: usize,
    /// Panels of the gradient.
    panels: usize,
    /// Height and width of an image with zeros, as far as it is read.
    padded: [usize; 2],
    /// Numbers between neighbouring pixels of the packed input.
    pixel: usize,
    /// Panels of the packed input of an image, and numbers of each.
    inputs: usize,
    input: usize,
    tiles: Vec<Place>,
}

/// Rows of a tile.
struct Place {
    /// Where they are read in the packed image.
    at: usize,
    /// The first row: channel, row and column of the kernel; those after it follow in the order of
    /// `across` (see [`Layout::row`]).
    channel: usize,
    i: usize,
    j: usize,
    used: usize,
}

impl Layout {
    fn new<S: Simd>(shape: &Shape) -> Self {
        let needed = shape.outputs.div_ceil(S::LANES);
        // Panels of one width: the one that leaves least empty, and of these the widest.
        let cost = |vecs: usize| (needed.div_ceil(vecs) * vecs, usize::MAX - vecs);
        let vecs = (1..=S::MAX_VECS.min(4)).min_by_key(|&vecs| cost(vecs)).unwrap_or(1);
        let (tall, wide) = (S::rows(vecs), vecs * S::LANES);
        let [kh, kw] = shape.kernel;
        let padded = [0, 1].map(|a| (shape.output[a] - 1) * shape.stride + shape.kernel[a]);
        let c = shape.channels;
        let mut tiles = Vec::new();
        let (pixel, inputs) = if c >= tall { (tall, c.div_ceil(tall)) } else { (c, 1) };
        // A tile may read beyond the last pixel.
        let input = (padded[0] * padded[1] * pixel + tall).next_multiple_of(16);
        for q in 0..inputs {
            for i in 0..kh {
                if c >= tall {
                    tiles.extend((0..kw).map(|j| Place {
                        at: q * input + (i * padded[1] + j) * pixel,
                        channel: q * tall,
                        i,
                        j,
                        used: tall.min(c - q * tall),
                    }));
                } else {
                    // Few channels: a tile goes across the places of a row of the kernel.
                    tiles.extend((0..kw * c).step_by(tall).map(|first| Place {
                        at: i * padded[1] * c + first,
                        channel: first % c,
                        i,
                        j: first / c,
                        used: tall.min(kw * c - first),
                    }));
                }
            }
        }
        Self {
            vecs,
            tall,
            wide,
            panels: needed.div_ceil(vecs),
            padded,
            pixel,
            inputs,
            input,
            tiles,
        }
    }

    /// Channel and place of row `r` of a tile.
    fn row(&self, shape: &Shape, tile: &Place, r: usize) -> (usize, usize) {
        let Shape { channels, kernel: [_, kw], .. } = *shape;
        let (channel, j) = if channels >= self.tall {
            (tile.channel + r, tile.j)
        } else {
            let at = tile.j * channels + tile.channel + r;
            (at % channels, at / channels)
        };
        (channel, tile.i * kw + j)
    }
}

/// Images that are packed together, and where.
struct Chunk<'a> {
    layout: &'a Layout,
    images: usize,
    x: &'a [f32],
    /// Numbers of a packed image, and of its gradient.
    x_len: usize,
    dy: &'a [f32],
    dy_len: usize,
    sums: Shared<'a>,
}

impl Work for WeightGradient<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let shape = &self.shape;
        let layout = &Layout::new::<S>(shape);
        let pixels = shape.output[0] * shape.output[1];
        let tile = layout.tall * layout.wide;
        let mut sums = Aligned::zeroed(layout.panels * layout.tiles.len() * tile);
        let sums = Shared::new(sums.as_mut_slice());
        let x_len = layout.inputs * layout.input;
        let dy_len = (layout.panels * pixels * layout.wide).next_multiple_of(16);
        let images = (CHUNK / (x_len + dy_len)).clamp(1, shape.batch.max(1));
        let mut x = Aligned::zeroed(images * x_len);
        let mut dy = Aligned::zeroed(images * dy_len);
        for first in (0..shape.batch).step_by(images) {
            let images = images.min(shape.batch - first);
            let (to_x, to_dy) = (Shared::new(x.as_mut_slice()), Shared::new(dy.as_mut_slice()));
            for_each(images, 8 * images * (x_len + dy_len), |i| {
                // SAFETY: the parts of this image, which nobody else uses.
                unsafe {
                    self.pack_input(layout, first + i, to_x.slice(i * x_len, x_len));
                    self.pack_gradient(layout, first + i, to_dy.slice(i * dy_len, dy_len));
                }
            });
            let (x, dy) = (x.as_slice(), dy.as_slice());
            let chunk = Chunk { layout, images, x, x_len, dy, dy_len, sums };
            // Some tiles of a panel are a unit.
            let shares = (4 * rayon::current_num_threads()).div_ceil(layout.panels);
            let shares = shares.min(layout.tiles.len());
            let work = images * layout.panels * layout.tiles.len() * tile * pixels;
            for_each(layout.panels * shares, work, |unit| {
                let _flushed = Flushed::new();
                let (panel, share) = (unit / shares, unit % shares);
                let all = layout.tiles.len();
                let tiles = share * all / shares..(share + 1) * all / shares;
                // SAFETY: the instruction set is the caller's promise; no other unit has these sums.
                unsafe { chunk.multiply::<S>(shape, panel, tiles) }
            });
        }
        let work = 8 * shape.lens()[1];
        for_each(layout.panels, work, |panel| {
            // SAFETY: the sums are there, and the weights of a panel are of its own.
            unsafe { self.unpack(layout, panel, sums) }
        });
    }
}

impl Chunk<'_> {
    /// Adds the products of the chunk to the sums of some tiles of a panel.
    ///
    /// # Safety
    /// The processor has the instruction set, and nobody else uses these sums.
    unsafe fn multiply<S: Simd>(&self, shape: &Shape, panel: usize, tiles: Range<usize>) {
        let layout = self.layout;
        let ([rows, columns], wide) = (shape.output, layout.wide);
        let (step, line) =
            (shape.stride * layout.pixel, shape.stride * layout.padded[1] * layout.pixel);
        // Some rows of an image, or some small images.
        let fitting = (BLOCK / wide / columns).max(1);
        let (some_rows, some_images) = (fitting.min(rows), (fitting / rows).max(1));
        for image in (0..self.images).step_by(some_images) {
            for row in (0..rows).step_by(some_rows) {
                let dy = image * self.dy_len + (panel * rows + row) * columns * wide;
                for tile in tiles.clone() {
                    let x = image * self.x_len + layout.tiles[tile].at + row * line;
                    // SAFETY: the tile is in the packed images; the sums by the caller's promise.
                    unsafe {
                        let outer = Outer {
                            images: some_images.min(self.images - image),
                            x: self.x[x..].as_ptr(),
                            x_len: self.x_len,
                            line,
                            step,
                            dy: self.dy[dy..].as_ptr(),
                            dy_len: self.dy_len,
                            rows: some_rows.min(rows - row),
                            columns,
                            sums: self
                                .sums
                                .at((panel * layout.tiles.len() + tile) * layout.tall * wide),
                        };
                        S::tiled(layout.vecs, outer);
                    }
                }
            }
        }
    }
}

impl WeightGradient<'_> {
    /// The image with zeros around it, in panels of channels.
    fn pack_input(&self, layout: &Layout, image: usize, to: &mut [f32]) {
        let Shape { input: [h, w], channels: c, before: [top, left], .. } = self.shape;
        let [rows, columns] = layout.padded;
        let mut line = vec![0.0; columns * c];
        for i in 0..rows {
            let at = i as isize - top as isize;
            if at < 0 || at >= h as isize {
                line.fill(0.0);
            } else {
                let from = &self.x[(image * h + at as usize) * w * c..][..w * c];
                place(from, &mut line, c, left as isize);
            }
            if layout.pixel == c {
                to[i * columns * c..][..columns * c].copy_from_slice(&line);
                continue;
            }
            let tall = layout.tall;
            for q in 0..layout.inputs {
                let to = &mut to[q * layout.input + i * columns * tall..][..columns * tall];
                let used = tall.min(c - q * tall);
                let pixels = line.chunks_exact(c).zip(to.chunks_exact_mut(tall));
                for (from, to) in pixels {
                    to[..used].copy_from_slice(&from[q * tall..][..used]);
                }
            }
        }
    }

    /// The gradient of an image, in panels of channels.
    fn pack_gradient(&self, layout: &Layout, image: usize, to: &mut [f32]) {
        let Shape { output: [rows, columns], outputs: o, .. } = self.shape;
        let (pixels, wide) = (rows * columns, layout.wide);
        let from = &self.dy[image * pixels * o..][..pixels * o];
        for (panel, to) in to.chunks_mut(pixels * wide).take(layout.panels).enumerate() {
            let used = wide.min(o - panel * wide);
            for (from, to) in from.chunks_exact(o).zip(to.chunks_exact_mut(wide)) {
                to[..used].copy_from_slice(&from[panel * wide..][..used]);
            }
        }
    }

    /// Writes the sums of a panel where PyTorch has them.
    ///
    /// # Safety
    /// Nobody writes the sums, and nobody else the weights of this panel.
    unsafe fn unpack(&self, layout: &Layout, panel: usize, sums: Shared<'_>) {
        let Shape { channels, outputs, kernel: [kh, kw], .. } = self.shape;
        let first = panel * layout.wide;
        let size = layout.tall * layout.wide;
        for (number, tile) in layout.tiles.iter().enumerate() {
            for r in 0..tile.used {
                let (channel, spot) = layout.row(&self.shape, tile, r);
                let from = (panel * layout.tiles.len() + number) * size + r * layout.wide;
                for o in first..outputs.min(first + layout.wide) {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let sum = *sums.at(from + o - first);
                        self.target.write((o * channels + channel) * kh * kw + spot, sum);
                    }
                }
            }
        }
    }
}
