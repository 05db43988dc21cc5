//! Entropic transport between two clouds.

use ndarray::{ArrayView1, ArrayView2};

use super::options::{EntropicTransport, Sinkhorn};
use super::plan::{Side, soft_minimum, transport_cost};
use super::solve::{solve, solve_symmetric};
use crate::error::Result;
use crate::input::{FIRST, SECOND, check_balance, check_pair, cloud_weights};
use crate::transport::{check_coordinates, check_range, to_one};

/// Entropic optimal transport under the squared Euclidean cost.
///
/// $$\mathrm{OT}_\varepsilon(a, b) = \min_{P} \sum_{ij} P_{ij} \lVert x_i - y_j \rVert^2 + \varepsilon
/// \sum_{ij} P_{ij} \log \frac{P_{ij}}{a_i b_j}$$
///
/// The cost is the squared distance, without a half. In the log domain, epsilon annealed from the
/// squared diameter of the clouds; where Sinkhorn's iteration is slow, Newton's method by conjugate
/// gradients takes over. Pairs are recomputed when needed: memory is O(N + M), and 32 MiB at most
/// for what Newton keeps. Weights are shares of a common total, and the value is per unit of mass.
///
/// Where epsilon is so small that points fall into groups that all but ignore each other (a thousandth
/// of the typical cost), marginals converge slowly below 1e-8, long after the value has. What was reached
/// is said, not refused: the value is that of feasible potentials of the dual at any time. Points without
/// mass take part in nothing but have their potential. Results do not depend on the number of threads.
///
/// # Shapes
/// `x: [N, D]`, `a: [N]`, `y: [M, D]`, `b: [M]`; `None` weights are uniform.
///
/// # Errors
/// Empty clouds, shapes that disagree, values that are not finite, negative weights or unequal
/// masses, an epsilon or tolerance that is not positive, no iterations, coordinates beyond 1e300 and
/// squared distances that no double holds.
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
    pair.between()
}

/// Both clouds, checked and brought to about one by a power of two.
pub(super) struct Pair<'a> {
    x: (ArrayView2<'a, f64>, Side, Vec<usize>),
    y: (ArrayView2<'a, f64>, Side, Vec<usize>),
    /// The options, in the units of the stretched clouds.
    options: Sinkhorn,
    stretch: f64,
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
        check_coordinates(x.iter().chain(y))?;
        let stretch = to_one(widest(x, y));
        // Beyond these a larger or smaller one changes nothing.
        let epsilon = (options.epsilon * stretch * stretch).clamp(1e-300, 1e300);
        let (from, x_rows) = Side::new(x, &a, left, stretch);
        let (to, y_rows) = Side::new(y, &b, right, stretch);
        let options = Sinkhorn { epsilon, ..*options };
        Ok(Self { x: (x, from, x_rows), y: (y, to, y_rows), options, stretch })
    }

    /// Transport from the first cloud to the second.
    pub(super) fn between(&self) -> Result<EntropicTransport> {
        let (x, y, epsilon) = (&self.x.1, &self.y.1, self.options.epsilon);
        let (state, iterations) = solve(x, y, &self.options);
        let (f, g) = (&state.f, &state.g);
        self.unstretched(EntropicTransport {
            value: state.dual,
            transport_cost: transport_cost((x, f), (y, g), epsilon),
            marginal_error: state.error,
            converged: state.is_settled(self.options.tolerance),
            iterations,
            f: self.extended(&self.x, f, (y, g)),
            g: self.extended(&self.y, g, (x, f)),
        })
    }

    /// Transport of each cloud to itself.
    pub(super) fn within(&self) -> Result<[EntropicTransport; 2]> {
        let own = |side: &(ArrayView2<f64>, Side, Vec<usize>)| {
            let plan = solve_symmetric(&side.1, &self.options);
            let f = self.extended(side, &plan.f, (&side.1, &plan.f));
            let (from, to) = ((&side.1, &plan.f[..]), (&side.1, &plan.f[..]));
            let transport_cost = transport_cost(from, to, self.options.epsilon);
            self.unstretched(EntropicTransport { transport_cost, g: f.clone(), f, ..plan })
        };
        Ok([own(&self.x)?, own(&self.y)?])
    }

    /// In the units of the caller.
    fn unstretched(&self, mut found: EntropicTransport) -> Result<EntropicTransport> {
        let moves = found.value != 0.0;
        let EntropicTransport { value, transport_cost, f, g, .. } = &mut found;
        for value in [value, transport_cost].into_iter().chain(f).chain(g) {
            // One after the other: the square of the stretch may not be a number.
            *value = *value / self.stretch / self.stretch;
        }
        let potentials = found.f.iter().chain(&found.g);
        check_range(moves, found.value.abs(), potentials, self.stretch.recip())?;
        Ok(found)
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
    ) -> Vec<f64> {
        let mut all = vec![None; cloud.nrows()];
        rows.iter().zip(potential).for_each(|(&i, &value)| all[i] = Some(value));
        let at = |row: ArrayView1<f64>| {
            soft_minimum(&(&row * self.stretch).to_vec(), to, g, self.options.epsilon)
        };
        let rows = all.into_iter().zip(cloud.rows());
        rows.map(|(value, row)| value.unwrap_or_else(|| at(row))).collect()
    }
}

/// The longest side of the box around both clouds.
fn widest(x: ArrayView2<f64>, y: ArrayView2<f64>) -> f64 {
    let side = |column: usize| {
        let values = || x.column(column).into_iter().chain(y.column(column)).copied();
        let low = values().fold(f64::INFINITY, f64::min);
        values().fold(f64::NEG_INFINITY, f64::max) - low
    };
    (0..x.ncols()).map(side).fold(0.0, f64::max)
}
