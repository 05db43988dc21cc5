//! Entropic transport between two clouds: annealing, Sinkhorn's iteration, Newton's method.

use ndarray::{ArrayView1, ArrayView2, Axis};

use super::newton::Factors;
use super::plan::{Side, log_ratios, soft_minimum, transport_cost};
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

    fn give_up(&self, iterations: usize, marginal_error: f64) -> Error {
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

/// Potentials whose column marginals are exact.
struct State {
    f: Vec<f64>,
    g: Vec<f64>,
    /// Logarithm of what each row sums to, over what it should.
    log_ratios: Vec<f64>,
    error: f64,
    dual: f64,
}

impl State {
    /// Completes f by the best g; `guess` only has to be near enough not to overflow.
    fn new((x, f): (&Side, Vec<f64>), (y, guess): (&Side, &[f64]), epsilon: f64) -> Self {
        let off = log_ratios((&y.points, guess), (x, &f), epsilon);
        let g: Vec<f64> = guess.iter().zip(&off).map(|(g, off)| g - epsilon * off).collect();
        let log_ratios = log_ratios((&x.points, &f), (y, &g), epsilon);
        let error = marginal_error(&log_ratios, &x.mass);
        let dual = weighted_sum(&f, &x.mass) + weighted_sum(&g, &y.mass);
        Self { f, g, log_ratios, error, dual }
    }

    /// f after one step of Sinkhorn's iteration.
    fn corrected(&self, epsilon: f64) -> Vec<f64> {
        self.f.iter().zip(&self.log_ratios).map(|(f, off)| f - epsilon * off).collect()
    }
}

fn weighted_sum(values: &[f64], mass: &[f64]) -> f64 {
    values.iter().zip(mass).map(|(value, mass)| value * mass).sum()
}

fn marginal_error(log_ratios: &[f64], mass: &[f64]) -> f64 {
    log_ratios.iter().zip(mass).map(|(off, mass)| off.exp_m1().abs() * mass).sum()
}

/// Squared diagonal of the box around both sides, where annealing starts.
fn span(x: &Side, y: &Side) -> f64 {
    let axis = |k: usize| {
        let of = |side: &Side| -> (f64, f64) {
            let values = (0..side.len()).map(|i| side.points.row(i)[k]);
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
        };
        let ((a, b), (c, d)) = (of(x), of(y));
        b.max(d) - a.min(c)
    };
    (0..x.points.dim()).map(|k| axis(k) * axis(k)).sum()
}

/// Gives up where the error has not fallen by a tenth for this many steps: it has met rounding.
const PATIENCE: usize = 100;
/// Marginals are brought to this before epsilon is halved: near enough for Newton's method to start
/// the next level where it converges.
const LEVEL: f64 = 1e-2;

/// The optimal potentials between two sides, and the iterations they took.
fn solve(x: &Side, y: &Side, options: &Sinkhorn) -> Result<(State, usize)> {
    let mut iterations = 0;
    let (mut f, mut g) = (vec![0.0; x.len()], vec![0.0; y.len()]);
    let mut epsilon = span(x, y).max(options.epsilon);
    while epsilon > options.epsilon {
        let tolerance = LEVEL.max(options.tolerance);
        let level = Sinkhorn { epsilon, tolerance, ..*options };
        let state = settle(x, y, (f, g), &level, &mut iterations)?;
        (f, g) = (state.corrected(epsilon), state.g);
        epsilon = (0.5 * epsilon).max(options.epsilon);
    }
    let state = settle(x, y, (f, g), options, &mut iterations)?;
    Ok((state, iterations))
}

/// Potentials to the tolerance of the options, from those given.
fn settle(
    x: &Side,
    y: &Side,
    (f, g): (Vec<f64>, Vec<f64>),
    options: &Sinkhorn,
    iterations: &mut usize,
) -> Result<State> {
    let epsilon = options.epsilon;
    let mut state = State::new((x, f), (y, &g), epsilon);
    *iterations += 1;
    let (mut best, mut since) = (state.error, 0);
    // Steps of Sinkhorn's iteration to take before Newton's method is tried (again).
    let mut plain = 2;
    while !(state.error <= options.tolerance) {
        if *iterations >= options.max_iterations || since >= PATIENCE {
            return Err(options.give_up(*iterations, best));
        }
        let newton = if plain == 0 { ascend(x, y, &state, options, iterations) } else { None };
        let next = newton.unwrap_or_else(|| {
            plain = if plain == 0 { 5 } else { plain };
            *iterations += 1;
            let next = State::new((x, state.corrected(epsilon)), (y, &state.g), epsilon);
            // While every step gains a digit or so there is no reason for more.
            if next.error > 0.3 * state.error {
                plain -= 1;
            }
            next
        });
        state = next;
        since += 1;
        if state.error < 0.9 * best {
            (best, since) = (state.error, 0);
        }
    }
    Ok(state)
}

/// One Newton step with a line search; `None` where no step along it improves anything.
fn ascend(
    x: &Side,
    y: &Side,
    state: &State,
    options: &Sinkhorn,
    iterations: &mut usize,
) -> Option<State> {
    let epsilon = options.epsilon;
    let ratios: Vec<f64> = state.log_ratios.iter().map(|off| off.exp()).collect();
    if ratios.iter().any(|r| !(1e-100..1e100).contains(r)) {
        return None;
    }
    let factors = Factors::new((x, &state.f), (y, &state.g), epsilon);
    // Solving more exactly than the quadratic model holds would be waste.
    let (delta, steps) = factors.direction(state.error.sqrt().clamp(1e-6, 0.1));
    *iterations += steps;
    let rise: f64 = (0..delta.len()).map(|i| x.mass[i] * (1.0 - ratios[i]) * delta[i]).sum();
    let mut step = 1.0;
    for _ in 0..8 {
        let f: Vec<f64> = state.f.iter().zip(&delta).map(|(f, d)| f + step * d).collect();
        let next = State::new((x, f), (y, &state.g), epsilon);
        *iterations += 1;
        let gained = next.dual - state.dual;
        // Near the optimum the dual no longer resolves what is gained, the marginals do.
        let resolved = rise * step > 1e-12 * state.dual.abs();
        if next.error <= (1.0 - 0.5 * step) * state.error
            || (resolved && gained >= 1e-2 * step * rise)
        {
            return Some(next);
        }
        step *= 0.5;
    }
    None
}

/// Transport of a side to itself: one potential, by the averaged iteration $f \leftarrow (f + T f) /
/// 2$, whose error halves at every step since the Gibbs kernel is positive.
fn solve_symmetric(x: &Side, options: &Sinkhorn) -> Result<EntropicTransport> {
    let epsilon = options.epsilon;
    let mut f = vec![0.0; x.len()];
    let (mut best, mut since) = (f64::INFINITY, 0);
    for iterations in 1.. {
        let off = log_ratios((&x.points, &f), (x, &f), epsilon);
        let error = marginal_error(&off, &x.mass);
        if error <= options.tolerance {
            let value = 2.0 * weighted_sum(&f, &x.mass);
            return Ok(EntropicTransport {
                // The plan's mass is one up to its marginal error; the dual takes that off.
                value: value - epsilon * weighted_sum(&expm1(&off), &x.mass),
                transport_cost: f64::NAN,
                marginal_error: error,
                iterations,
                f,
                g: Vec::new(),
            });
        }
        since += 1;
        if error < 0.9 * best {
            (best, since) = (error, 0);
        }
        if iterations >= options.max_iterations || since >= PATIENCE {
            return Err(options.give_up(iterations, best));
        }
        f.iter_mut().zip(&off).for_each(|(f, off)| *f -= 0.5 * epsilon * off);
    }
    Err(options.give_up(options.max_iterations, best))
}

fn expm1(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.exp_m1()).collect()
}
