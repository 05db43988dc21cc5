//! Rows that two samples have in common.

use std::cmp::Ordering;

use ndarray::{ArrayView1, ArrayView2};

/// For each row of x the row of y that is the same draw, handed in twice.
///
/// Equal rows are that where no sample repeats a row, as samples of a density never do, and where the
/// samples are the same rows in some order. Else rows coincide as those of a discrete law do by chance.
pub(crate) fn same_draws(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Vec<Option<usize>> {
    let (in_x, in_y) = (ordered(x), ordered(y));
    let mut draws = vec![None; x.nrows()];
    let (mut p, mut q, mut shared) = (0, 0, 0);
    while p < in_x.len() && q < in_y.len() {
        let way = compare(x.row(in_x[p]), y.row(in_y[q]));
        if way.is_eq() {
            draws[in_x[p]] = Some(in_y[q]);
            shared += 1;
        }
        p += usize::from(way.is_le());
        q += usize::from(way.is_ge());
    }
    let repeats = |cloud: ArrayView2<f64>, order: &[usize]| {
        order.windows(2).any(|two| compare(cloud.row(two[0]), cloud.row(two[1])).is_eq())
    };
    let all = shared == x.nrows() && shared == y.nrows();
    if shared > 0 && !all && (repeats(x, &in_x) || repeats(y, &in_y)) {
        draws.fill(None);
    }
    draws
}

/// Numbers of the rows from the least to the greatest, equal ones as they come.
fn ordered(cloud: ArrayView2<f64>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cloud.nrows()).collect();
    order.sort_by(|&i, &j| compare(cloud.row(i), cloud.row(j)));
    order
}

/// By the first coordinate that differs; both zeros are the same.
fn compare(p: ArrayView1<f64>, q: ArrayView1<f64>) -> Ordering {
    let ways = p.iter().zip(q).map(|(p, q)| p.partial_cmp(q).unwrap_or(Ordering::Equal));
    ways.into_iter().find(|way| way.is_ne()).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn one_row_with_one() {
        let x = array![[0.0, 1.0], [1.0, 2.0], [1.0, 2.0], [3.0, 0.0]];
        let y = array![[1.0, 2.0], [-0.0, 1.0], [1.0, 2.0], [1.0, 2.0], [2.0, 0.0]];
        // Repeats: a discrete law.
        assert_eq!(same_draws(x.view(), y.view()), [None; 4]);
        assert_eq!(same_draws(x.view(), x.view()), [Some(0), Some(1), Some(2), Some(3)]);
        let z = array![[3.0, 1.0], [0.0, 1.0], [5.0, 1.0]];
        let w = array![[0.0, 1.0], [7.0, 1.0]];
        assert_eq!(same_draws(z.view(), w.view()), [None, Some(0), None]);
    }
}
