//! Resampling with a finite impulse response.

use super::host::{self, Values};
use super::record::{Backward, Found, record};
use super::{check_kind, setting};
use crate::Result;
use crate::fused::resample::{self as kernel, Terms};
use candle_core::Tensor;

/// A separable filter and the change of resolution around it, the same along both axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fir<'a> {
    /// The filter along one axis.
    pub taps: &'a [f64],
    /// Each number is followed by `up - 1` zeros.
    pub up: usize,
    /// Of the filtered numbers every `down`-th is kept, the first one first.
    pub down: usize,
    /// Zeros before and after, once the zeros between are there.
    pub pad: (usize, usize),
}

/// Separable FIR resampling of images: along each axis, `up - 1` zeros after each number, `pad`
/// zeros before and after, the convolution with `taps` where it overlaps entirely, and every
/// `down`-th of what comes out:
///
/// $$ y_i = \sum_j f_j\, \tilde x_{i \cdot down + K - 1 - j} $$
///
/// for `K` taps `f` and the padded numbers $\tilde x$. Doubling by repetition is taps `[1, 1]`, up 2,
/// pad (1, 0); means over 2 x 2 are taps `[0.5, 0.5]`, down 2.
///
/// # Shapes
/// `x` is `[B, H, W, C]`; the result `[B, H', W', C]` with
/// `H' = (H up + pad.0 + pad.1 - K) / down + 1`, rounded down.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) where there are no taps, `up` or `down` is 0, or the image is smaller than the
/// filter; [`Error::Unsupported`](crate::Error::Unsupported) for `f16` and `bf16` on the CPU.
///
/// # Reference
/// `upfirdn2d` of Karras et al. (2020), arXiv:1912.04958.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use score_nets::ops::{Fir, fir};
///
/// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?.reshape((1, 1, 2, 1))?;
/// let y = fir(&x, &Fir { taps: &[1.0, 1.0], up: 2, down: 1, pad: (1, 0) })?;
/// assert_eq!(y.reshape((2, 4))?.to_vec2::<f64>()?, [[1.0, 1.0, 2.0, 2.0]; 2]);
/// # Ok::<(), score_nets::Error>(())
/// ```
pub fn fir(x: &Tensor, fir: &Fir<'_>) -> Result<Tensor> {
    let &[_, h, w, c] = x.dims() else {
        return Err(setting("image", x.dims(), "expected [B, H, W, C]"));
    };
    let Fir { taps, up, down, pad } = *fir;
    if up == 0 || down == 0 || taps.is_empty() || !taps.iter().all(|tap| tap.is_finite()) {
        return Err(setting("filter", fir, "expected finite taps and factors of at least 1"));
    }
    check_kind("fir", &[x])?;
    let axis = |n: usize| -> Result<Axis> {
        let long = n.checked_mul(up).and_then(|n| n.checked_add(pad.0)?.checked_add(pad.1));
        match long {
            Some(long) if n > 0 && c > 0 && long >= taps.len() => {
                let to = (long - taps.len()) / down + 1;
                Ok(Axis { taps: taps.to_vec(), up, down, before: pad.0 as isize, from: n, to })
            }
            _ => Err(setting("image", x.dims(), format!("smaller than {} taps", taps.len()))),
        }
    };
    let axes = [axis(h)?, axis(w)?];
    let y = resample(&x.detach(), &axes)?;
    record(y, &[x], Resample(axes))
}

/// Resampling along one axis from `from` numbers to `to`.
#[derive(Clone, Debug)]
struct Axis {
    taps: Vec<f64>,
    up: usize,
    down: usize,
    /// Zeros before; numbers to leave out where negative.
    before: isize,
    from: usize,
    to: usize,
}

impl Axis {
    /// `y_i = sum of f_j x_h` over all with `up h + before = down i + K - 1 - j`; its transpose is of
    /// the same form.
    fn transposed(&self) -> Self {
        let last = self.taps.len() as isize - 1;
        Self {
            taps: self.taps.iter().rev().copied().collect(),
            up: self.down,
            down: self.up,
            before: last - self.before,
            from: self.to,
            to: self.from,
        }
    }

    /// The numbers that make number `i`, and their weights.
    fn terms(&self, i: usize) -> impl Iterator<Item = (usize, f64)> {
        let last = self.taps.len() as isize - 1;
        let up = self.up as isize;
        self.taps.iter().enumerate().filter_map(move |(j, &tap)| {
            let at = (self.down * i) as isize + last - j as isize - self.before;
            let inside = at >= 0 && at % up == 0 && at / up < self.from as isize;
            (inside && tap != 0.0).then_some(((at / up) as usize, tap))
        })
    }

    fn all_terms(&self) -> Terms {
        (0..self.to).map(|i| self.terms(i).map(|(at, tap)| (at, tap as f32)).collect()).collect()
    }

    /// Along dimension 1 of `[B, from, R]`, of candle's operations.
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let all: Vec<Vec<_>> = (0..self.to).map(|i| self.terms(i).collect()).collect();
        let most = all.iter().map(Vec::len).max().unwrap_or(0);
        let (b, _, r) = x.dims3()?;
        let mut y = Tensor::zeros((b, self.to, r), x.dtype(), x.device())?;
        for t in 0..most {
            let term = |terms: &Vec<(usize, f64)>| terms.get(t).copied().unwrap_or((0, 0.0));
            let (at, tap): (Vec<u32>, Vec<f64>) =
                all.iter().map(term).map(|(at, tap)| (at as u32, tap)).unzip();
            let at = Tensor::from_vec(at, self.to, x.device())?;
            let tap = Tensor::from_vec(tap, (1, self.to, 1), x.device())?.to_dtype(x.dtype())?;
            y = (y + x.index_select(&at, 1)?.broadcast_mul(&tap)?)?;
        }
        Ok(y)
    }
}

fn resample(x: &Tensor, axes: &[Axis; 2]) -> Result<Found> {
    let (b, h, w, c) = x.dims4()?;
    let [rows, columns] = axes;
    let x = x.contiguous()?;
    if let Some(isa) = host::kernels(&x) {
        let terms = axes.each_ref().map(Axis::all_terms);
        let y = kernel::resample(isa, &Values::of(&x)?, [b, h, w, c], &terms[0], &terms[1]);
        return Ok(Found::host(y, &[b, rows.to, columns.to, c]));
    }
    let x = columns.apply(&x.reshape((b * h, w, c))?)?;
    let y = rows.apply(&x.reshape((b, h, columns.to * c))?)?;
    Ok(Found::Tensor(y.reshape((b, rows.to, columns.to, c))?))
}

struct Resample([Axis; 2]);

impl Backward for Resample {
    const NAME: &'static str = "fir";

    fn uses(&self, _: usize, _: &[bool]) -> bool {
        false
    }

    fn backward(&self, _: &[Tensor], _: &[bool], dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let axes = [self.0[0].transposed(), self.0[1].transposed()];
        Ok(vec![Some(resample(dy, &axes)?.tensor()?)])
    }
}
