//! The gradients of a group normalisation.

#![allow(
    clippy::needless_range_loop,
    reason = "loops over channels run over several arrays at once"
)]

use super::{Channels, Moments, Norm};
use crate::fused::activation::{Act, Silu};
use crate::fused::denormals::Flushed;
use crate::fused::isa::Work;
use crate::fused::memory::Aligned;
use crate::fused::shared::{Shared, for_each};
use crate::fused::simd::{Kernel, Simd, load_some, store_some};

/// Of every sample the gradient of the input and the sums that those of weights and biases are made of.
pub(super) struct Backward<'a> {
    pub(super) norm: Norm,
    pub(super) x: &'a [f32],
    pub(super) w: Option<&'a [f32]>,
    pub(super) b: Option<&'a [f32]>,
    pub(super) moments: &'a Moments,
    pub(super) dy: &'a [f32],
    pub(super) dx: Option<Shared<'a>>,
    /// For each sample the sums of `dz`, then of `dz` times the normalised input, channel by channel.
    pub(super) sums: Shared<'a>,
}

impl Work for Backward<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let norm = &self.norm;
        let (c, len, per_group) = (norm.channels, norm.sample(), norm.per_group());
        for_each(norm.batch, 48 * norm.len(), |sample| {
            let _flushed = Flushed::new();
            let (x, dy) = (&self.x[sample * len..][..len], &self.dy[sample * len..][..len]);
            let of_groups = &self.moments.0[sample * norm.groups..][..norm.groups];
            let mut channels = Channels::new(norm);
            let (w, b) = (norm.row(self.w, sample), norm.row(self.b, sample));
            channels.set(norm, |group| of_groups[group], w, b);
            // SAFETY: the sample is in the result, and nobody else writes it.
            let dx = self.dx.map(|dx| unsafe { dx.at(sample * len) });
            let mut totals = vec![0.0; 2 * c];
            let mut strip_sums = Aligned::zeroed(2 * c.next_multiple_of(16));
            let strip = norm.strip() * c;
            for (number, (x, dy)) in x.chunks(strip).zip(dy.chunks(strip)).enumerate() {
                let sums = strip_sums.as_mut_slice();
                // SAFETY: the instruction set is the caller's promise; the strip is whole pixels.
                unsafe {
                    let dz = dx.map(|dx| dx.add(number * strip));
                    let sums = sums.as_mut_ptr();
                    let channels = &channels;
                    S::invoke(Sums { x, dy, c, channels, silu: norm.silu, dz, sums });
                }
                let (first, second) = sums.split_at(c.next_multiple_of(16));
                for i in 0..c {
                    totals[i] += f64::from(first[i]);
                    totals[c + i] += f64::from(second[i]);
                }
            }
            // The second sum is of dz (x - mean): the scale of the group makes it normalised.
            for i in 0..c {
                totals[c + i] *= f64::from(of_groups[i / per_group][1]);
            }
            for (i, total) in totals.iter().enumerate() {
                // SAFETY: the sums of this sample.
                unsafe { self.sums.write(sample * 2 * c + i, *total as f32) }
            }
            let Some(dx) = dx else { return };
            let (level, along) = of_the_means(norm, w, of_groups, &totals);
            // SAFETY: as above.
            unsafe {
                S::invoke(Combine { x, c, channels: &channels, level: &level, along: &along, dx });
            }
        });
    }
}

/// What of `dx = s w dz - s A - (x - mean) s^2 B` belongs to the means A of `w dz` and B of `w dz` times the normalised
/// input over each group: `s A` and `s^2 B` of every channel, from the sums of `dz` and of `dz` times the normalised input.
fn of_the_means(
    norm: &Norm,
    w: Option<&[f32]>,
    of_groups: &[[f32; 2]],
    totals: &[f64],
) -> (Aligned, Aligned) {
    let (c, per_group) = (norm.channels, norm.per_group());
    let weight = |i: usize| w.map_or(1.0, |w| f64::from(w[i]));
    let (mut along, mut level) = (Aligned::zeroed(c), Aligned::zeroed(c));
    for (group, of_group) in of_groups.iter().enumerate() {
        let members = group * per_group..(group + 1) * per_group;
        let mean = |first: usize| -> f64 {
            let sum: f64 = members.clone().map(|i| weight(i) * totals[first + i]).sum();
            sum / (norm.pixels * per_group) as f64
        };
        let s = f64::from(of_group[1]);
        let (a, b) = (s * mean(0), s * s * mean(c));
        level.as_mut_slice()[members.clone()].fill(a as f32);
        along.as_mut_slice()[members.clone()].fill(b as f32);
    }
    (level, along)
}

/// `dz`, the gradient before SiLU, to the place of the input gradient, and for each channel of some
/// pixels the sums of `dz` and of `dz (x - mean)`.
struct Sums<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    c: usize,
    channels: &'a Channels,
    silu: bool,
    dz: Option<*mut f32>,
    sums: *mut f32,
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's promise.
        unsafe { if self.silu { self.sweep::<S, true>() } else { self.sweep::<S, false>() } }
    }
}

impl Sums<'_> {
    #[inline(always)]
    unsafe fn sweep<S: Simd, const SILU: bool>(self) {
        let Self { x, dy, c, channels, dz, sums, .. } = self;
        let [mean, scale, bias] = [&channels.mean, &channels.scale, &channels.bias]
            .map(|numbers| numbers.as_slice().as_ptr());
        let second = c.next_multiple_of(16);
        // SAFETY: the caller's promise.
        unsafe {
            for at in (0..c).step_by(S::LANES) {
                let count = c - at;
                let (mean, scale, bias) =
                    (S::load(mean.add(at)), S::load(scale.add(at)), S::load(bias.add(at)));
                let mut sum = [S::splat(0.0); 2];
                for pixel in 0..x.len() / c {
                    let place = pixel * c + at;
                    let centred = S::sub(load_some::<S>(x.as_ptr().add(place), count), mean);
                    let mut g = load_some::<S>(dy.as_ptr().add(place), count);
                    if SILU {
                        let z = S::fma(centred, scale, bias);
                        g = S::mul(Silu.d1::<S>(Silu.keep::<S>(z)), g);
                    }
                    if let Some(dz) = dz {
                        store_some::<S>(dz.add(place), count, g);
                    }
                    sum = [S::add(sum[0], g), S::fma(g, centred, sum[1])];
                }
                S::store(sums.add(at), sum[0]);
                S::store(sums.add(second + at), sum[1]);
            }
        }
    }
}

/// `dx = scale dz - level - along (x - mean)`, in the place of `dz`.
struct Combine<'a> {
    x: &'a [f32],
    c: usize,
    channels: &'a Channels,
    level: &'a Aligned,
    along: &'a Aligned,
    dx: *mut f32,
}

impl Kernel for Combine<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { x, c, channels, level, along, dx } = self;
        let [mean, scale, level, along] = [&channels.mean, &channels.scale, level, along]
            .map(|numbers| numbers.as_slice().as_ptr());
        // SAFETY: the caller's promise.
        unsafe {
            for pixel in 0..x.len() / c {
                for at in (0..c).step_by(S::LANES) {
                    let (count, place) = (c - at, pixel * c + at);
                    let x = load_some::<S>(x.as_ptr().add(place), count);
                    let centred = S::sub(x, S::load(mean.add(at)));
                    let level = S::fma(centred, S::load(along.add(at)), S::load(level.add(at)));
                    let dz = load_some::<S>(dx.add(place), count);
                    let g = S::sub(S::mul(S::load(scale.add(at)), dz), level);
                    store_some::<S>(dx.add(place), count, g);
                }
            }
        }
    }
}
