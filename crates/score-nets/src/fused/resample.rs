//! Separable resampling of images, channels last.

use super::Isa;
use super::denormals::Flushed;
use super::isa::{Work, on_registers};
use super::shared::{Shared, filled, for_each};
use super::simd::{Kernel, Simd, load_some, store_some};

/// For each number of the result along one axis, the numbers it is made of and their weights.
pub(crate) type Terms = Vec<Vec<(usize, f32)>>;

/// Images `[B, rows of terms, columns of terms, C]` from images `[B, H, W, C]`.
pub(crate) fn resample(
    isa: Isa,
    x: &[f32],
    [batch, h, w, c]: [usize; 4],
    rows: &Terms,
    columns: &Terms,
) -> Vec<f32> {
    assert_eq!(x.len(), batch * h * w * c);
    let inside = |terms: &Terms, size: usize| terms.iter().flatten().all(|&(at, _)| at < size);
    assert!(inside(rows, h) && inside(columns, w));
    let len = batch * rows.len() * columns.len() * c;
    // SAFETY: the rows cover the result.
    unsafe {
        filled(len, |y| on_registers(isa, Images { x, size: [h, w], c, batch, rows, columns, y }))
    }
}

struct Images<'a> {
    x: &'a [f32],
    size: [usize; 2],
    c: usize,
    batch: usize,
    rows: &'a Terms,
    columns: &'a Terms,
    y: Shared<'a>,
}

impl Work for Images<'_> {
    type Output = ();

    unsafe fn run<S: Simd>(self) {
        let [h, w] = self.size;
        let row = self.columns.len() * self.c;
        for_each(self.batch * self.rows.len(), 16 * self.batch * self.rows.len() * row, |number| {
            let _flushed = Flushed::new();
            let (image, i) = (number / self.rows.len(), number % self.rows.len());
            let x = &self.x[image * h * w * self.c..][..h * w * self.c];
            // SAFETY: the instruction set is the caller's promise; nobody else writes this row.
            unsafe {
                let y = self.y.at(number * row);
                S::invoke(Row { x, w, c: self.c, rows: &self.rows[i], columns: self.columns, y });
            }
        });
    }
}

/// A row of the result.
struct Row<'a> {
    x: &'a [f32],
    w: usize,
    c: usize,
    rows: &'a [(usize, f32)],
    columns: &'a Terms,
    y: *mut f32,
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { x, w, c, rows, columns, y } = self;
        for (j, columns) in columns.iter().enumerate() {
            for at in (0..c).step_by(S::LANES) {
                // SAFETY: all terms are in the image, which `resample` has checked; the row is there.
                unsafe {
                    let mut sum = S::splat(0.0);
                    for &(row, a) in rows {
                        for &(column, b) in columns {
                            let x = x.as_ptr().add((row * w + column) * c + at);
                            sum = S::fma(S::splat(a * b), load_some::<S>(x, c - at), sum);
                        }
                    }
                    store_some::<S>(y.add(j * c + at), c - at, sum);
                }
            }
        }
    }
}
