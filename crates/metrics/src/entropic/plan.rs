//! The entropic plan as a function of its potentials, never stored: rows are computed when asked for.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::pairwise::{CHUNK, Points, dot, gibbs};

/// One side of the problem: points of positive mass, total one.
pub(super) struct Side {
    pub(super) points: Points,
    pub(super) mass: Vec<f64>,
}

impl Side {
    /// The rows of a cloud that carry mass, and which they are. `centre` is taken off: costs are
    /// differences, and small coordinates round less.
    pub(super) fn new(
        cloud: ArrayView2<f64>,
        weights: &[f64],
        total: f64,
        centre: &[f64],
    ) -> (Self, Vec<usize>) {
        let rows: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0.0).collect();
        let mass = rows.iter().map(|&i| weights[i] / total).collect();
        let mut kept = cloud.select(ndarray::Axis(0), &rows);
        for mut row in kept.rows_mut() {
            row.iter_mut().zip(centre).for_each(|(value, c)| *value -= c);
        }
        (Self { points: Points::new(kept.view()), mass }, rows)
    }

    pub(super) fn len(&self) -> usize {
        self.mass.len()
    }
}

/// A reduction of every row of the Gibbs factors $e_{ij} = \exp((f_i + g_j - C_{ij})/\varepsilon)$.
///
/// `reduce(i, start, costs, factors)` sees the pairs `start ..` of row i, a chunk at a time; what it
/// returns is added up in order, whatever the number of threads.
pub(super) fn reduce_rows(
    (from, f): (&Points, &[f64]),
    (to, g): (&Points, &[f64]),
    epsilon: f64,
    reduce: impl Fn(usize, usize, &[f64], &[f64]) -> f64 + Sync,
) -> Vec<f64> {
    let scale = epsilon.recip();
    let row = |(costs, factors): &mut (Vec<f64>, Vec<f64>), i: usize| {
        let mut total = 0.0;
        for start in (0..to.len()).step_by(CHUNK) {
            let len = CHUNK.min(to.len() - start);
            let (costs, factors) = (&mut costs[..len], &mut factors[..len]);
            to.squared_distances(from.row(i), start, costs);
            factors.copy_from_slice(costs);
            gibbs(factors, &g[start..start + len], f[i], scale);
            total += reduce(i, start, costs, factors);
        }
        total
    };
    let buffers = || (vec![0.0; CHUNK], vec![0.0; CHUNK]);
    (0..from.len()).into_par_iter().map_init(buffers, row).collect()
}

/// For every row the sum over j of $e_{ij} v_j$.
pub(super) fn row_sums(
    from: (&Points, &[f64]),
    to: (&Points, &[f64]),
    epsilon: f64,
    v: &[f64],
) -> Vec<f64> {
    reduce_rows(from, to, epsilon, |_, start, _, factors| {
        dot(factors, &v[start..start + factors.len()])
    })
}

/// $\log \sum_j m_j e_{ij}$ of every row: zero where the marginal is right, so that $f_i$ less
/// epsilon times this makes it right.
pub(super) fn log_ratios(from: (&Points, &[f64]), to: (&Side, &[f64]), epsilon: f64) -> Vec<f64> {
    let (side, g) = to;
    let mut sums = row_sums(from, (&side.points, g), epsilon, &side.mass);
    // Potentials far from their marginal overflow or vanish: those rows start at their maximum.
    let (points, f) = from;
    sums.par_iter_mut().enumerate().for_each(|(i, sum)| {
        *sum = if (1e-200..1e200).contains(sum) {
            sum.ln()
        } else {
            f[i] / epsilon + log_sum(points.row(i), side, g, epsilon)
        };
    });
    sums
}

/// $\log \sum_j m_j \exp((g_j - C(q, y_j))/\varepsilon)$, from the largest term.
fn log_sum(query: &[f64], to: &Side, g: &[f64], epsilon: f64) -> f64 {
    let mut exponents = vec![0.0; to.len()];
    to.points.squared_distances(query, 0, &mut exponents);
    let terms = exponents.iter_mut().zip(g).zip(&to.mass);
    terms.for_each(|((value, g), mass)| *value = (g - *value) / epsilon + mass.ln());
    let top = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + exponents.iter().map(|value| (value - top).exp()).sum::<f64>().ln()
}

/// The potential at any point: $-\varepsilon \log \sum_j m_j \exp((g_j - C(q, y_j))/\varepsilon)$.
pub(super) fn soft_minimum(query: &[f64], to: &Side, g: &[f64], epsilon: f64) -> f64 {
    -epsilon * log_sum(query, to, g, epsilon)
}

/// Mean transport cost under the plan.
pub(super) fn transport_cost(
    (x, f): (&Side, &[f64]),
    (y, g): (&Side, &[f64]),
    epsilon: f64,
) -> f64 {
    let rows = reduce_rows((&x.points, f), (&y.points, g), epsilon, |_, start, costs, factors| {
        let mass = &y.mass[start..start + costs.len()];
        costs.iter().zip(factors).zip(mass).map(|((c, e), m)| c * e * m).sum()
    });
    dot(&rows, &x.mass)
}
