//! Precision, recall, density and coverage.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::search::nearest;
use crate::error::{Error, Result};
use crate::estimate::Estimate;
use crate::input::{FIRST, SECOND, check_pair};
use crate::pairwise::{CHUNK, Points};
use crate::scale::{WIDE, framed};

/// How two samples overlap, in terms of the balls that reach each point's k-th neighbour.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Manifolds {
    /// Share of the generated points that lie in the ball of some real point.
    pub precision: Estimate,
    /// Share of the real points that lie in the ball of some generated point.
    pub recall: Estimate,
    /// Real balls that a generated point lies in, over k, on average: about one for equal laws, not
    /// bounded by one.
    pub density: Estimate,
    /// Share of the real points with a generated point in their ball.
    pub coverage: Estimate,
}

/// Precision, recall, density and coverage of generated points, by k nearest neighbours.
///
/// With $B_k(z)$ the closed ball around z up to its k-th nearest other point of its own sample,
///
/// $$\mathrm{precision} = \tfrac1M \sum_j 1\{y_j \in \cup_i B_k(x_i)\}, \qquad \mathrm{recall} =
/// \tfrac1N \sum_i 1\{x_i \in \cup_j B_k(y_j)\},$$
/// $$\mathrm{density} = \tfrac1{kM} \sum_{ij} 1\{y_j \in B_k(x_i)\}, \qquad \mathrm{coverage} =
/// \tfrac1N \sum_i 1\{\exists j: y_j \in B_k(x_i)\}.$$
///
/// x is the real sample, y the generated one. Balls are closed, so that duplicates, whose balls have
/// radius zero, hold each other. The standard errors are those of the mean over the points that are
/// judged, with the balls as given. Every pair is looked at four times: O(N + M) memory, exact in any
/// dimension, the same whatever the number of threads.
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`, N, M > k.
///
/// # Errors
/// k of zero, samples of k rows or fewer, different dimensions, values that are not finite.
///
/// # Reference
/// T. Kynkaanniemi et al., *Improved precision and recall metric for assessing generative models*,
/// 2019, arXiv:1904.06991; M. F. Naeem et al., *Reliable fidelity and diversity metrics for
/// generative models*, 2020, arXiv:2002.09797.
///
/// ```
/// use ndarray::array;
/// let x = array![[0.0], [1.0], [2.0], [3.0]];
/// let y = array![[0.5], [0.6], [0.7], [90.0]];
/// let found = metrics::precision_recall(x.view(), y.view(), 1)?;
/// assert_eq!(found.precision.value, 0.75);
/// assert_eq!(found.coverage.value, 0.5);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn precision_recall(x: ArrayView2<f64>, y: ArrayView2<f64>, k: usize) -> Result<Manifolds> {
    if k == 0 {
        return Err(Error::InvalidParameter { name: "k", expected: ">= 1", value: 0.0 });
    }
    check_pair(x, y, 1)?;
    check_neighbours(k, FIRST, x)?;
    check_neighbours(k, SECOND, y)?;
    let pair = framed(x, y, WIDE);
    let (x, y) = (Points::new(pair.x.view()), Points::new(pair.y.view()));
    let (radii_x, radii_y) = (radii(&x, k), radii(&y, k));
    let of_y = judge(&y, &x, &radii_x);
    let of_x = judge(&x, &y, &radii_y);
    let share = |judged: &[Judged], is: &dyn Fn(usize, &Judged) -> bool| {
        let n = judged.len() as f64;
        let hits = judged.iter().enumerate().filter(|(i, one)| is(*i, one)).count();
        let p = hits as f64 / n;
        Estimate { value: p, standard_error: (p * (1.0 - p) / n).sqrt() }
    };
    let counts: Vec<f64> = of_y.iter().map(|one| one.inside as f64).collect();
    let balls = Estimate::of_mean(&counts);
    Ok(Manifolds {
        precision: share(&of_y, &|_, one| one.inside > 0),
        recall: share(&of_x, &|_, one| one.inside > 0),
        density: Estimate {
            value: balls.value / k as f64,
            standard_error: balls.standard_error / k as f64,
        },
        coverage: share(&of_x, &|i, one| one.nearest <= radii_x[i]),
    })
}

/// Whether there are k other points.
pub(crate) fn check_neighbours(k: usize, what: &'static str, cloud: ArrayView2<f64>) -> Result<()> {
    let (found, needed) = (cloud.nrows(), k.saturating_add(1));
    if found < needed {
        return Err(Error::TooFewRowsFor { parameter: "k", value: k, what, found, needed });
    }
    Ok(())
}

/// Squared distance of each point to its k-th nearest other point.
fn radii(points: &Points, k: usize) -> Vec<f64> {
    let radius = |buffer: &mut Vec<f64>, i: usize| {
        // There are more than k points.
        let found = nearest(points.row(i), points, k, Some(i), buffer);
        found.last().map_or(0.0, |furthest| furthest.squared)
    };
    (0..points.len()).into_par_iter().map_init(|| vec![0.0; CHUNK], radius).collect()
}

/// What a point finds in the other sample.
struct Judged {
    /// Balls it lies in.
    inside: usize,
    /// Squared distance to the nearest centre.
    nearest: f64,
}

/// Looks at all balls from every point of `of`.
fn judge(of: &Points, centres: &Points, radii: &[f64]) -> Vec<Judged> {
    let one = |buffer: &mut Vec<f64>, i: usize| {
        let (mut inside, mut nearest) = (0, f64::INFINITY);
        for start in (0..centres.len()).step_by(CHUNK) {
            let squares = &mut buffer[..CHUNK.min(centres.len() - start)];
            centres.squared_distances(of.row(i), start, squares);
            for (square, radius) in squares.iter().zip(&radii[start..]) {
                inside += usize::from(square <= radius);
                nearest = if *square < nearest { *square } else { nearest };
            }
        }
        Judged { inside, nearest }
    };
    (0..of.len()).into_par_iter().map_init(|| vec![0.0; CHUNK], one).collect()
}
