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
    /// The rows of a cloud that carry mass, stretched by a power of two, and which they are.
    pub(super) fn new(
        cloud: ArrayView2<f64>,
        weights: &[f64],
        total: f64,
        stretch: f64,
    ) -> (Self, Vec<usize>) {
        let rows: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0.0).collect();
        let mass = rows.iter().map(|&i| weights[i] / total).collect();
        let kept = cloud.select(ndarray::Axis(0), &rows) * stretch;
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
    if epsilon > GENTLE {
        let (points, f) = from;
        let row = |i: usize| gentle_log_sum(points.row(i), f[i], side, g, epsilon);
        return (0..points.len()).into_par_iter().map(row).collect();
    }
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

/// An epsilon, for clouds about one across, from which on all factors are nearly one: what they are besides
/// is all that counts.
const GENTLE: f64 = 1e3;

/// $\log \sum_j m_j \exp((f + g_j - C(q, y_j))/\varepsilon)$ of small exponents.
fn gentle_log_sum(query: &[f64], f: f64, to: &Side, g: &[f64], epsilon: f64) -> f64 {
    let mut costs = vec![0.0; to.len()];
    to.points.squared_distances(query, 0, &mut costs);
    let terms = costs.iter().zip(g).zip(&to.mass);
    terms.map(|((cost, g), mass)| mass * ((f + g - cost) / epsilon).exp_m1()).sum::<f64>().ln_1p()
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
    if epsilon > GENTLE {
        return -epsilon * gentle_log_sum(query, 0.0, to, g, epsilon);
    }
    -epsilon * log_sum(query, to, g, epsilon)
}

/// Rows that are farther than this from what they should add up to are taken as shares.
const OFF: f64 = 1e-2;

/// Mean transport cost under the plan.
pub(super) fn transport_cost(
    (x, f): (&Side, &[f64]),
    (y, g): (&Side, &[f64]),
    epsilon: f64,
) -> f64 {
    let (from, to) = ((&x.points, f), (&y.points, g));
    let mut rows = reduce_rows(from, to, epsilon, |_, start, costs, factors| {
        let mass = &y.mass[start..start + costs.len()];
        costs.iter().zip(factors).zip(mass).map(|((c, e), m)| c * e * m).sum()
    });
    // Below what doubles resolve a row may hold anything; its shares still make a plan.
    let sums = row_sums(from, to, epsilon, &y.mass);
    for (i, (row, sum)) in rows.iter_mut().zip(sums).enumerate() {
        if (1e-200..1e200).contains(&sum) {
            *row /= if (sum - 1.0).abs() > OFF { sum } else { 1.0 };
        } else {
            *row = mean_cost(x.points.row(i), y, g, epsilon);
        }
    }
    dot(&rows, &x.mass)
}

/// Mean cost of a row whose factors are no numbers, from the largest term.
fn mean_cost(query: &[f64], to: &Side, g: &[f64], epsilon: f64) -> f64 {
    let mut costs = vec![0.0; to.len()];
    to.points.squared_distances(query, 0, &mut costs);
    let exponent = |j: usize| (g[j] - costs[j]) / epsilon + to.mass[j].ln();
    let top = (0..to.len()).map(exponent).fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = (0..to.len()).map(|j| (exponent(j) - top).exp()).collect();
    dot(&shares, &costs) / shares.iter().sum::<f64>()
}
