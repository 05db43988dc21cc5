//! The monotone plan between two clouds along a line.

use ndarray::ArrayView1;

use super::length::Power;
use crate::transport::{Mass, integer_masses};

/// Masses of two clouds in integers, so that what is light beside the rest counts to all its digits.
pub(super) struct Masses {
    source: Vec<Mass>,
    target: Vec<Mass>,
    /// Share of the total that a unit is.
    unit: f64,
}

impl Masses {
    /// Of checked weights above zero, whose totals agree but for rounding.
    pub(super) fn new(a: &[f64], b: &[f64]) -> Self {
        let masses = integer_masses(a, b);
        let unit = (masses.total as f64).recip();
        Self { source: masses.source, target: masses.target, unit }
    }

    /// The plan pair by pair, from left to right: row, row, share of the mass, difference of the
    /// positions.
    pub(super) fn plan(
        &self,
        x: ArrayView1<f64>,
        y: ArrayView1<f64>,
        mut pair: impl FnMut(usize, usize, f64, f64),
    ) {
        let (from, to) = (sorted(x), sorted(y));
        let (mut from, mut to) = (from.into_iter(), to.into_iter());
        let (Some(mut p), Some(mut q)) = (from.next(), to.next()) else { return };
        let (mut left, mut right) = (self.source[p.1], self.target[q.1]);
        loop {
            let flow = left.min(right);
            pair(p.1, q.1, flow as f64 * self.unit, p.0 - q.0);
            (left, right) = (left - flow, right - flow);
            if left == 0 {
                let Some(next) = from.next() else { return };
                (p, left) = (next, self.source[next.1]);
            }
            if right == 0 {
                let Some(next) = to.next() else { return };
                (q, right) = (next, self.target[next.1]);
            }
        }
    }

    /// $W_p^p$ of the positions.
    pub(super) fn power(&self, x: ArrayView1<f64>, y: ArrayView1<f64>, p: f64) -> Power {
        let mut gaps = Vec::with_capacity(x.len() + y.len());
        self.plan(x, y, |_, _, share, gap| gaps.push((share, gap.abs())));
        Power::of(gaps.iter().copied(), p)
    }
}

/// Positions in ascending order, each with its row.
fn sorted(at: ArrayView1<f64>) -> Vec<(f64, usize)> {
    let mut points: Vec<(f64, usize)> = at.iter().copied().zip(0..).collect();
    points.sort_unstable_by(|p, q| p.0.total_cmp(&q.0).then(p.1.cmp(&q.1)));
    points
}
