//! Exact transport between clouds: arguments and results.

use ndarray::{ArrayView1, ArrayView2};

use super::cost::GroundCost;
use super::frame::Frame;
use super::plan::Transport;
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
/// One dimension is solved by sorting. Otherwise a network simplex works on a few candidate arcs per
/// point, coarse clusters first; a k-d tree then looks, among all N x M arcs, for those that violate
/// the dual constraints, and they join the candidates until there are none. The cost matrix is
/// never stored. The answer carries its own proof: see [`Transport::gap`].
///
/// Where doubles do not prove the value to 1e-10 of itself (costs over many orders of magnitude, masses
/// too, clouds that are nearly the same), the method goes on in whole numbers: costs of the coordinates as
/// they are given, exact sums of them as potentials, no tolerance.
///
/// # Reference
/// W. H. Cunningham, *A network simplex method*, Mathematical Programming 11, 1976; B. Schmitzer, *A
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
    /// Weights need not sum to one, but must sum to the same on both sides (to 1e-6 relative, what
    /// single precision leaves); they are then normalised to one, and [`Transport::mass`] says what
    /// they were. Zero weights, repeated points and ties are fine. Weights are read as they are, in units of about 2^-123 N of the
    /// largest: with a million points one that is 20 orders of magnitude smaller keeps 11 digits. A
    /// positive weight below the unit counts as one unit.
    ///
    /// # Shapes
    /// `x: [N, D]`, `a: [N]`, `y: [M, D]`, `b: [M]`.
    ///
    /// # Errors
    /// Empty clouds, different dimensions, coordinates that are not finite, weights that are
    /// negative or not finite, [`crate::Error::UnequalMass`]. Coordinates beyond 1e300 and costs
    /// that no double holds (squares of distances beyond some 1e154 or below some 1e-154) are
    /// [`crate::Error::InvalidParameter`].
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
        let frame = Frame::new(self.cost, (x, &a), (y, &b))?;
        frame.transport([left, right], self.keep_plan)
    }
}
