//! Entropic transport between two clouds: what is asked and what comes back.

use ndarray::{ArrayView1, ArrayView2, Axis};

use super::plan::{Side, soft_minimum, transport_cost};
use super::solve::{solve, solve_symmetric};
use crate::error::{Error, Result};
use crate::input::{FIRST, SECOND, check_balance, check_pair, cloud_weights};

/// How entropic transport is solved: the regularisation, and when to stop.
///
/// ```
/// use metrics::Sinkhorn;
/// let options = Sinkhorn { tolerance: 1e-12, ..Sinkhorn::new(0.5) };
/// assert_eq!(options.epsilon, 0.5);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sinkhorn {
    /// The regularisation, in the units of the squared distance.
    pub epsilon: f64,
    /// Stop when the L1 error of the marginals, of a total mass of one, is at most this.
    pub tolerance: f64,
    /// Give up after this many iterations, each two passes over all pairs (a step of conjugate
    /// gradients counts as one).
    pub max_iterations: usize,
}

impl Sinkhorn {
    /// The given regularisation, marginals to 1e-10, at most 20 000 iterations.
    #[must_use]
    pub fn new(epsilon: f64) -> Self {
        Self { epsilon, tolerance: 1e-10, max_iterations: 20_000 }
    }

    pub(super) fn check(&self) -> Result<()> {
        for (name, value) in [("epsilon", self.epsilon), ("tolerance", self.tolerance)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::InvalidParameter {
                    name,
                    expected: "positive and finite",
                    value,
                });
            }
        }
        Ok(())
    }

    pub(super) fn give_up(&self, iterations: usize, marginal_error: f64) -> Error {
        let Self { epsilon, tolerance, .. } = *self;
        Error::MarginalsNotMet { iterations, epsilon, marginal_error, tolerance }
    }
}

/// An entropic transport plan, by its potentials.
///
/// $$P_{ij} = a_i b_j \exp\left((f_i + g_j - \lVert x_i - y_j \rVert^2) / \varepsilon\right)$$
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EntropicTransport {
    /// $\mathrm{OT}_\varepsilon = \langle P, C \rangle + \varepsilon\, \mathrm{KL}(P \Vert a \otimes
    /// b)$, from the dual: a lower bound that is exact where the marginals are.
    pub value: f64,
    /// $\langle P, C \rangle$, without the entropy.
    pub transport_cost: f64,
    /// L1 error of the marginals reached.
    pub marginal_error: f64,
    /// Iterations spent, each two passes over all pairs.
    pub iterations: usize,
    /// Potential at every row of the first cloud.
    pub f: Vec<f64>,
    /// Potential at every row of the second cloud.
    pub g: Vec<f64>,
}

/// Entropic optimal transport under the squared Euclidean cost.
///
/// $$\mathrm{OT}_\varepsilon(a, b) = \min_{P} \sum_{ij} P_{ij} \lVert x_i - y_j \rVert^2 + \varepsilon
/// \sum_{ij} P_{ij} \log \frac{P_{ij}}{a_i b_j}$$
///
/// The cost is the squared distance, without a half. In the log domain, epsilon annealed from the
/// squared diameter of the clouds; where Sinkhorn's iteration is slow, Newton's method by conjugate
/// gradients takes over. Pairs are recomputed when needed: memory is O(N + M), and 32 MiB at most
/// for what Newton keeps. Weights are shares of a common total, and the value is per unit of mass.
/// Where epsilon is so small that points fall into groups that all but ignore each other (a thousandth
/// of the typical cost), marginals converge slowly below 1e-8, long after the value has; ask for less
/// there. Points without mass take part in nothing but have their potential. Results do not depend on the
/// number of threads.
///
/// # Shapes
/// `x: [N, D]`, `a: [N]`, `y: [M, D]`, `b: [M]`; `None` weights are uniform.
///
/// # Errors
/// Empty clouds, shapes that disagree, values that are not finite, negative weights or unequal
/// masses, an epsilon or tolerance that is not positive; [`Error::MarginalsNotMet`] with the error
/// reached where the tolerance was not.
///
/// # Reference
/// M. Cuturi, *Sinkhorn distances*, 2013, arXiv:1306.0895; Newton's method on the dual as in C.
/// Brauer, C. Clason, D. Lorenz, B. Wirth, *A Sinkhorn-Newton method for entropic optimal transport*,
/// 2017, arXiv:1710.06635.
///
/// ```
/// use metrics::{Sinkhorn, entropic_transport};
/// use ndarray::array;
/// let (x, y) = (array![[0.0], [1.0]], array![[3.0]]);
/// // One point on a side leaves no choice.
/// let plan = entropic_transport(x.view(), None, y.view(), None, &Sinkhorn::new(0.1))?;
/// assert!((plan.value - 6.5).abs() < 1e-12 && (plan.transport_cost - 6.5).abs() < 1e-12);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn entropic_transport(
    x: ArrayView2<f64>,
    a: Option<ArrayView1<f64>>,
    y: ArrayView2<f64>,
    b: Option<ArrayView1<f64>>,
    options: &Sinkhorn,
) -> Result<EntropicTransport> {
    let pair = Pair::new(x, a, y, b, options)?;
    pair.between(options)
}

/// Both clouds, checked.
pub(super) struct Pair<'a> {
    x: (ArrayView2<'a, f64>, Side, Vec<usize>),
    y: (ArrayView2<'a, f64>, Side, Vec<usize>),
    centre: Vec<f64>,
}

impl<'a> Pair<'a> {
    pub(super) fn new(
        x: ArrayView2<'a, f64>,
        a: Option<ArrayView1<f64>>,
        y: ArrayView2<'a, f64>,
        b: Option<ArrayView1<f64>>,
        options: &Sinkhorn,
    ) -> Result<Self> {
        check_pair(x, y, 1)?;
        let (a, left) = cloud_weights(FIRST, x.nrows(), a)?;
        let (b, right) = cloud_weights(SECOND, y.nrows(), b)?;
        check_balance(left, right)?;
        options.check()?;
        let middle = |column: usize| {
            let values = || x.column(column).into_iter().chain(y.column(column));
            let low = values().copied().fold(f64::INFINITY, f64::min);
            let high = values().copied().fold(f64::NEG_INFINITY, f64::max);
            low / 2.0 + high / 2.0
        };
        let centre: Vec<f64> = (0..x.ncols()).map(middle).collect();
        let (from, x_rows) = Side::new(x, &a, left, &centre);
        let (to, y_rows) = Side::new(y, &b, right, &centre);
        Ok(Self { x: (x, from, x_rows), y: (y, to, y_rows), centre })
    }

    /// Transport from the first cloud to the second.
    pub(super) fn between(&self, options: &Sinkhorn) -> Result<EntropicTransport> {
        let (x, y, epsilon) = (&self.x.1, &self.y.1, options.epsilon);
        let (state, iterations) = solve(x, y, options)?;
        let (f, g) = (&state.f, &state.g);
        Ok(EntropicTransport {
            value: state.dual,
            transport_cost: transport_cost((x, f), (y, g), epsilon),
            marginal_error: state.error,
            iterations,
            f: self.extended(&self.x, f, (y, g), epsilon),
            g: self.extended(&self.y, g, (x, f), epsilon),
        })
    }

    /// Transport of each cloud to itself.
    pub(super) fn within(&self, options: &Sinkhorn) -> Result<[EntropicTransport; 2]> {
        let own = |side: &(ArrayView2<f64>, Side, Vec<usize>)| {
            let (plan, epsilon) = (solve_symmetric(&side.1, options)?, options.epsilon);
            let f = self.extended(side, &plan.f, (&side.1, &plan.f), epsilon);
            let cost = transport_cost((&side.1, &plan.f), (&side.1, &plan.f), epsilon);
            Ok(EntropicTransport { transport_cost: cost, g: f.clone(), f, ..plan })
        };
        Ok([own(&self.x)?, own(&self.y)?])
    }

    /// Shares of the mass, a row each, of the first and the second cloud.
    pub(super) fn shares(&self) -> [Vec<f64>; 2] {
        [&self.x, &self.y].map(|(cloud, side, rows)| {
            let mut all = vec![0.0; cloud.nrows()];
            rows.iter().zip(&side.mass).for_each(|(&i, &share)| all[i] = share);
            all
        })
    }

    /// A potential at all rows of a cloud, those without mass included.
    fn extended(
        &self,
        (cloud, _, rows): &(ArrayView2<f64>, Side, Vec<usize>),
        potential: &[f64],
        (to, g): (&Side, &[f64]),
        epsilon: f64,
    ) -> Vec<f64> {
        let mut all = vec![f64::NAN; cloud.nrows()];
        rows.iter().zip(potential).for_each(|(&i, &value)| all[i] = value);
        for (value, row) in all.iter_mut().zip(cloud.axis_iter(Axis(0))) {
            if value.is_nan() {
                let query: Vec<f64> = row.iter().zip(&self.centre).map(|(x, c)| x - c).collect();
                *value = soft_minimum(&query, to, g, epsilon);
            }
        }
        all
    }
}
