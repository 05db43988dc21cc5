//! The potentials: annealing, Sinkhorn's iteration, Newton's method.

use super::newton::Factors;
use super::plan::{Side, log_ratios};
use super::transport::{EntropicTransport, Sinkhorn};
use crate::error::Result;

/// Potentials whose column marginals are exact.
pub(super) struct State {
    pub(super) f: Vec<f64>,
    pub(super) g: Vec<f64>,
    /// Logarithm of what each row sums to, over what it should.
    log_ratios: Vec<f64>,
    pub(super) error: f64,
    pub(super) dual: f64,
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
pub(super) fn solve(x: &Side, y: &Side, options: &Sinkhorn) -> Result<(State, usize)> {
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
    while state.error > options.tolerance || state.error.is_nan() {
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
pub(super) fn solve_symmetric(x: &Side, options: &Sinkhorn) -> Result<EntropicTransport> {
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
