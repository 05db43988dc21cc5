//! Loops over slices of elements that both kinds of state share, with one fixed order of summation.

use super::{Tolerance, Unit, larger};
use crate::{Error, Result};

/// An element of a state.
pub(super) trait Element: Copy + Default + Send + Sync {
    fn wide(self) -> f64;
    fn narrow(x: f64) -> Self;
    fn finite(self) -> bool;
}

impl Element for f64 {
    fn wide(self) -> f64 {
        self
    }
    fn narrow(x: f64) -> Self {
        x
    }
    fn finite(self) -> bool {
        self.is_finite()
    }
}

#[cfg(feature = "candle")]
impl Element for f32 {
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn narrow(x: f64) -> Self {
        x as f32
    }
    fn finite(self) -> bool {
        self.is_finite()
    }
}

/// Elements accumulated at a time: a chunk of every term stays in the first-level cache.
const CHUNK: usize = 128;

/// `sum_i a_i x_i` for terms of equal length, accumulated in `f64` and rounded once.
#[multiversion::multiversion(
    targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2", "x86_64+avx2"),
    dispatcher = "direct"
)]
pub(super) fn lincomb<T: Element>(terms: &[(f64, &[T])]) -> Vec<T> {
    let n = terms[0].1.len();
    let mut out = vec![T::default(); n];
    for (c, out) in out.chunks_mut(CHUNK).enumerate() {
        let mut sum = [0.0; CHUNK];
        let sum = &mut sum[..out.len()];
        let (start, end) = (c * CHUNK, c * CHUNK + out.len());
        for (i, (a, x)) in terms.iter().enumerate() {
            let x = &x[start..end];
            if i == 0 {
                for (s, x) in sum.iter_mut().zip(x) {
                    *s = a * x.wide();
                }
            } else {
                for (s, x) in sum.iter_mut().zip(x) {
                    *s += a * x.wide();
                }
            }
        }
        for (o, s) in out.iter_mut().zip(sum.iter()) {
            *o = T::narrow(*s);
        }
    }
    out
}

/// Each row of `width` elements times its own factor.
pub(super) fn scale_rows<T: Element>(x: &[T], width: usize, factors: &[f64]) -> Vec<T> {
    // Points have few coordinates: loops over a row of known width unroll.
    match width {
        0 => vec![],
        1 => scale_rows_of::<T, 1>(x, factors),
        2 => scale_rows_of::<T, 2>(x, factors),
        3 => scale_rows_of::<T, 3>(x, factors),
        _ => {
            let mut out = Vec::with_capacity(x.len());
            for (row, c) in x.chunks(width).zip(factors) {
                out.extend(row.iter().map(|v| T::narrow(c * v.wide())));
            }
            out
        }
    }
}

fn scale_rows_of<T: Element, const W: usize>(x: &[T], factors: &[f64]) -> Vec<T> {
    let mut out = vec![T::default(); x.len()];
    let rows = x.as_chunks::<W>().0.iter().zip(factors);
    for (out, (row, c)) in out.as_chunks_mut::<W>().0.iter_mut().zip(rows) {
        *out = row.map(|v| T::narrow(c * v.wide()));
    }
    out
}

/// See [`super::State::weighted_rms`], for the error and the two states; zero for an empty state.
pub(super) fn weighted_rms<T: Element>(
    [e, a, b]: [&[T]; 3],
    width: usize,
    tol: Tolerance,
    unit: Unit,
) -> f64 {
    if width == 0 {
        return 0.0;
    }
    let rows = e.chunks(width).zip(a.chunks(width).zip(b.chunks(width)));
    let norms = rows.map(|(e, (a, b))| {
        let squares = e.iter().zip(a.iter().zip(b)).map(|(e, (a, b))| {
            let r = e.wide() / unit.of(tol, a.wide(), b.wide());
            r * r
        });
        (squares.sum::<f64>() / width as f64).sqrt()
    });
    norms.fold(0.0, |worst, norm| larger(norm, worst))
}

/// Dot products of rows of `width` elements.
pub(super) fn row_dot<T: Element>(x: &[T], y: &[T], rows: usize, width: usize) -> Vec<f64> {
    match width {
        0 => vec![0.0; rows],
        1 => row_dot_of::<T, 1>(x, y),
        2 => row_dot_of::<T, 2>(x, y),
        3 => row_dot_of::<T, 3>(x, y),
        _ => x
            .chunks(width)
            .zip(y.chunks(width))
            .map(|(x, y)| x.iter().zip(y).map(|(x, y)| x.wide() * y.wide()).sum())
            .collect(),
    }
}

fn row_dot_of<T: Element, const W: usize>(x: &[T], y: &[T]) -> Vec<f64> {
    let rows = x.as_chunks::<W>().0.iter().zip(y.as_chunks::<W>().0);
    rows.map(|(x, y)| x.iter().zip(y).map(|(x, y)| x.wide() * y.wide()).sum()).collect()
}

/// Whether no element is infinite or NaN.
#[multiversion::multiversion(
    targets("x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2", "x86_64+avx2"),
    dispatcher = "direct"
)]
pub(super) fn all_finite<T: Element>(x: &[T]) -> bool {
    // Without a branch an element, so that it vectorises; a sum of floats would not.
    x.chunks(CHUNK).all(|c| c.iter().fold(true, |fine, v| fine & v.finite()))
}

/// The error of two shapes that differ.
pub(super) fn same_shape(expected: &[usize], found: &[usize]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Shape { expected: expected.to_vec(), found: found.to_vec() })
}
