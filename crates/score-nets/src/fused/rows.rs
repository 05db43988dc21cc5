//! Rows of channels: copies of parts of them, sums over pixels, the same row added to all.

use super::Isa;
use super::denormals::Flushed;
use super::isa::{Work, on_registers};
use super::memory::Aligned;
use super::shared::{Shared, filled, for_each};
use super::simd::{Kernel, Simd, load_some, store_some};

/// Numbers that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// Rows of `a` numbers and rows of `b` numbers beside each other.
pub(crate) fn concat(a: (&[f32], usize), b: (&[f32], usize)) -> Vec<f32> {
    let ((a, wide_a), (b, wide_b)) = (a, b);
    let wide = wide_a + wide_b;
    let rows = a.len() / wide_a;
    assert_eq!((a.len(), b.len()), (rows * wide_a, rows * wide_b));
    let some = (CHUNK / wide).max(1);
    let copy = |to: Shared<'_>| {
        for_each(rows.div_ceil(some), 4 * rows * wide, |chunk| {
            for row in chunk * some..(chunk * some + some).min(rows) {
                // SAFETY: the row is in all three, and nobody else writes it.
                unsafe {
                    let to = to.at(row * wide);
                    let (a, b) = (&a[row * wide_a..][..wide_a], &b[row * wide_b..][..wide_b]);
                    std::ptr::copy_nonoverlapping(a.as_ptr(), to, wide_a);
                    std::ptr::copy_nonoverlapping(b.as_ptr(), to.add(wide_a), wide_b);
                }
            }
        });
    };
    // SAFETY: the rows cover the result.
    unsafe { filled(rows * wide, copy) }
}

/// Columns `first` to `first + count` of rows of `wide` numbers.
pub(crate) fn columns(x: &[f32], wide: usize, first: usize, count: usize) -> Vec<f32> {
    let rows = x.len() / wide;
    assert!(x.len() == rows * wide && first + count <= wide);
    let some = (CHUNK / wide).max(1);
    let copy = |to: Shared<'_>| {
        for_each(rows.div_ceil(some), 4 * rows * count, |chunk| {
            for row in chunk * some..(chunk * some + some).min(rows) {
                let x = &x[row * wide + first..][..count];
                // SAFETY: the row is in the result, and nobody else writes it.
                unsafe { std::ptr::copy_nonoverlapping(x.as_ptr(), to.at(row * count), count) }
            }
        });
    };
    // SAFETY: the rows cover the result.
    unsafe { filled(rows * count, copy) }
}

/// `x + e` for `x` `[B, pixels, C]` and `e` `[B, C]`.
pub(crate) fn add(isa: Isa, x: &[f32], e: &[f32], [batch, pixels, c]: [usize; 3]) -> Vec<f32> {
    assert_eq!((x.len(), e.len()), (batch * pixels * c, batch * c));
    let size = [batch, pixels, c];
    // SAFETY: the samples cover the result.
    unsafe { filled(x.len(), |y| on_registers(isa, Add { x, e, size, y })) }
}

struct Add<'a> {
    x: &'a [f32],
    e: &'a [f32],
    size: [usize; 3],
    y: Shared<'a>,
}

impl Work for Add<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let [batch, pixels, c] = self.size;
        for_each(batch, 4 * self.x.len(), |sample| {
            let _flushed = Flushed::new();
            let x = &self.x[sample * pixels * c..][..pixels * c];
            let e = &self.e[sample * c..][..c];
            // SAFETY: the instruction set is the caller's promise; nobody else has the sample.
            unsafe { S::invoke(AddRow { x, e, y: self.y.at(sample * pixels * c) }) }
        });
    }
}

struct AddRow<'a> {
    x: &'a [f32],
    e: &'a [f32],
    y: *mut f32,
}

impl Kernel for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (c, x, e) = (self.e.len(), self.x.as_ptr(), self.e.as_ptr());
        // SAFETY: the caller's promise.
        unsafe {
            for pixel in 0..self.x.len() / c {
                for at in (0..c).step_by(S::LANES) {
                    let (place, count) = (pixel * c + at, c - at);
                    let y = S::add(
                        load_some::<S>(x.add(place), count),
                        load_some::<S>(e.add(at), count),
                    );
                    store_some::<S>(self.y.add(place), count, y);
                }
            }
        }
    }
}

/// The sum over the pixels of `[B, pixels, C]`, in double precision from 64 pixels to the next.
pub(crate) fn sum(isa: Isa, x: &[f32], [batch, pixels, c]: [usize; 3]) -> Vec<f32> {
    assert_eq!(x.len(), batch * pixels * c);
    let size = [batch, pixels, c];
    // SAFETY: the samples cover the result.
    unsafe { filled(batch * c, |y| on_registers(isa, Sum { x, size, y })) }
}

struct Sum<'a> {
    x: &'a [f32],
    size: [usize; 3],
    y: Shared<'a>,
}

impl Work for Sum<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        const PIXELS: usize = 64;
        let [batch, pixels, c] = self.size;
        for_each(batch, 4 * self.x.len(), |sample| {
            let _flushed = Flushed::new();
            let x = &self.x[sample * pixels * c..][..pixels * c];
            let mut part = Aligned::zeroed(c);
            let mut total = vec![0.0; c];
            for x in x.chunks(PIXELS * c) {
                // SAFETY: the instruction set is the caller's promise.
                unsafe { S::invoke(SumRows { x, c, y: part.as_mut_slice().as_mut_ptr() }) }
                for (total, part) in total.iter_mut().zip(part.as_slice()) {
                    *total += f64::from(*part);
                }
            }
            for (i, total) in total.into_iter().enumerate() {
                // SAFETY: the sums of this sample.
                unsafe { self.y.write(sample * c + i, total as f32) }
            }
        });
    }
}

struct SumRows<'a> {
    x: &'a [f32],
    c: usize,
    /// In whole registers.
    y: *mut f32,
}

impl Kernel for SumRows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (c, x) = (self.c, self.x.as_ptr());
        // SAFETY: the caller's promise.
        unsafe {
            for at in (0..c).step_by(S::LANES) {
                let mut sum = S::splat(0.0);
                for pixel in 0..self.x.len() / c {
                    sum = S::add(sum, load_some::<S>(x.add(pixel * c + at), c - at));
                }
                S::store(self.y.add(at), sum);
            }
        }
    }
}
