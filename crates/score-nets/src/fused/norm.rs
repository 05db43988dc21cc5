//! Group normalisation of images, channels last, with SiLU after it.
//!
//! Sums over pixels are taken in single precision over a few pixels at a time, centred where squares
//! are summed, and in double precision over these.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over channels run over several arrays at once"
)]

mod backward;

use super::Isa;
use super::activation::{Act, Silu};
use super::denormals::Flushed;
use super::isa::{Work, on_registers};
use super::memory::Aligned;
use super::shared::{Shared, filled, for_each};
use super::simd::{Kernel, Simd, load_some, store_some};
use backward::Backward;

/// Numbers that are summed in single precision at a time, so that they stay in the first-level cache.
const STRIP: usize = 4096;

/// The sizes of a group normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Norm {
    pub(crate) batch: usize,
    /// Pixels of a sample.
    pub(crate) pixels: usize,
    pub(crate) channels: usize,
    /// A divisor of the channels.
    pub(crate) groups: usize,
    pub(crate) eps: f64,
    /// Whether SiLU follows.
    pub(crate) silu: bool,
}

/// Mean and `1 / sqrt(variance + eps)` of each group of each sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Moments(Vec<[f32; 2]>);

/// The gradients of a normalisation, those that were wanted.
#[derive(Debug, Default)]
pub(crate) struct NormGradients {
    pub(crate) dx: Option<Vec<f32>>,
    /// Of the weights and the biases, `[C]` or `[B, C]` as they are.
    pub(crate) dw: Vec<f32>,
    pub(crate) db: Vec<f32>,
}

impl Norm {
    fn len(&self) -> usize {
        self.batch * self.pixels * self.channels
    }
    fn sample(&self) -> usize {
        self.pixels * self.channels
    }
    fn per_group(&self) -> usize {
        self.channels / self.groups
    }
    /// The weights or biases of a sample.
    fn row<'a>(&self, values: Option<&'a [f32]>, sample: usize) -> Option<&'a [f32]> {
        let c = self.channels;
        values.map(|values| if values.len() == c { values } else { &values[sample * c..][..c] })
    }
    fn strip(&self) -> usize {
        (STRIP / self.channels).max(8)
    }

    /// The value, and what the gradient needs of it; weights and biases are `[C]` or `[B, C]`.
    pub(crate) fn forward(
        &self,
        isa: Isa,
        x: &[f32],
        w: Option<&[f32]>,
        b: Option<&[f32]>,
    ) -> (Vec<f32>, Moments) {
        self.check(x, w, b);
        let mut moments = vec![[0.0; 2]; self.batch * self.groups];
        let all = SharedMoments(moments.as_mut_ptr());
        // SAFETY: the samples cover the result.
        let y = unsafe {
            filled(x.len(), |y| {
                on_registers(isa, Forward { norm: *self, x, w, b, y, moments: &all });
            })
        };
        (y, Moments(moments))
    }

    /// The gradients; that of the input only where it is wanted.
    pub(crate) fn backward(
        &self,
        isa: Isa,
        (x, w, b): (&[f32], Option<&[f32]>, Option<&[f32]>),
        moments: &Moments,
        dy: &[f32],
        want_dx: bool,
    ) -> NormGradients {
        self.check(x, w, b);
        assert_eq!((dy.len(), moments.0.len()), (x.len(), self.batch * self.groups));
        let c = self.channels;
        let mut sums = vec![0.0; self.batch * 2 * c];
        let to_sums = Shared::new(&mut sums);
        let run = |dx: Option<Shared<'_>>| {
            on_registers(isa, Backward { norm: *self, x, w, b, moments, dy, dx, sums: to_sums });
        };
        let dx = match want_dx {
            // SAFETY: the samples cover the result.
            true => Some(unsafe { filled(x.len(), |dx| run(Some(dx))) }),
            false => {
                run(None);
                None
            }
        };
        let total = |first: usize, of: Option<&[f32]>| -> Vec<f32> {
            if of.is_some_and(|of| of.len() != c) {
                return sums
                    .chunks_exact(2 * c)
                    .flat_map(|s| &s[first..first + c])
                    .copied()
                    .collect();
            }
            let mut total = vec![0.0; c];
            for sample in sums.chunks_exact(2 * c) {
                for (total, part) in total.iter_mut().zip(&sample[first..first + c]) {
                    *total += f64::from(*part);
                }
            }
            total.into_iter().map(|sum| sum as f32).collect()
        };
        NormGradients { dx, db: total(0, b), dw: total(c, w) }
    }

    fn check(&self, x: &[f32], w: Option<&[f32]>, b: Option<&[f32]>) {
        assert_eq!(x.len(), self.len());
        assert!(self.channels.is_multiple_of(self.groups));
        let rows = |w: &[f32]| w.len() == self.channels || w.len() == self.batch * self.channels;
        assert!([w, b].into_iter().flatten().all(rows));
    }
}

/// Moments that each sample writes its own part of.
struct SharedMoments(*mut [f32; 2]);

// SAFETY: every sample writes its own.
unsafe impl Sync for SharedMoments {}

impl SharedMoments {
    /// # Safety
    /// The place is there, and nobody else uses it.
    unsafe fn write(&self, at: usize, value: [f32; 2]) {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(at).write(value) }
    }
}

struct Forward<'a> {
    norm: Norm,
    x: &'a [f32],
    w: Option<&'a [f32]>,
    b: Option<&'a [f32]>,
    y: Shared<'a>,
    moments: &'a SharedMoments,
}

/// Numbers of each channel in whole registers.
struct Channels {
    mean: Aligned,
    scale: Aligned,
    bias: Aligned,
}

impl Channels {
    fn new(norm: &Norm) -> Self {
        let room = || Aligned::zeroed(norm.channels);
        Self { mean: room(), scale: room(), bias: room() }
    }

    /// For `z = (x - mean) scale + bias`.
    fn set(
        &mut self,
        norm: &Norm,
        of_group: impl Fn(usize) -> [f32; 2],
        w: Option<&[f32]>,
        b: Option<&[f32]>,
    ) {
        let (mean, scale, bias) =
            (self.mean.as_mut_slice(), self.scale.as_mut_slice(), self.bias.as_mut_slice());
        for c in 0..norm.channels {
            let [m, s] = of_group(c / norm.per_group());
            mean[c] = m;
            scale[c] = s * w.map_or(1.0, |w| w[c]);
            bias[c] = b.map_or(0.0, |b| b[c]);
        }
    }
}

impl Work for Forward<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let norm = &self.norm;
        let (c, len) = (norm.channels, norm.sample());
        for_each(norm.batch, 32 * norm.len(), |sample| {
            let _flushed = Flushed::new();
            let x = &self.x[sample * len..][..len];
            let (mut sum, mut squares) = (vec![0.0; c], vec![0.0; c]);
            let mut strip_sums = Aligned::zeroed(2 * c.next_multiple_of(16));
            for x in x.chunks(norm.strip() * c) {
                let sums = strip_sums.as_mut_slice();
                // SAFETY: the instruction set is the caller's promise; the strip is whole pixels.
                unsafe { S::invoke(Centred { x, c, sums: sums.as_mut_ptr() }) }
                let (first, second) = sums.split_at(c.next_multiple_of(16));
                let share = c as f64 / x.len() as f64;
                for i in 0..c {
                    let s = f64::from(first[i]);
                    sum[i] += s;
                    squares[i] += s * s * share + f64::from(second[i]);
                }
            }
            let per_group = norm.per_group();
            let count = (norm.pixels * per_group) as f64;
            let mut of_groups = Vec::with_capacity(norm.groups);
            for group in 0..norm.groups {
                let total = |x: &[f64]| -> f64 { x[group * per_group..][..per_group].iter().sum() };
                let mean = total(&sum) / count;
                let variance = (total(&squares) / count - mean * mean).max(0.0);
                let of_group = [mean as f32, ((variance + norm.eps).sqrt().recip()) as f32];
                of_groups.push(of_group);
                // SAFETY: the groups of this sample.
                unsafe { self.moments.write(sample * norm.groups + group, of_group) }
            }
            let mut channels = Channels::new(norm);
            let (w, b) = (norm.row(self.w, sample), norm.row(self.b, sample));
            channels.set(norm, |group| of_groups[group], w, b);
            // SAFETY: as above; nobody else writes this sample.
            unsafe {
                let y = self.y.at(sample * len);
                S::invoke(Apply { x, c, channels: &channels, silu: norm.silu, y });
            }
        });
    }
}

/// For each channel of some pixels the sum, and the sum of squares about the mean.
struct Centred<'a> {
    x: &'a [f32],
    c: usize,
    /// First the one, then the other, each in whole cache lines.
    sums: *mut f32,
}

impl Kernel for Centred<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { x, c, sums } = self;
        let (x, pixels) = (x.as_ptr(), x.len() / c);
        let second = c.next_multiple_of(16);
        // SAFETY: the caller's promise.
        unsafe {
            for at in (0..c).step_by(S::LANES) {
                let count = c - at;
                let mut sum = [S::splat(0.0); 2];
                for p in 0..pixels / 2 {
                    let x = x.add(2 * p * c + at);
                    sum[0] = S::add(sum[0], load_some::<S>(x, count));
                    sum[1] = S::add(sum[1], load_some::<S>(x.add(c), count));
                }
                if pixels % 2 == 1 {
                    let x = x.add((pixels - 1) * c + at);
                    sum[0] = S::add(sum[0], load_some::<S>(x, count));
                }
                let sum = S::add(sum[0], sum[1]);
                let mean = S::mul(sum, S::splat(1.0 / pixels as f32));
                let mut squares = [S::splat(0.0); 2];
                for p in 0..pixels / 2 {
                    let x = x.add(2 * p * c + at);
                    let d = S::sub(load_some::<S>(x, count), mean);
                    squares[0] = S::fma(d, d, squares[0]);
                    let d = S::sub(load_some::<S>(x.add(c), count), mean);
                    squares[1] = S::fma(d, d, squares[1]);
                }
                if pixels % 2 == 1 {
                    let x = x.add((pixels - 1) * c + at);
                    let d = S::sub(load_some::<S>(x, count), mean);
                    squares[0] = S::fma(d, d, squares[0]);
                }
                S::store(sums.add(at), sum);
                S::store(sums.add(second + at), S::add(squares[0], squares[1]));
            }
        }
    }
}

/// `y = a((x - mean) scale + bias)`.
struct Apply<'a> {
    x: &'a [f32],
    c: usize,
    channels: &'a Channels,
    silu: bool,
    y: *mut f32,
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        unsafe { if self.silu { self.sweep::<S, true>() } else { self.sweep::<S, false>() } }
    }
}

impl Apply<'_> {
    #[inline(always)]
    unsafe fn sweep<S: Simd, const SILU: bool>(self) {
        let Self { x, c, channels, y, .. } = self;
        let [mean, scale, bias] = [&channels.mean, &channels.scale, &channels.bias]
            .map(|numbers| numbers.as_slice().as_ptr());
        // SAFETY: the caller's promise.
        unsafe {
            for pixel in 0..x.len() / c {
                for at in (0..c).step_by(S::LANES) {
                    let (count, place) = (c - at, pixel * c + at);
                    let x = load_some::<S>(x.as_ptr().add(place), count);
                    let centred = S::sub(x, S::load(mean.add(at)));
                    let z = S::fma(centred, S::load(scale.add(at)), S::load(bias.add(at)));
                    let z = if SILU { Silu.value::<S>(z).0 } else { z };
                    store_some::<S>(y.add(place), count, z);
                }
            }
        }
    }
}
