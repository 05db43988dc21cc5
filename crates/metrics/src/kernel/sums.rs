//! Sums of a kernel over pairs of points: rows in parallel, each in a fixed order.

use rayon::prelude::*;

use super::posed::Posed;
use crate::pairwise::{CHUNK, Points, sum};

/// For each point i of `from` what `reduce` makes of the kernel against the points `first(i) ..` of
/// `to`, chunk by chunk, added up.
fn reduce_rows(
    kernel: &Posed,
    from: &Points,
    to: &Points,
    first: impl Fn(usize) -> usize + Sync,
    reduce: impl Fn(usize, usize, &mut [f64]) -> f64 + Sync,
) -> Vec<f64> {
    let row = |buffer: &mut Vec<f64>, i: usize| {
        let mut total = 0.0;
        for start in (first(i)..to.len()).step_by(CHUNK) {
            let values = &mut buffer[..CHUNK.min(to.len() - start)];
            kernel.fill(from.row(i), to, start, values);
            total += reduce(i, start, values);
        }
        total
    };
    (0..from.len()).into_par_iter().map_init(|| vec![0.0; CHUNK], row).collect()
}

/// For each point the sum over all points of the other cloud.
pub(super) fn row_sums(kernel: &Posed, from: &Points, to: &Points) -> Vec<f64> {
    reduce_rows(kernel, from, to, |_| 0, |_, _, values| sum(values))
}

/// For each point the sum over all other points of its own cloud.
pub(super) fn own_row_sums(kernel: &Posed, of: &Points) -> Vec<f64> {
    reduce_rows(
        kernel,
        of,
        of,
        |_| 0,
        |i, start, values| {
            if let Some(own) = i.checked_sub(start).and_then(|at| values.get_mut(at)) {
                *own = 0.0;
            }
            sum(values)
        },
    )
}

/// The sum over all ordered pairs of different points, each pair computed once.
pub(super) fn own_sum(kernel: &Posed, of: &Points) -> f64 {
    let rows = reduce_rows(kernel, of, of, |i| i + 1, |_, _, values| sum(values));
    2.0 * sum(&rows)
}

/// k(x, x) added up.
pub(super) fn diagonal(kernel: &Posed, of: &Points) -> f64 {
    (0..of.len()).map(|i| kernel.at(of.row(i), of.row(i))).sum()
}

/// Mean square of the kernel after taking row and column means off it, without the pairs (i, `skip(i)`).
pub(super) fn centred_square(
    kernel: &Posed,
    (from, row_means): (&Points, &[f64]),
    (to, column_means): (&Points, &[f64]),
    skip: impl Fn(usize) -> Option<usize> + Sync,
) -> f64 {
    let centre = sum(row_means) / row_means.len() as f64;
    let rows = reduce_rows(
        kernel,
        from,
        to,
        |_| 0,
        |i, start, values| {
            let columns = &column_means[start..];
            for (value, column) in values.iter_mut().zip(columns) {
                let centred = *value - row_means[i] - column + centre;
                *value = centred * centred;
            }
            let skipped = skip(i).and_then(|j| j.checked_sub(start));
            if let Some(value) = skipped.and_then(|at| values.get_mut(at)) {
                *value = 0.0;
            }
            sum(values)
        },
    );
    let skipped = (0..from.len()).filter(|&i| skip(i).is_some()).count();
    sum(&rows) / (from.len() * to.len() - skipped) as f64
}
