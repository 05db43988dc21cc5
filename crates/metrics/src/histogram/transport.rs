//! Exact transport between histograms: arguments and results.

use ndarray::{Array2, ArrayView1, ArrayView2};
use sde_core::counts::in_memory;

use super::grid::{self, GridOptimum, GridProblem};
use crate::error::{Error, Result};
use crate::input::{check_balance, check_weights};
use crate::transport::{
    Fixed, Mass, Number, Ruler, SpanningTree, check_coordinates, check_range, integer_masses,
    proves, to_one,
};

/// An exact Wasserstein-2 distance between two histograms, with its dual certificate.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GridTransport {
    /// $W_2^2$, the cost of the flow that was found.
    pub squared: f64,
    /// Value of the feasible potentials below: no plan costs less.
    pub dual: f64,
    /// Total mass of either histogram as given. Both are normalised to one for all else here; where
    /// they differ, within the 1e-6 that is put down to rounding, each by its own total.
    pub mass: [f64; 2],
    /// Potentials of the first histogram: $u_s + v_t \le c_{st}$ for every pair of nodes.
    pub source_potential: Array2<f64>,
    /// Potentials of the second histogram.
    pub target_potential: Array2<f64>,
}

impl GridTransport {
    /// $W_2$.
    #[must_use]
    pub fn distance(&self) -> f64 {
        self.squared.sqrt()
    }

    /// Primal minus dual: `squared` is at most this much above the optimum.
    #[must_use]
    pub fn gap(&self) -> f64 {
        self.squared - self.dual
    }
}

/// Exact $W_2^2$ between two mass distributions on the same rectangular grid.
///
/// $$W_2^2 = \min_\pi \sum_{st} \pi_{st} \left[(x_{c(s)} - x_{c(t)})^2 + (y_{r(s)} -
/// y_{r(t)})^2\right]$$
///
/// The cost separates by axis, so the flow may turn at a corner: rows x columns x (rows + columns)
/// arcs instead of (rows x columns)^2. The network simplex method on that graph is exact, and the
/// potentials prove it.
///
/// Masses need not sum to one, but must agree (1e-6 relative, what single precision leaves); both are then normalised, and
/// [`GridTransport::mass`] says what they were.
///
/// # Shapes
/// `a, b: [rows, columns]`; `xs: [columns]` positions of the columns, `ys: [rows]` of the rows,
/// any spacing, any order.
///
/// # Errors
/// Shapes that disagree, masses that are negative or not finite, [`Error::UnequalMass`],
/// positions that are not finite or beyond 1e300, squared distances that no double holds.
///
/// # Reference
/// G. Auricchio, F. Bassetti, S. Gualandi, M. Veneroni, *Computing Kantorovich-Wasserstein
/// distances on d-dimensional histograms using (d+1)-partite graphs*, NeurIPS 2018,
/// arXiv:1805.07416.
///
/// ```
/// use ndarray::array;
/// let a = array![[1.0, 0.0], [0.0, 0.0]];
/// let b = array![[0.0, 0.5], [0.0, 0.5]];
/// let nodes = array![0.0, 3.0];
/// let transport = metrics::histogram_w2(a.view(), b.view(), nodes.view(), nodes.view())?;
/// assert_eq!(transport.squared, 0.5 * 9.0 + 0.5 * 18.0);
/// assert_eq!(transport.gap(), 0.0);
/// # Ok::<(), metrics::Error>(())
/// ```
pub fn histogram_w2(
    a: ArrayView2<f64>,
    b: ArrayView2<f64>,
    xs: ArrayView1<f64>,
    ys: ArrayView1<f64>,
) -> Result<GridTransport> {
    let shape = [ys.len(), xs.len()];
    let mass = check(a, b, xs, ys)?;
    let (source, target, total) = whole_masses(a, b);
    let widest = width(xs).max(width(ys));
    let scale = to_one(widest);
    let stretched =
        |nodes: ArrayView1<f64>| nodes.iter().map(|x| (x - nodes[0]) * scale).collect::<Vec<_>>();
    let share = |mass: Mass| mass as f64 / total as f64;
    let problem = GridProblem {
        across: &stretched(xs),
        down: &stretched(ys),
        source: &source,
        target: &target,
    };
    let (optimum, basis) = grid::solve(&problem);
    let moved = optimum.legs.iter().map(|&(flow, cost, _)| flow as f64 * cost).sum::<f64>();
    let value = |value: &dyn Fn(f64) -> f64| -> f64 {
        let of = |masses: &[Mass], potential: &[f64]| -> f64 {
            masses.iter().zip(potential).map(|(&mass, &p)| share(mass) * value(p)).sum()
        };
        of(&source, &optimum.u) + of(&target, &optimum.v)
    };
    let (primal, dual) = (moved / total as f64, value(&|p| p));
    // Squares of short legs may be no numbers.
    let proven = proves(dual, value(&f64::abs), primal) && (primal > 0.0 || source == target);
    // One after the other: the square of the scale may not be a number.
    let unstretched = |value: f64| value / scale / scale;
    let answer = if proven {
        Answer { primal, dual, moves: moved > 0.0, u: optimum.u, v: optimum.v }.each(unstretched)
    } else {
        let given = GridProblem { across: &xs.to_vec(), down: &ys.to_vec(), ..problem };
        let ruler = grid::ruler(given.across, given.down);
        match ruler.words() {
            ..=4 => exactly::<4>(&given, &ruler, basis, share),
            5..=8 => exactly::<8>(&given, &ruler, basis, share),
            9..=24 => exactly::<24>(&given, &ruler, basis, share),
            _ => exactly::<72>(&given, &ruler, basis, share),
        }
    };
    let table = |values: &[f64]| Array2::from_shape_fn(shape, |(r, c)| values[r * shape[1] + c]);
    let found = GridTransport {
        squared: answer.primal,
        dual: answer.dual,
        mass,
        source_potential: table(&answer.u),
        target_potential: table(&answer.v),
    };
    let potentials = found.source_potential.iter().chain(&found.target_potential);
    check_range(answer.moves, found.squared, potentials, widest)?;
    Ok(found)
}

/// The masses of both sides, of histograms on the grid that can be compared.
fn check(
    a: ArrayView2<f64>,
    b: ArrayView2<f64>,
    xs: ArrayView1<f64>,
    ys: ArrayView1<f64>,
) -> Result<[f64; 2]> {
    let shape = [ys.len(), xs.len()];
    for (what, side) in [("first histogram", a), ("second histogram", b)] {
        if side.shape() != shape {
            let (expected, found) = (shape.to_vec(), side.shape().to_vec());
            return Err(Error::ShapeMismatch { what, expected, found });
        }
    }
    for (what, nodes) in [("column positions", xs), ("row positions", ys)] {
        if let Some((row, &value)) = nodes.iter().enumerate().find(|(_, x)| !x.is_finite()) {
            return Err(Error::NonFinite { what, row, column: 0, value });
        }
    }
    check_coordinates(xs.iter().chain(&ys))?;
    // Three nodes of the spanning tree a cell, masses and potentials of both sides.
    in_memory(&[("rows", ys.len() as u64), ("columns", xs.len() as u64)], 400)
        .map_err(Error::Excess)?;
    let left = check_weights("first histogram", a.iter())?;
    let right = check_weights("second histogram", b.iter())?;
    check_balance(left, right)?;
    Ok([left, right])
}

/// Both sides in whole numbers, and their common total. Only what has mass is rounded; a node without stays at zero.
fn whole_masses(a: ArrayView2<f64>, b: ArrayView2<f64>) -> (Vec<Mass>, Vec<Mass>, Mass) {
    let present = |side: ArrayView2<f64>| -> Vec<f64> {
        side.iter().copied().filter(|&mass| mass > 0.0).collect()
    };
    let masses = integer_masses(&present(a), &present(b));
    let spread = |side: ArrayView2<f64>, masses: Vec<Mass>| -> Vec<Mass> {
        let mut masses = masses.into_iter();
        let mass = |&w: &f64| if w > 0.0 { masses.next().unwrap_or(0) } else { 0 };
        side.iter().map(mass).collect()
    };
    (spread(a, masses.source), spread(b, masses.target), masses.total)
}

/// The length of the interval that nodes span.
fn width(nodes: ArrayView1<f64>) -> f64 {
    let ends = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = nodes.iter().fold(ends, |(low, high), &x| (low.min(x), high.max(x)));
    high - low
}

/// Values and potentials in the units of the caller.
struct Answer {
    primal: f64,
    dual: f64,
    /// Whether anything is moved.
    moves: bool,
    u: Vec<f64>,
    v: Vec<f64>,
}

impl Answer {
    fn each(self, map: impl Fn(f64) -> f64) -> Self {
        let all = |values: Vec<f64>| values.into_iter().map(&map).collect();
        let (primal, dual) = (map(self.primal), map(self.dual));
        Self { primal, dual, u: all(self.u), v: all(self.v), ..self }
    }
}

/// The answer in exact numbers, rounded one by one; the dual value is summed along the moves, whose margins
/// are the masses.
fn exactly<const W: usize>(
    problem: &GridProblem,
    ruler: &Ruler,
    basis: SpanningTree,
    share: impl Fn(Mass) -> f64,
) -> Answer {
    let GridOptimum { legs, u, v } = grid::refine::<W>(problem, ruler, basis);
    // A length that brings the longest leg to about one: costs in use are numbers then.
    let longest = legs.iter().map(|leg| leg.1).fold(Fixed::ZERO, Fixed::max);
    let unit = to_one(ruler.stretched(longest, 1.0).sqrt());
    let sum = |of: &dyn Fn(&(Mass, Fixed<W>, Fixed<W>)) -> Fixed<W>| -> f64 {
        let term = |leg: &(Mass, Fixed<W>, Fixed<W>)| share(leg.0) * ruler.stretched(of(leg), unit);
        legs.iter().map(term).sum::<f64>() / unit / unit
    };
    let rounded = |values: Vec<Fixed<W>>| {
        values.into_iter().map(|value| ruler.stretched(value, 1.0)).collect()
    };
    let moves = longest > Fixed::ZERO;
    let (primal, dual) = (sum(&|leg| leg.1), sum(&|leg| leg.2));
    Answer { primal, dual, moves, u: rounded(u), v: rounded(v) }
}
