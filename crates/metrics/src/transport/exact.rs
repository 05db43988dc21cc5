//! The public face of exact transport between clouds.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};

use super::cloud::{self, Cloud, Optimum};
use super::cost::GroundCost;
use super::kd_tree::KdTree;
use super::line;
use super::masses::integer_masses;
use crate::error::Result;
use crate::input::{FIRST, SECOND, check_balance, check_pair, cloud_weights};

/// Exact Wasserstein-2 distance between two equally weighted clouds.
///
/// $$W_2^2 = \min_{\pi \in \Pi(\mu, \nu)} \sum_{ij} \pi_{ij} \lVert x_i - y_j \rVert^2$$
///
/// See [`ExactTransport`] for weights, plans and how it is computed.
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`; N and M may differ.
///
/// # Errors
/// Empty clouds, different dimensions, NaN or infinite coordinates.
///
/// ```
/// use ndarray::array;
/// let x = array![[0.0, 0.0], [1.0, 0.0]];
/// let y = array![[1.0, 2.0], [0.0, 2.0]];
/// let transport = metrics::w2(x.view(), y.view())?;
/// assert_eq!(transport.distance(), 2.0);
/// assert_eq!(transport.gap(), 0.0);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn w2(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<Transport> {
    ExactTransport::new(GroundCost::SquaredEuclidean).solve(x, None, y, None)
}

/// Exact Wasserstein-1 distance (Euclidean ground cost) between two equally weighted clouds.
///
/// $$W_1 = \min_{\pi \in \Pi(\mu, \nu)} \sum_{ij} \pi_{ij} \lVert x_i - y_j \rVert$$
///
/// # Shapes
/// `x: [N, D]`, `y: [M, D]`.
///
/// # Errors
/// As [`w2`].
///
/// ```
/// use ndarray::array;
/// let (x, y) = (array![[0.0], [1.0]], array![[3.0], [1.0]]);
/// assert_eq!(metrics::w1(x.view(), y.view())?.distance(), 1.5);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn w1(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<Transport> {
    ExactTransport::new(GroundCost::Euclidean).solve(x, None, y, None)
}

/// Exact optimal transport between weighted point clouds of any dimension.
///
/// One dimension is solved by sorting. Otherwise a primal network simplex method works on a few
/// candidate arcs per point; a k-d tree then looks, among all N x M arcs, for those that violate
/// the dual constraints, and they join the candidates until there are none. The cost matrix is
/// never stored. The answer carries its own proof: see [`Transport::gap`].
///
/// # Reference
/// W. H. Cunningham, *A network simplex method*, Math. Programming 11, 1976; B. Schmitzer, *A
/// sparse multiscale algorithm for dense optimal transport*, 2016, arXiv:1510.05466; G. Peyre and
/// M. Cuturi, *Computational Optimal Transport*, 2019, arXiv:1803.00567, section 3.
///
/// ```
/// use metrics::{ExactTransport, GroundCost};
/// use ndarray::array;
/// let (x, y) = (array![[0.0, 0.0], [4.0, 0.0]], array![[0.0, 3.0]]);
/// let (a, b) = (array![0.75, 0.25], array![1.0]);
/// let solver = ExactTransport::new(GroundCost::Euclidean).keep_plan(true);
/// let transport = solver.solve(x.view(), Some(a.view()), y.view(), Some(b.view()))?;
/// assert_eq!(transport.distance(), 0.75 * 3.0 + 0.25 * 5.0);
/// let plan = transport.plan.expect("it was asked for");
/// assert_eq!(plan.to_dense(), array![[0.75], [0.25]]);
/// # Ok::<(), metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ExactTransport {
    cost: GroundCost,
    keep_plan: bool,
}

/// An optimal value with the dual certificate that proves it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Transport {
    /// The ground cost that was minimised.
    pub cost: GroundCost,
    /// Cost of the plan that was found, $\sum \pi_{ij} c_{ij}$: $W_2^2$ or $W_1$.
    pub primal: f64,
    /// $\sum a_i u_i + \sum b_j v_j$ for the feasible potentials below: no plan costs less.
    pub dual: f64,
    /// Potentials u of the first cloud, with $u_i + v_j \le c_{ij}$ for every pair, up to rounding.
    pub source_potential: Array1<f64>,
    /// Potentials v of the second cloud.
    pub target_potential: Array1<f64>,
    /// The plan, if asked for.
    pub plan: Option<TransportPlan>,
}

/// A sparse transport plan: at most N + M - 1 moves.
#[derive(Debug, Clone, PartialEq)]
pub struct TransportPlan {
    shape: [usize; 2],
    /// `(i, j, mass)`, each pair at most once, masses sum to one.
    moves: Vec<(usize, usize, f64)>,
}

impl TransportPlan {
    pub(crate) fn new(shape: [usize; 2], mut moves: Vec<(usize, usize, f64)>) -> Self {
        moves.sort_unstable_by_key(|&(i, j, _)| (i, j));
        Self { shape, moves }
    }

    /// The moves `(i, j, mass)` with positive mass, ordered by i, then j; masses sum to one.
    #[must_use]
    pub fn moves(&self) -> &[(usize, usize, f64)] {
        &self.moves
    }

    /// `[N, M]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// The plan as a dense matrix `[N, M]`.
    #[must_use]
    pub fn to_dense(&self) -> Array2<f64> {
        let mut dense = Array2::zeros(self.shape);
        for &(i, j, mass) in &self.moves {
            dense[[i, j]] += mass;
        }
        dense
    }
}

impl Transport {
    /// The distance: $W_2 = \sqrt{W_2^2}$ for the squared cost, $W_1$ for the plain one.
    #[must_use]
    pub fn distance(&self) -> f64 {
        match self.cost {
            GroundCost::SquaredEuclidean => self.primal.sqrt(),
            GroundCost::Euclidean => self.primal,
        }
    }

    /// Primal minus dual: the plan is at most this much more expensive than the best one.
    #[must_use]
    pub fn gap(&self) -> f64 {
        self.primal - self.dual
    }
}

impl ExactTransport {
    /// A solver for the given ground cost that returns no plan.
    #[must_use]
    pub fn new(cost: GroundCost) -> Self {
        Self { cost, keep_plan: false }
    }

    /// Whether to return the plan.
    #[must_use]
    pub fn keep_plan(self, keep_plan: bool) -> Self {
        Self { keep_plan, ..self }
    }

    /// Solves between `x` with weights `a` and `y` with weights `b` (`None`: uniform).
    ///
    /// Weights need not sum to one, but must sum to the same on both sides (to 1e-9 relative);
    /// they are then normalised to one. Zero weights, repeated points and ties are fine.
    ///
    /// # Shapes
    /// `x: [N, D]`, `a: [N]`, `y: [M, D]`, `b: [M]`.
    ///
    /// # Errors
    /// Empty clouds, different dimensions, coordinates that are not finite, weights that are
    /// negative or not finite, [`crate::Error::UnequalMass`].
    pub fn solve(
        &self,
        x: ArrayView2<f64>,
        a: Option<ArrayView1<f64>>,
        y: ArrayView2<f64>,
        b: Option<ArrayView1<f64>>,
    ) -> Result<Transport> {
        check_pair(x, y, 1)?;
        let (a, left) = cloud_weights(FIRST, x.nrows(), a)?;
        let (b, right) = cloud_weights(SECOND, y.nrows(), b)?;
        check_balance(left, right)?;
        let source = Side::new(x, &a, left);
        let target = Side::new(y, &b, right);

        // The squared cost splits into the distance of the means and the cost between centred
        // clouds. Centring makes clouds overlap, which is faster, and loses no digits to an offset.
        let (x_mean, y_mean) = match self.cost {
            GroundCost::SquaredEuclidean => (source.mean(), target.mean()),
            GroundCost::Euclidean => (source.origin(), source.origin()),
        };
        let masses = integer_masses(&source.weights, &target.weights);
        let (unit, dim) = (1.0 / masses.total as f64, x.ncols());
        let from = Cloud { dim, points: source.centred(&x_mean), mass: masses.source };
        let to = Cloud { dim, points: target.centred(&y_mean), mass: masses.target };
        let optimum = if dim == 1 {
            line::solve(self.cost, &from, &to)
        } else {
            cloud::solve(self.cost, &from, &to)?
        };

        let delta: Vec<f64> = x_mean.iter().zip(&y_mean).map(|(p, q)| p - q).collect();
        let offset: f64 = delta.iter().map(|d| d * d).sum();
        let moved: f64 = optimum
            .flows
            .iter()
            .map(|&(i, j, flow)| {
                flow as f64 * self.cost.between(from.point(i as usize), to.point(j as usize))
            })
            .sum();
        let dual =
            dot(&source.weights, &optimum.u) / left + dot(&target.weights, &optimum.v) / right;
        let plan = self.keep_plan.then(|| {
            let real = |&(i, j, flow): &(u32, u32, i64)| {
                (source.rows[i as usize], target.rows[j as usize], flow as f64 * unit)
            };
            TransportPlan::new([x.nrows(), y.nrows()], optimum.flows.iter().map(real).collect())
        });
        let (source_potential, target_potential) =
            self.potentials(&optimum, (x, &source, &x_mean, &from), (y, &target, &y_mean, &to));
        Ok(Transport {
            cost: self.cost,
            primal: moved * unit + offset,
            dual: dual + offset,
            source_potential,
            target_potential,
            plan,
        })
    }

    /// Potentials of all points, those without mass included, in the original coordinates.
    fn potentials(
        &self,
        optimum: &Optimum,
        (x, source, x_mean, from): (ArrayView2<f64>, &Side, &[f64], &Cloud),
        (y, target, y_mean, to): (ArrayView2<f64>, &Side, &[f64], &Cloud),
    ) -> (Array1<f64>, Array1<f64>) {
        let mut u = Array1::from_elem(x.nrows(), f64::NAN);
        let mut v = Array1::from_elem(y.nrows(), f64::NAN);
        source.rows.iter().zip(&optimum.u).for_each(|(&row, &value)| u[row] = value);
        target.rows.iter().zip(&optimum.v).for_each(|(&row, &value)| v[row] = value);
        // A point without mass takes the largest feasible value, its c-transform: first the
        // sources against the targets with mass, then the targets against all sources.
        if source.rows.len() < x.nrows() {
            let mut tree = KdTree::new(self.cost, &to.points, to.dim);
            tree.set_potentials(|j| optimum.v[j]);
            fill_gaps(&tree, x, x_mean, &mut u);
        }
        if target.rows.len() < y.nrows() {
            let all = Side::every(x).centred(x_mean);
            let mut tree = KdTree::new(self.cost, &all, from.dim);
            tree.set_potentials(|i| u[i]);
            fill_gaps(&tree, y, y_mean, &mut v);
        }
        if self.cost == GroundCost::SquaredEuclidean {
            // |x - y|^2 = |x' - y'|^2 + 2 d.(x' - y') + |d|^2 for centred x', y' and d the
            // difference of the means.
            let slope = |row: ArrayView1<f64>, mean: &[f64]| -> f64 {
                let terms = row.iter().zip(mean).zip(x_mean.iter().zip(y_mean));
                terms.map(|((value, centre), (p, q))| 2.0 * (p - q) * (value - centre)).sum()
            };
            let offset: f64 = x_mean.iter().zip(y_mean).map(|(p, q)| (p - q) * (p - q)).sum();
            for (value, row) in u.iter_mut().zip(x.rows()) {
                *value += slope(row, x_mean) + offset;
            }
            for (value, row) in v.iter_mut().zip(y.rows()) {
                *value -= slope(row, y_mean);
            }
        }
        (u, v)
    }
}

fn fill_gaps(tree: &KdTree, points: ArrayView2<f64>, mean: &[f64], values: &mut Array1<f64>) {
    let mut found = Vec::new();
    for (value, row) in values.iter_mut().zip(points.rows()) {
        if value.is_nan() {
            let centred: Vec<f64> = row.iter().zip(mean).map(|(p, q)| p - q).collect();
            tree.best(&centred, 1, f64::INFINITY, &mut found);
            *value = found.first().map_or(0.0, |offer| offer.reduced);
        }
    }
}

fn dot(weights: &[f64], values: &[f64]) -> f64 {
    weights.iter().zip(values).map(|(p, q)| p * q).sum()
}

/// The points of a cloud that carry mass.
struct Side<'a> {
    cloud: ArrayView2<'a, f64>,
    rows: Vec<usize>,
    weights: Vec<f64>,
    total: f64,
}

impl<'a> Side<'a> {
    /// In an order in which neighbours in memory are neighbours in space: the pivots walk from
    /// node to node, and this keeps them within the cache.
    fn new(cloud: ArrayView2<'a, f64>, weights: &[f64], total: f64) -> Self {
        let positive: Vec<usize> = (0..cloud.nrows()).filter(|&row| weights[row] > 0.0).collect();
        let points: Vec<f64> =
            positive.iter().flat_map(|&row| cloud.row(row).into_iter().copied()).collect();
        let tree = KdTree::new(GroundCost::SquaredEuclidean, &points, cloud.ncols());
        let rows: Vec<usize> = tree.into_order().iter().map(|&i| positive[i as usize]).collect();
        let weights = rows.iter().map(|&row| weights[row]).collect();
        Self { cloud, rows, weights, total }
    }

    /// All points, without regard to mass.
    fn every(cloud: ArrayView2<'a, f64>) -> Self {
        Self { cloud, rows: (0..cloud.nrows()).collect(), weights: Vec::new(), total: 0.0 }
    }

    fn origin(&self) -> Vec<f64> {
        self.cloud.row(self.rows[0]).to_vec()
    }

    fn mean(&self) -> Vec<f64> {
        // About a point of the cloud, so that a large offset costs no digits.
        let origin = self.origin();
        let moment = |k: usize| -> f64 {
            let terms = self.rows.iter().zip(&self.weights);
            terms.map(|(&row, w)| w * (self.cloud[[row, k]] - origin[k])).sum()
        };
        (0..self.cloud.ncols()).map(|k| origin[k] + moment(k) / self.total).collect()
    }

    fn centred(&self, mean: &[f64]) -> Vec<f64> {
        let rows = self.rows.iter().map(|&row| self.cloud.row(row));
        rows.flat_map(|row| row.into_iter().zip(mean).map(|(p, q)| p - q).collect::<Vec<_>>())
            .collect()
    }
}
