//! Potentials of one-dimensional transport, averaged over directions.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::influence::standard_error;
use crate::estimate::Estimate;
use crate::scale::framed;
use crate::sliced::{Length, present};

/// Directions that are worked on before their potentials are added up: bounds the memory.
const BLOCK: usize = 16;

/// What the potentials along given directions say of the sliced distance.
pub(crate) struct SlicedError {
    /// Standard error of the distance over these directions; none of a distance of zero.
    pub(crate) of_samples: Option<f64>,
    /// What independent directions would add to it; none of a single one.
    pub(crate) of_directions: Option<f64>,
}

/// The standard errors of a distance, the p-th root of the mean of $W_p^p(\theta_k)$; weights sum to the
/// same on both sides.
///
/// In one dimension optimal potentials follow from the staircase of the monotone plan, for every
/// convex cost: they meet its cost with equality on each step. The mean of the potentials over the
/// directions is the influence function of the mean of the distances.
pub(crate) fn sliced_error(
    (x, a): (ArrayView2<f64>, Option<ArrayView1<f64>>),
    (y, b): (ArrayView2<f64>, Option<ArrayView1<f64>>),
    directions: ArrayView2<f64>,
    p: f64,
    distance: f64,
) -> SlicedError {
    let with_mass = |cloud: ArrayView2<f64>, weights: Option<ArrayView1<f64>>| match weights {
        None => (cloud.to_owned(), None),
        Some(weights) => {
            let (rows, weights) = present(cloud, weights);
            (rows, Some(weights))
        }
    };
    let ((x, a), (y, b)) = (with_mass(x, a), with_mass(y, b));
    let pair = framed(x.view(), y.view(), 0);
    let (a, b) = (a.as_ref().map(|a| a.view()), b.as_ref().map(|b| b.view()));
    let (along_x, along_y) = (pair.x.dot(&directions), pair.y.dot(&directions));
    let unit = Length::unit(widest(&along_x, &along_y), p);
    let n_directions = directions.ncols();
    let (mut u, mut v) = (Array1::<f64>::zeros(x.nrows()), Array1::<f64>::zeros(y.nrows()));
    let mut powers = Vec::with_capacity(n_directions);
    for block in (0..n_directions).step_by(BLOCK) {
        let ks = block..n_directions.min(block + BLOCK);
        let found: Vec<Potentials> = ks
            .into_par_iter()
            .map(|k| potentials(&steps(&along_x, k, a), &steps(&along_y, k, b), unit))
            .collect();
        // In the order of the directions, whatever the threads did.
        for potentials in found {
            potentials.u.iter().for_each(|&(row, value)| u[row] += value);
            potentials.v.iter().for_each(|&(row, value)| v[row] += value);
            powers.push(potentials.cost);
        }
    }
    let k = n_directions as f64;
    let of_samples = standard_error([(u.view(), a), (v.view(), b)]) / k;
    let of_directions = Estimate::of_mean(&powers).standard_error;
    // The delta method.
    let power = unit.raise(pair.unit.measure(distance));
    let of_root =
        |error: f64| Some(error / (p * power) * distance).filter(|error| error.is_finite());
    SlicedError { of_samples: of_root(of_samples), of_directions: of_root(of_directions) }
}

/// The largest distance between positions of the two along any direction.
fn widest(along_x: &Array2<f64>, along_y: &Array2<f64>) -> f64 {
    let of = |column: ArrayView1<f64>| {
        column
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (at.min(low), at.max(high)))
    };
    let both = along_x.columns().into_iter().zip(along_y.columns());
    both.fold(0.0, |most, (x, y)| {
        let ((low, high), (least, greatest)) = (of(x), of(y));
        most.max(high - least).max(greatest - low)
    })
}

/// A row on the line: its position, its share of the mass and the share up to and including it.
struct Step {
    row: usize,
    at: f64,
    share: f64,
    up_to: f64,
}

/// The rows, from left to right; all have mass.
fn steps(along: &Array2<f64>, k: usize, weights: Option<ArrayView1<f64>>) -> Vec<Step> {
    let n = along.nrows();
    let total = weights.map_or(n as f64, |w| w.sum());
    let share = |row: usize| weights.map_or(1.0, |w| w[row]) / total;
    let mut steps: Vec<Step> = (0..n)
        .map(|row| Step { row, at: along[[row, k]], share: share(row), up_to: 0.0 })
        .collect();
    steps.sort_unstable_by(|p, q| p.at.total_cmp(&q.at).then(p.row.cmp(&q.row)));
    let (mut below, count) = (0.0, steps.len() as f64);
    for (i, step) in steps.iter_mut().enumerate() {
        below += step.share;
        // Equal shares meet exactly where sums of them would not.
        step.up_to = if weights.is_none() { (i + 1) as f64 / count } else { below };
    }
    steps
}

/// Potentials by row, and the cost they prove.
struct Potentials {
    u: Vec<(usize, f64)>,
    v: Vec<(usize, f64)>,
    cost: f64,
}

fn potentials(from: &[Step], to: &[Step], unit: Length) -> Potentials {
    let cost = |i: usize, j: usize| unit.raise((from[i].at - to[j].at).abs());
    let (mut u, mut v) = (vec![cost(0, 0)], vec![0.0]);
    loop {
        let (i, j) = (u.len() - 1, v.len() - 1);
        let (more_from, more_to) = (i + 1 < from.len(), j + 1 < to.len());
        let ends = from[i].up_to.total_cmp(&to[j].up_to);
        match (more_from, more_to) {
            (false, false) => break,
            // Both end together: the step may turn either way, and the mean of the two is optimal
            // too. It is the one that treats the two sides alike.
            (true, true) if ends.is_eq() => {
                let corner = cost(i + 1, j + 1);
                let (over, under) = (cost(i + 1, j) - v[j], corner - (cost(i, j + 1) - u[i]));
                u.push(0.5 * (over + under));
                v.push(corner - u[i + 1]);
            }
            (true, _) if !more_to || ends.is_lt() => u.push(cost(i + 1, j) - v[j]),
            _ => v.push(cost(i, j + 1) - u[i]),
        }
    }
    let value = |steps: &[Step], values: &[f64]| -> f64 {
        steps.iter().zip(values).map(|(step, value)| step.share * value).sum()
    };
    let cost = value(from, &u) + value(to, &v);
    let by_row = |steps: &[Step], values: Vec<f64>| {
        steps.iter().zip(values).map(|(step, value)| (step.row, value)).collect()
    };
    Potentials { u: by_row(from, u), v: by_row(to, v), cost }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Feasible, and of the cost of the monotone plan: optimal.
    #[test]
    fn potentials_prove_the_monotone_plan() {
        let x = array![[0.3], [-1.0], [2.5], [0.9]];
        let y = array![[1.1], [0.2], [4.0]];
        let (a, b) = (array![0.25, 0.25, 0.3, 0.2], array![0.5, 0.1, 0.4]);
        for (a, b) in [(Some(a.view()), Some(b.view())), (None, None)] {
            for p in [1.0, 1.5, 2.0, 3.0] {
                let unit = Length::unit(1.0, p);
                let found = potentials(&steps(&x, 0, a), &steps(&y, 0, b), unit);
                for &(i, u) in &found.u {
                    for &(j, v) in &found.v {
                        let cost = (x[[i, 0]] - y[[j, 0]]).abs().powf(p);
                        assert!(u + v <= cost + 1e-12, "{i} {j}: {u} + {v} > {cost}");
                    }
                }
                let one = array![[1.0]];
                let exact = crate::sliced_w(x.view(), a, y.view(), b, one.view(), p).unwrap();
                assert!((found.cost - exact.mean.powf(p)).abs() < 1e-12);
            }
        }
    }
}
