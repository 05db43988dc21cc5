//! The monotone plan between two clouds along a line.

use ndarray::ArrayView1;

use crate::transport::{Mass, integer_masses};

/// Masses of two clouds in integers, so that what is light beside the rest counts to all its digits.
pub(super) struct Masses {
    source: Side,
    target: Side,
    /// Share of the total that a unit is.
    unit: f64,
}

/// The rows that have mass, and how much.
struct Side {
    row: Vec<usize>,
    mass: Vec<Mass>,
}

impl Masses {
    /// Of checked weights, whose totals agree but for rounding.
    pub(super) fn new(a: &[f64], b: &[f64]) -> Self {
        let rows = |weights: &[f64]| -> Vec<usize> {
            (0..weights.len()).filter(|&i| weights[i] > 0.0).collect()
        };
        let of = |weights: &[f64], rows: &[usize]| -> Vec<f64> {
            rows.iter().map(|&i| weights[i]).collect()
        };
        let (from, to) = (rows(a), rows(b));
        let masses = integer_masses(&of(a, &from), &of(b, &to));
        Self {
            source: Side { row: from, mass: masses.source },
            target: Side { row: to, mass: masses.target },
            unit: (masses.total as f64).recip(),
        }
    }

    /// The plan pair by pair, from left to right: row, row, share of the mass, difference of the
    /// positions.
    pub(super) fn plan(
        &self,
        x: ArrayView1<f64>,
        y: ArrayView1<f64>,
        mut pair: impl FnMut(usize, usize, f64, f64),
    ) {
        let (from, to) = (self.source.sorted(x), self.target.sorted(y));
        let (mut from, mut to) = (from.into_iter(), to.into_iter());
        let (Some(mut p), Some(mut q)) = (from.next(), to.next()) else { return };
        let (mut left, mut right) = (self.source.mass[p.1], self.target.mass[q.1]);
        loop {
            let flow = left.min(right);
            let (i, j) = (self.source.row[p.1], self.target.row[q.1]);
            pair(i, j, flow as f64 * self.unit, p.0 - q.0);
            (left, right) = (left - flow, right - flow);
            if left == 0 {
                let Some(next) = from.next() else { return };
                (p, left) = (next, self.source.mass[next.1]);
            }
            if right == 0 {
                let Some(next) = to.next() else { return };
                (q, right) = (next, self.target.mass[next.1]);
            }
        }
    }

    /// $W_p^p$ of the positions.
    pub(super) fn power(&self, x: ArrayView1<f64>, y: ArrayView1<f64>, p: f64) -> f64 {
        let mut total = 0.0;
        self.plan(x, y, |_, _, share, gap| {
            total += share * if p == 2.0 { gap * gap } else { gap.abs().powf(p) };
        });
        total
    }
}

impl Side {
    /// Positions in ascending order, each with the place of its row.
    fn sorted(&self, at: ArrayView1<f64>) -> Vec<(f64, usize)> {
        let mut points: Vec<(f64, usize)> =
            self.row.iter().enumerate().map(|(place, &row)| (at[row], place)).collect();
        points.sort_unstable_by(|p, q| p.0.total_cmp(&q.0).then(p.1.cmp(&q.1)));
        points
    }
}
