//! Features of images by a convolution network whose weights are random numbers of a key.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use sde_core::Key;
use sde_core::counts::in_memory;

use crate::error::{Error, Result};
use crate::input::{FIRST, check_rows};

/// Channels of the three layers.
const WIDTHS: [usize; 3] = [16, 32, 32];

/// Side of a kernel.
const SIDE: usize = 3;

/// Parts that each axis of the last map is averaged over.
const PARTS: usize = 2;

/// The least height and width.
const LEAST: usize = 4;

/// Standard deviation of the biases.
const BIAS: f64 = 0.1;

/// A convolution network with random weights, which makes 128 features of an image: what distances of images are
/// computed from where no trained network is wanted.
///
/// Three layers of 16, 32 and 32 channels: $h_0 = 2 x - 1$ and
///
/// $$h_l = \mathrm{pool}(\mathrm{relu}(W_l * h_{l-1} + b_l)),$$
///
/// with kernels of 3 x 3 and zeros around the map. After the first and the second layer every 2 x 2 pixels become their mean (at
/// an odd edge those that are there), as long as both sides have 4 pixels. The features are the means of every channel of the
/// third layer, which is not pooled, over its four quarters (which share the middle row or column of odd sides), channel by
/// channel. Weights are normal with variance $2 / (9\, c_{in})$ (He et al. 2015), biases with deviation 0.1: weight
/// `((c_out c_in + i) 3 + y) 3 + x` of layer `l` is that number of the key folded by `2 l`, bias `c` that of the key folded by
/// `2 l + 1`. Nothing else is random, and the weights depend on the size of the images in nothing but their channels.
///
/// All sums are of doubles in a fixed order, without fused operations, and the numbers of a key are the same everywhere: so
/// are the features, to the last bit, on every machine and any number of threads.
///
/// Random features see what differs in colour, contrast, texture and coarse layout. They know no objects: distances of them
/// compare with each other, not with those of trained networks.
///
/// # Reference
/// A network drawn at random for distances of images: M. F. Naeem et al., *Reliable fidelity and diversity metrics for
/// generative models*, 2020, arXiv:2002.09797, section 4.
///
/// ```
/// use metrics::RandomConvolution;
/// use ndarray::Array2;
/// use sde_core::Key;
/// let net = RandomConvolution::new(Key::root(0), [1, 8, 8])?;
/// let images = Array2::from_shape_fn((3, 64), |(i, j)| ((7 * i + j) % 5) as f64 / 4.0);
/// let features = net.features(images.view())?;
/// assert_eq!(features.dim(), (3, net.dim()));
/// // A row is a function of its image alone.
/// assert_eq!(features.row(1), net.features(images.slice(ndarray::s![1..2, ..]))?.row(0));
/// # Ok::<(), metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RandomConvolution {
    image: [usize; 3],
    layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
struct Layer {
    from: usize,
    to: usize,
    /// Row, column, channel that it comes from, channel that it goes to.
    weights: Vec<f64>,
    biases: Vec<f64>,
    /// As they were drawn.
    drawn: Vec<f64>,
}

impl Layer {
    fn new(key: Key, number: u64, from: usize, to: usize) -> Self {
        let taps = from * SIDE * SIDE;
        let mut drawn = vec![0.0; to * taps];
        key.fold(2 * number).fill_normals(0, &mut drawn);
        let size = (2.0 / taps as f64).sqrt();
        drawn.iter_mut().for_each(|w| *w *= size);
        let mut biases = vec![0.0; to];
        key.fold(2 * number + 1).fill_normals(0, &mut biases);
        biases.iter_mut().for_each(|b| *b *= BIAS);
        let mut weights = vec![0.0; to * taps];
        for (k, weight) in drawn.iter().enumerate() {
            let (out, rest) = (k / taps, k % taps);
            let (channel, place) = (rest / (SIDE * SIDE), rest % (SIDE * SIDE));
            weights[(place * from + channel) * to + out] = *weight;
        }
        Self { from, to, weights, biases, drawn }
    }
}

/// A map of features with the channels last.
struct Map {
    height: usize,
    width: usize,
    values: Vec<f64>,
}

impl RandomConvolution {
    /// The network of a key for images of so many channels, rows and columns.
    ///
    /// # Errors
    /// Channels that are none of 1 to 4; a side below 4; images that memory does not hold.
    pub fn new(key: Key, image: [usize; 3]) -> Result<Self> {
        let [channels, height, width] = image;
        let refuse = |name, expected, value: usize| {
            Err(Error::InvalidParameter { name, expected, value: value as f64 })
        };
        if !(1..=4).contains(&channels) {
            return refuse("channels of an image", "1 to 4", channels);
        }
        for (name, side) in [("height of an image", height), ("width of an image", width)] {
            if side < LEAST {
                return refuse(name, ">= 4", side);
            }
        }
        // Two maps of the widest layer.
        let sizes = [("height", height as u64), ("width", width as u64)];
        in_memory(&sizes, 16 * WIDTHS[1] as u64).map_err(Error::Excess)?;
        let from = [channels, WIDTHS[0], WIDTHS[1]];
        let layers = (0..WIDTHS.len()).map(|l| Layer::new(key, l as u64, from[l], WIDTHS[l]));
        Ok(Self { image, layers: layers.collect() })
    }

    /// Features of an image.
    #[must_use]
    pub fn dim(&self) -> usize {
        WIDTHS[WIDTHS.len() - 1] * PARTS * PARTS
    }

    /// All weights and biases, layer by layer, as they were drawn: what a hash of the network is made of.
    pub fn parameters(&self) -> impl Iterator<Item = f64> + '_ {
        self.layers.iter().flat_map(|l| l.drawn.iter().chain(&l.biases).copied())
    }

    /// Features of images with pixels from 0 to 1.
    ///
    /// # Shapes
    /// `images: [N, C H W]`, the channels first; returns `[N, 128]`.
    ///
    /// # Errors
    /// Rows of another size, values that are not finite, no rows; more than memory holds.
    pub fn features(&self, images: ArrayView2<f64>) -> Result<Array2<f64>> {
        check_rows(FIRST, images, 1)?;
        let (n, pixels) = (images.nrows(), self.image.iter().product());
        if images.ncols() != pixels {
            let (expected, found) = (vec![n, pixels], vec![n, images.ncols()]);
            return Err(Error::ShapeMismatch { what: "images", expected, found });
        }
        let counts = [("images", n as u64), ("features", self.dim() as u64)];
        in_memory(&counts, 8).map_err(Error::Excess)?;
        let one = |row: usize| self.of(&images.row(row).to_vec());
        let features: Vec<f64> = (0..n).into_par_iter().flat_map_iter(one).collect();
        let (found, expected) = (vec![features.len()], vec![n, self.dim()]);
        let shaped = Array2::from_shape_vec((n, self.dim()), features);
        shaped.map_err(|_| Error::ShapeMismatch { what: "features", expected, found })
    }

    fn of(&self, image: &[f64]) -> Vec<f64> {
        let [channels, height, width] = self.image;
        let area = height * width;
        let mut values = vec![0.0; image.len()];
        for (k, v) in image.iter().enumerate() {
            values[k % area * channels + k / area] = 2.0 * v - 1.0;
        }
        let mut map = Map { height, width, values };
        for (l, layer) in self.layers.iter().enumerate() {
            let mut values = vec![0.0; map.height * map.width * layer.to];
            let size = (map.height, map.width, layer.from, layer.to);
            convolve(&map.values, size, &layer.weights, &layer.biases, &mut values);
            map.values = values;
            let last = l + 1 == self.layers.len();
            if !last && map.height >= LEAST && map.width >= LEAST {
                map = halved(&map, layer.to);
            }
        }
        quarters(&map, WIDTHS[WIDTHS.len() - 1])
    }
}

/// `relu(W * h + b)` with zeros around the map.
#[multiversion::multiversion(
    targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2", "x86_64+avx2"),
    dispatcher = "direct"
)]
fn convolve(
    map: &[f64],
    (height, width, from, to): (usize, usize, usize, usize),
    weights: &[f64],
    biases: &[f64],
    out: &mut [f64],
) {
    for (place, sums) in out.chunks_exact_mut(to).enumerate() {
        let (y, x) = (place / width, place % width);
        sums.copy_from_slice(biases);
        for (tap, weights) in weights.chunks_exact(from * to).enumerate() {
            // The place of the tap, one further than its row and column.
            let (row, column) = (y + tap / SIDE, x + tap % SIDE);
            if row == 0 || column == 0 || row > height || column > width {
                continue;
            }
            let pixel = &map[((row - 1) * width + column - 1) * from..][..from];
            for (v, weights) in pixel.iter().zip(weights.chunks_exact(to)) {
                for (sum, w) in sums.iter_mut().zip(weights) {
                    *sum += v * w;
                }
            }
        }
        for sum in sums {
            *sum = if *sum > 0.0 { *sum } else { 0.0 };
        }
    }
}

/// The mean of every channel over rows and columns `from .. to`.
fn mean(map: &Map, channels: usize, rows: [usize; 2], columns: [usize; 2], out: &mut [f64]) {
    out.fill(0.0);
    for y in rows[0]..rows[1] {
        for x in columns[0]..columns[1] {
            let pixel = &map.values[(y * map.width + x) * channels..][..channels];
            out.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += v);
        }
    }
    let count = ((rows[1] - rows[0]) * (columns[1] - columns[0])) as f64;
    out.iter_mut().for_each(|sum| *sum /= count);
}

/// Every 2 x 2 pixels become their mean.
fn halved(map: &Map, channels: usize) -> Map {
    let (height, width) = (map.height.div_ceil(2), map.width.div_ceil(2));
    let mut values = vec![0.0; height * width * channels];
    for (place, out) in values.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (2 * (place / width), 2 * (place % width));
        let ends = [(y + 2).min(map.height), (x + 2).min(map.width)];
        mean(map, channels, [y, ends[0]], [x, ends[1]], out);
    }
    Map { height, width, values }
}

/// The means of every channel over the four quarters of a map, channel by channel.
fn quarters(map: &Map, channels: usize) -> Vec<f64> {
    let ends =
        |part: usize, side: usize| [part * side / PARTS, ((part + 1) * side).div_ceil(PARTS)];
    let mut found = vec![0.0; channels * PARTS * PARTS];
    let mut means = vec![0.0; channels];
    for part in 0..PARTS * PARTS {
        let (rows, columns) = (ends(part / PARTS, map.height), ends(part % PARTS, map.width));
        mean(map, channels, rows, columns, &mut means);
        for (channel, v) in means.iter().enumerate() {
            found[channel * PARTS * PARTS + part] = *v;
        }
    }
    found
}
