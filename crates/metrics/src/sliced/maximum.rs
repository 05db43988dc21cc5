//! The direction along which two clouds are farthest apart.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, aview1};
use rayon::prelude::*;
use sde_core::Key;

use super::ascent::{Place, ascend};
use super::given::{check_order, present};
use super::length::Power;
use super::monotone::Masses;
use super::ridge::shortest_mixture;
use crate::error::{Error, Result};
use crate::input::{FIRST, SECOND, check_balance, check_pair, check_rows, cloud_weights};
use crate::keyed::random_directions;
use crate::scale::{finite, framed};

/// How many of the best places are followed upward, and for how many steps, stage by stage.
const STAGES: [(usize, usize); 3] = [(32, 20), (6, 100), (1, 3000)];
/// Dimensions up to which ridges are followed, and the gradients that are spent on it.
const MOST_DIMENSIONS: usize = 64;
const GRADIENTS: usize = 4000;

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
/// The maximum is sought from the `starts` (see [`random_directions`](crate::random_directions)), the
/// directions of the difference of the means and of the coordinate axes. The best of them go up by a
/// quasi-Newton method for a few steps, the best of these for more, and the best to the end: the result is
/// at least as large as along any start, and a step costs O(n log n + n D). Where positions change order the
/// distance has a ridge; in up to 64 dimensions the search goes on along the shortest mixture of the
/// gradients around the best place (gradient sampling). The problem is not convex, so more starts may find
/// more.
///
/// # Shapes
/// `x: [N, D]`, `a: [N]`, `y: [M, D]`, `b: [M]`, `starts: [D, K]`, one a column, of any length but
/// zero; K may be zero.
///
/// # Errors
/// Empty clouds, shapes that disagree, values that are not finite, unequal masses, p < 1, a start of
/// length zero, a distance that no double holds.
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
    let (a, left) = cloud_weights(FIRST, x.nrows(), a)?;
    let (b, right) = cloud_weights(SECOND, y.nrows(), b)?;
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
    let ((x, a), (y, b)) = (present(x, aview1(&a)), present(y, aview1(&b)));
    let pair = framed(x.view(), y.view(), 0);
    let masses = Masses::new(&a.to_vec(), &b.to_vec());
    let means = ((a / left).dot(&pair.x), (b / right).dot(&pair.y));
    let problem = Problem { x: pair.x, y: pair.y, masses, p };

    let mut units = Array2::zeros(starts.raw_dim());
    for (k, start) in starts.columns().into_iter().enumerate() {
        let Some(unit) = normalised(start.to_owned()) else {
            let (name, value) = ("length of a start", k as f64);
            return Err(Error::InvalidParameter {
                name,
                expected: "above zero (the value found is its column)",
                value,
            });
        };
        units.column_mut(k).assign(&unit);
    }
    let mut places = problem.rated(&units);
    if let Some(direction) = normalised(means.0 - means.1) {
        places.push(problem.place(direction));
    }
    places.extend(problem.axes(STAGES[0].0));
    for (followed, steps) in STAGES {
        // Stable: equals stay in their order.
        places.sort_by(|p, q| q.value.total_cmp(&p.value));
        places.truncate(followed);
        places = places.into_par_iter().map(|place| problem.ascend(place, steps)).collect();
    }
    let Some(best) = places.into_iter().next() else {
        return Err(Error::TooFewRows { what: "starts", found: 0, needed: 1 });
    };
    let best = if (2..=MOST_DIMENSIONS).contains(&dim) { problem.polish(best)? } else { best };
    let value = finite("max-sliced Wasserstein distance", pair.unit.back(best.value, 1.0))?;
    Ok(MaxSliced { value, direction: best.direction, steps: best.steps })
}

/// The distance as a function of the direction.
struct Problem {
    x: Array2<f64>,
    y: Array2<f64>,
    masses: Masses,
    p: f64,
}

impl Problem {
    fn value(&self, theta: &Array1<f64>) -> f64 {
        self.masses.power(self.x.dot(theta).view(), self.y.dot(theta).view(), self.p).root()
    }

    fn place(&self, direction: Array1<f64>) -> Place {
        Place { value: self.value(&direction), direction, steps: 0 }
    }

    /// Columns of a matrix, each with its distance.
    fn rated(&self, directions: &Array2<f64>) -> Vec<Place> {
        let (along_x, along_y) = (self.x.dot(directions), self.y.dot(directions));
        let place = |k: usize| {
            let power = self.masses.power(along_x.column(k), along_y.column(k), self.p);
            Place { value: power.root(), direction: directions.column(k).to_owned(), steps: 0 }
        };
        (0..directions.ncols()).into_par_iter().map(place).collect()
    }

    /// The best of the coordinate axes.
    fn axes(&self, most: usize) -> Vec<Place> {
        let dim = self.x.ncols();
        let value = |k| self.masses.power(self.x.column(k), self.y.column(k), self.p).root();
        let mut rated: Vec<(f64, usize)> =
            (0..dim).into_par_iter().map(|k| (value(k), k)).collect();
        rated.sort_by(|p, q| q.0.total_cmp(&p.0));
        rated.truncate(most);
        let axis = |k| Array1::from_shape_fn(dim, |i| f64::from(u8::from(i == k)));
        let place = |(value, k)| Place { value, direction: axis(k), steps: 0 };
        rated.into_iter().map(place).collect()
    }

    /// The distance along a direction, and its gradient with the plan as it is there.
    fn value_and_gradient(&self, theta: &Array1<f64>) -> (f64, Array1<f64>) {
        let (at_x, at_y) = (self.x.dot(theta), self.y.dot(theta));
        let mut moves = Vec::with_capacity(at_x.len() + at_y.len());
        self.masses
            .plan(at_x.view(), at_y.view(), |i, j, share, gap| moves.push((i, j, share, gap)));
        let power = Power::of(moves.iter().map(|&(_, _, share, gap)| (share, gap.abs())), self.p);
        let value = power.root();
        let (mut from, mut to) = (Array1::zeros(at_x.len()), Array1::zeros(at_y.len()));
        for (i, j, share, gap) in moves {
            // A pair that coincides pushes nowhere, also where p = 1.
            if gap != 0.0 {
                let ratio = gap.abs() / value;
                let size = if self.p == 2.0 { ratio } else { ratio.powf(self.p - 1.0) };
                from[i] += share * gap.signum() * size;
                to[j] += share * gap.signum() * size;
            }
        }
        (value, from.dot(&self.x) - to.dot(&self.y))
    }

    fn ascend(&self, place: Place, steps: usize) -> Place {
        ascend(&|theta| self.value_and_gradient(theta), place, steps)
    }

    /// Goes on along ridges, until no mixture of the gradients nearby ascends.
    fn polish(&self, mut best: Place) -> Result<Place> {
        let dim = best.direction.len();
        let count = (2 * dim).clamp(4, 64);
        let mut radius = 1e-2;
        for round in 0..GRADIENTS / count {
            if radius <= 1e-8 {
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
                    let gradient = self.value_and_gradient(point).1;
                    let radial = gradient.dot(theta);
                    gradient - theta * radial
                })
                .collect();
            let moved = normalised(shortest_mixture(&gradients)).and_then(|way| {
                let lengths = [8.0, 2.0, 0.5, 0.125, 0.03];
                let tried = lengths.iter().filter_map(|length| {
                    Some(self.place(normalised(theta + &(&way * (length * radius)))?))
                });
                tried.reduce(|best, other| if other.value > best.value { other } else { best })
            });
            match moved {
                Some(moved) if moved.value > best.value => {
                    let from = Place { steps: best.steps + 1, ..moved };
                    let found = self.ascend(from, 50);
                    if found.value - best.value <= 1e-13 * found.value {
                        radius *= 0.25;
                    }
                    best = found;
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
