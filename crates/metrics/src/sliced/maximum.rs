//! The direction along which two clouds are farthest apart.

use std::cmp::Ordering;

use ndarray::{Array1, ArrayView1, ArrayView2};
use rayon::prelude::*;
use sde_core::Key;

use super::given::check_order;
use super::monotone::Masses;
use super::ridge::shortest_mixture;
use crate::error::{Error, Result};
use crate::input::{FIRST, SECOND, check_balance, check_pair, check_rows, cloud_weights};
use crate::keyed::random_directions;

/// Starts that are followed upward: the best of those given.
const FOLLOWED: usize = 8;
/// Steps of one ascent; it ends by itself long before.
const MAX_STEPS: usize = 1000;

/// A local maximum of the Wasserstein distance over directions.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MaxSliced {
    /// $W_p$ along `direction`: a lower bound of the max-sliced distance.
    pub value: f64,
    /// The unit direction, of length D.
    pub direction: Array1<f64>,
    /// Steps of the ascent that ended there.
    pub steps: usize,
}

/// Max-sliced Wasserstein-p distance: the largest distance along one direction.
///
/// $$\max_{\lVert \theta \rVert = 1} W_p(\theta \cdot X,\ \theta \cdot Y)$$
///
/// The maximum is sought from the best eight of the `starts` (see
/// [`random_directions`](crate::random_directions)), the directions of the difference of the means
/// and of the coordinate axes. Each step goes along the great circle towards the gradient, which for
/// p = 2 is a power iteration with the second moments of the optimal plan, and is taken only if the
/// distance grows: the result is at least as large as along any start. Where positions change order
/// the distance has a ridge, which gradients of one point cross to and fro; from the best maximum
/// the search goes on along the shortest mixture of the gradients around it (gradient sampling). The
/// problem is not convex, so more starts may find more.
///
/// # Shapes
/// `x: [N, D]`, `a: [N]`, `y: [M, D]`, `b: [M]`, `starts: [D, K]`, one a column, of any length but
/// zero; K may be zero.
///
/// # Errors
/// Empty clouds, shapes that disagree, values that are not finite, unequal masses, p < 1, a start of
/// length zero.
///
/// # Reference
/// I. Deshpande et al., *Max-sliced Wasserstein distance and its use for GANs*, 2019,
/// arXiv:1904.05877; J. V. Burke, A. S. Lewis, M. L. Overton, *A robust gradient sampling algorithm for
/// nonsmooth, nonconvex optimization*, SIAM J. Optimization 15, 2005.
///
/// ```
/// use ndarray::array;
/// use sde_core::Key;
/// let (x, y) = (array![[0.0, 0.0]], array![[3.0, 4.0]]);
/// let starts = metrics::random_directions(2, 4, Key::root(1))?;
/// let found = metrics::max_sliced_w(x.view(), None, y.view(), None, starts.view(), 2.0)?;
/// assert!((found.value - 5.0).abs() < 1e-12);
/// assert!((found.direction[0].abs() - 0.6).abs() < 1e-6);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn max_sliced_w(
    x: ArrayView2<f64>,
    a: Option<ArrayView1<f64>>,
    y: ArrayView2<f64>,
    b: Option<ArrayView1<f64>>,
    starts: ArrayView2<f64>,
    p: f64,
) -> Result<MaxSliced> {
    check_pair(x, y, 1)?;
    let (mut a, left) = cloud_weights(FIRST, x.nrows(), a)?;
    let (mut b, right) = cloud_weights(SECOND, y.nrows(), b)?;
    check_balance(left, right)?;
    check_order(p)?;
    let dim = x.ncols();
    if starts.nrows() != dim {
        let (expected, found) = (vec![dim, starts.ncols()], starts.shape().to_vec());
        return Err(Error::ShapeMismatch { what: "starts", expected, found });
    }
    if starts.ncols() > 0 {
        check_rows("starts", starts, 1)?;
    }
    let masses = Masses::new(&a, &b);
    a.iter_mut().for_each(|share| *share /= left);
    b.iter_mut().for_each(|share| *share /= right);
    let means = (Array1::from(a).dot(&x), Array1::from(b).dot(&y));
    let problem = Problem { x, y, masses, p };

    let mut candidates = Vec::new();
    for (k, start) in starts.columns().into_iter().enumerate() {
        let Some(unit) = normalised(start.to_owned()) else {
            let (name, value) = ("length of a start", k as f64);
            return Err(Error::InvalidParameter {
                name,
                expected: "above zero (the value found is its column)",
                value,
            });
        };
        candidates.push(unit);
    }
    candidates.extend(normalised(means.0 - means.1));
    candidates.extend((0..dim).map(|k| {
        let mut axis = Array1::zeros(dim);
        axis[k] = 1.0;
        axis
    }));
    let mut rated: Vec<(f64, Array1<f64>)> =
        candidates.into_par_iter().map(|theta| (problem.power(&theta), theta)).collect();
    // Stable: equals stay in their order.
    rated.sort_by(|p, q| q.0.total_cmp(&p.0));
    rated.truncate(FOLLOWED);
    let ascents: Vec<(f64, MaxSliced)> = rated
        .into_par_iter()
        .map(|(power, theta)| {
            let (power, direction, steps) = problem.ascend(power, theta);
            (power, MaxSliced { value: power.powf(p.recip()), direction, steps })
        })
        .collect();
    let later = |p: &(f64, MaxSliced), q: &(f64, MaxSliced)| match p.0.total_cmp(&q.0) {
        // The first of equals.
        Ordering::Equal => Ordering::Greater,
        other => other,
    };
    let Some((power, best)) = ascents.into_iter().max_by(later) else {
        return Err(Error::TooFewRows { what: "starts", found: 0, needed: 1 });
    };
    problem.polish(power, best)
}

struct Problem<'a> {
    x: ArrayView2<'a, f64>,
    y: ArrayView2<'a, f64>,
    masses: Masses,
    p: f64,
}

impl Problem<'_> {
    /// $W_p^p$ along a direction.
    fn power(&self, theta: &Array1<f64>) -> f64 {
        self.masses.power(self.x.dot(theta).view(), self.y.dot(theta).view(), self.p)
    }

    /// The gradient of $W_p^p / p$ in the direction, at the optimal plan.
    fn gradient(&self, theta: &Array1<f64>) -> Array1<f64> {
        let (mut from, mut to) = (Array1::zeros(self.x.nrows()), Array1::zeros(self.y.nrows()));
        let (at_x, at_y) = (self.x.dot(theta), self.y.dot(theta));
        self.masses.plan(at_x.view(), at_y.view(), |i, j, share, gap| {
            let push =
                if self.p == 2.0 { gap } else { gap.signum() * gap.abs().powf(self.p - 1.0) };
            // A pair that coincides pushes nowhere, also where p = 1.
            if gap != 0.0 {
                from[i] += share * push;
                to[j] += share * push;
            }
        });
        from.dot(&self.x) - to.dot(&self.y)
    }

    /// Follows the gradient over the sphere while the distance grows.
    fn ascend(&self, mut power: f64, mut theta: Array1<f64>) -> (f64, Array1<f64>, usize) {
        for step in 0..MAX_STEPS {
            let gradient = self.gradient(&theta);
            let radial = gradient.dot(&theta);
            let across = &gradient - &(&theta * radial);
            let size = across.dot(&across).sqrt();
            let Some(across) = normalised(across) else { return (power, theta, step) };
            let angle = size.atan2(radial);
            let at = |angle: f64| {
                let moved = &theta * angle.cos() + &across * angle.sin();
                let moved = normalised(moved).unwrap_or_else(|| theta.clone());
                (self.power(&moved), moved)
            };
            // The fixed point of the iteration, and beyond; shorter steps only where none is better.
            let mut found = [1.0, 2.0, 4.0]
                .map(|factor| at((factor * angle).min(std::f64::consts::FRAC_PI_2)))
                .into_iter()
                .reduce(|best, other| if other.0 > best.0 { other } else { best });
            let mut shorter = 0.5 * angle;
            while found.as_ref().is_none_or(|f| f.0 <= power) && shorter > 1e-9 {
                found = Some(at(shorter));
                shorter *= 0.5;
            }
            match found {
                Some((more, moved)) if more > power => {
                    let gain = more - power;
                    (power, theta) = (more, moved);
                    if gain <= 1e-14 * power {
                        return (power, theta, step + 1);
                    }
                }
                _ => return (power, theta, step),
            }
        }
        (power, theta, MAX_STEPS)
    }

    /// Goes on along ridges, until no mixture of the gradients nearby ascends.
    fn polish(&self, mut power: f64, mut best: MaxSliced) -> Result<MaxSliced> {
        let dim = best.direction.len();
        let count = (2 * dim).clamp(4, 64);
        let mut radius = 1e-2;
        for round in 0..MAX_STEPS {
            if dim == 1 || radius <= 1e-8 {
                break;
            }
            let theta = &best.direction;
            // Which points around are looked at is no matter of chance: one fixed key.
            let around = random_directions(dim, count, Key::root(0x51_1CED).fold(round as u64))?;
            let mut points = vec![theta.clone()];
            points.extend(around.columns().into_iter().filter_map(|way| {
                let tangent = &way - &(theta * theta.dot(&way));
                normalised(theta + &(tangent * radius))
            }));
            let gradients: Vec<Array1<f64>> = points
                .par_iter()
                .map(|point| {
                    let gradient = self.gradient(point);
                    let radial = gradient.dot(theta);
                    gradient - theta * radial
                })
                .collect();
            let moved = normalised(shortest_mixture(&gradients)).and_then(|way| {
                let lengths = [8.0, 2.0, 0.5, 0.125, 0.03];
                let tried = lengths.iter().filter_map(|length| {
                    let moved = normalised(theta + &(&way * (length * radius)))?;
                    Some((self.power(&moved), moved))
                });
                tried.reduce(|best, other| if other.0 > best.0 { other } else { best })
            });
            match moved {
                Some((more, moved)) if more > power => {
                    let (more, direction, steps) = self.ascend(more, moved);
                    let steps = best.steps + steps + 1;
                    best = MaxSliced { value: more.powf(self.p.recip()), direction, steps };
                    if more - power <= 1e-13 * more {
                        radius *= 0.25;
                    }
                    power = more;
                }
                _ => radius *= 0.25,
            }
        }
        Ok(best)
    }
}

/// A vector of length one; `None` of nothing.
fn normalised(vector: Array1<f64>) -> Option<Array1<f64>> {
    // Scaled first: squares of tiny entries would vanish.
    let largest = vector.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    if !(largest > 0.0 && largest.is_finite()) {
        return None;
    }
    let scaled = vector / largest;
    let length = scaled.dot(&scaled).sqrt();
    Some(scaled / length)
}
