//! The potentials: annealing, Sinkhorn's iteration, Newton's method.

use ndarray::ArrayView1;

use super::newton::Factors;
use super::options::{EntropicTransport, Sinkhorn};
use super::plan::{Side, log_ratios};
use crate::transport::{ExactTransport, GroundCost};

/// Potentials whose column marginals are exact.
pub(super) struct State {
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
    /// Logarithm of what each row sums to, over what it should.
    log_ratios: Vec<f64>,
    pub(super) error: f64,
    pub(super) dual: f64,
    /// The error that the rounding of potentials leaves.
    resolution: f64,
}

impl State {
    /// Completes f by the best g; `guess` only has to be near enough not to overflow.
    fn new((x, f): (&Side, Vec<f64>), (y, guess): (&Side, &[f64]), epsilon: f64) -> Self {
        let off = log_ratios((&y.points, guess), (x, &f), epsilon);
        let g: Vec<f64> = guess.iter().zip(&off).map(|(g, off)| g - epsilon * off).collect();
        let log_ratios = log_ratios((&x.points, &f), (y, &g), epsilon);
        let error = marginal_error(&log_ratios, &x.mass);
        let dual = weighted_sum(&f, &x.mass) + weighted_sum(&g, &y.mass);
        let resolution = resolution((&f, &x.mass), (&g, &y.mass), epsilon);
        Self { f, g, log_ratios, error, dual, resolution }
    }

    /// Whether the error is within a tolerance, or as small as doubles can tell.
    pub(super) fn is_settled(&self, tolerance: f64) -> bool {
        is_settled(self.error, self.resolution, tolerance)
    }

    /// f after one step of Sinkhorn's iteration.
    fn corrected(&self, epsilon: f64) -> Vec<f64> {
        self.f.iter().zip(&self.log_ratios).map(|(f, off)| f - epsilon * off).collect()
    }
}

fn weighted_sum(values: &[f64], mass: &[f64]) -> f64 {
    values.iter().zip(mass).map(|(value, mass)| value * mass).sum()
}

/// At most two, when all mass is out of place: where the factors are no numbers it may be anywhere.
fn marginal_error(log_ratios: &[f64], mass: &[f64]) -> f64 {
    let error: f64 = log_ratios.iter().zip(mass).map(|(off, mass)| off.exp_m1().abs() * mass).sum();
    error.min(2.0)
}

/// L1 error of the marginals that rounding leaves: potentials are exponents once they are divided by
/// epsilon.
fn resolution((f, a): (&[f64], &[f64]), (g, b): (&[f64], &[f64]), epsilon: f64) -> f64 {
    let size = |values: &[f64], mass: &[f64]| -> f64 {
        values.iter().zip(mass).map(|(value, mass)| value.abs() * mass).sum()
    };
    2.0 * f64::EPSILON * (size(f, a) + size(g, b)) / epsilon
}

/// What rounding leaves counts as none up to there: beyond it there is no plan to speak of.
const COARSE: f64 = 1e-3;

fn is_settled(error: f64, resolution: f64, tolerance: f64) -> bool {
    error <= tolerance.max(resolution.min(COARSE))
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
const PATIENCE: usize = 60;
/// Marginals are brought to this before epsilon is halved: near enough for Newton's method to start
/// the next level where it converges.
const LEVEL: f64 = 1e-2;

/// The optimal potentials between two sides, or what the iterations that are allowed give, and their
/// number.
pub(super) fn solve(x: &Side, y: &Side, options: &Sinkhorn) -> (State, usize) {
    let mut iterations = 0;
    let (mut f, mut g) = (vec![0.0; x.len()], vec![0.0; y.len()]);
    let mut epsilon = span(x, y).max(options.epsilon);
    while epsilon > options.epsilon {
        let tolerance = LEVEL.max(options.tolerance);
        let level = Sinkhorn { epsilon, tolerance, ..*options };
        let state = settle(x, y, (f, g), &level, &mut iterations);
        // Where doubles no longer resolve the plan there is nothing to follow.
        let resolved = state.resolution < COARSE;
        (f, g) = (state.corrected(epsilon), state.g);
        epsilon = if resolved { (0.5 * epsilon).max(options.epsilon) } else { options.epsilon };
    }
    let state = settle(x, y, (f, g), options, &mut iterations);
    if state.is_settled(options.tolerance) {
        return (state, iterations);
    }
    // The iterations ran out, perhaps long before the value was right. That of the potentials of exact
    // transport is, within epsilon times the entropy of its plan.
    let exact = exact_potential(x, y).map(|f| State::new((x, f), (y, &state.g), options.epsilon));
    (exact.filter(|exact| exact.dual > state.dual).unwrap_or(state), iterations)
}

fn exact_potential(x: &Side, y: &Side) -> Option<Vec<f64>> {
    let solver = ExactTransport::new(GroundCost::SquaredEuclidean);
    let (a, b) = (ArrayView1::from(&x.mass), ArrayView1::from(&y.mass));
    let found = solver.solve(x.points.view(), Some(a), y.points.view(), Some(b)).ok()?;
    Some(found.source_potential.to_vec())
}

/// Potentials to the tolerance of the options, from those given, or to where no more is gained.
fn settle(
    x: &Side,
    y: &Side,
    (f, g): (Vec<f64>, Vec<f64>),
    options: &Sinkhorn,
    iterations: &mut usize,
) -> State {
    let epsilon = options.epsilon;
    let mut state = State::new((x, f), (y, &g), epsilon);
    *iterations += 1;
    let (mut best, mut since) = (state.error, 0);
    // Steps of Sinkhorn's iteration to take before Newton's method is tried (again).
    let mut plain = 2;
    while !state.is_settled(options.tolerance)
        && *iterations < options.max_iterations
        && since < PATIENCE
    {
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
    state
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
pub(super) fn solve_symmetric(x: &Side, options: &Sinkhorn) -> EntropicTransport {
    let epsilon = options.epsilon;
    let mut f = vec![0.0; x.len()];
    let (mut best, mut since, mut iterations) = (f64::INFINITY, 0, 0);
    loop {
        iterations += 1;
        let off = log_ratios((&x.points, &f), (x, &f), epsilon);
        let marginal_error = marginal_error(&off, &x.mass);
        let resolution = resolution((&f, &x.mass), (&f, &x.mass), epsilon);
        let converged = is_settled(marginal_error, resolution, options.tolerance);
        since += 1;
        if marginal_error < 0.9 * best {
            (best, since) = (marginal_error, 0);
        }
        if converged || iterations >= options.max_iterations || since >= PATIENCE {
            let value = 2.0 * weighted_sum(&f, &x.mass);
            return EntropicTransport {
                // The plan's mass is one up to its marginal error; the dual takes that off.
                value: value - epsilon * weighted_sum(&expm1(&off), &x.mass),
                transport_cost: f64::NAN,
                marginal_error,
                converged,
                iterations,
                f,
                g: Vec::new(),
            };
        }
        f.iter_mut().zip(&off).for_each(|(f, off)| *f -= 0.5 * epsilon * off);
    }
}

fn expm1(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.exp_m1()).collect()
}
