//! The public face of exact transport between histograms.

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::grid::{self, GridProblem};
use crate::error::{Error, Result};
use crate::input::{check_balance, check_weights};
use crate::transport::{Mass, check_coordinates, check_range, integer_masses, to_one};

/// An exact Wasserstein-2 distance between two histograms, with its dual certificate.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GridTransport {
    /// $W_2^2$, the cost of the flow that was found.
    pub squared: f64,
    /// Value of the feasible potentials below: no plan costs less.
    pub dual: f64,
    /// Total mass of either histogram as given. Both are normalised to one for all else here; where
    /// they differ, within the 1e-9 that is put down to rounding, each by its own total.
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
/// Masses need not sum to one, but must agree (1e-9 relative); both are then normalised, and
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
    let left = check_weights("first histogram", a.iter())?;
    let right = check_weights("second histogram", b.iter())?;
    check_balance(left, right)?;

    // Only what has mass is rounded; a node without stays at zero.
    let present = |side: ArrayView2<f64>| -> Vec<f64> {
        side.iter().copied().filter(|&mass| mass > 0.0).collect()
    };
    let masses = integer_masses(&present(a), &present(b));
    let spread = |side: ArrayView2<f64>, masses: Vec<Mass>| -> Vec<Mass> {
        let mut masses = masses.into_iter();
        let mass = |&w: &f64| if w > 0.0 { masses.next().unwrap_or(0) } else { 0 };
        side.iter().map(mass).collect()
    };
    let width = |nodes: ArrayView1<f64>| {
        let (low, high) = nodes
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
        high - low
    };
    let widest = width(xs).max(width(ys));
    let scale = to_one(widest);
    let stretched =
        |nodes: ArrayView1<f64>| nodes.iter().map(|x| (x - nodes[0]) * scale).collect::<Vec<_>>();
    let (source, target) = (spread(a, masses.source), spread(b, masses.target));
    let problem = GridProblem {
        across: &stretched(xs),
        down: &stretched(ys),
        source: &source,
        target: &target,
    };
    let optimum = grid::solve(&problem);
    let share = |mass: Mass| mass as f64 / masses.total as f64;
    let value = |masses: &[Mass], potential: &[f64]| -> f64 {
        masses.iter().zip(potential).map(|(&mass, p)| share(mass) * p).sum()
    };
    // One after the other: the square of the scale may not be a number.
    let unstretched = |value: f64| value / scale / scale;
    let table = |values: &[f64]| {
        Array2::from_shape_fn(shape, |(r, c)| unstretched(values[r * shape[1] + c]))
    };
    let found = GridTransport {
        squared: unstretched(optimum.primal / masses.total as f64),
        dual: unstretched(value(&source, &optimum.u) + value(&target, &optimum.v)),
        mass: [left, right],
        source_potential: table(&optimum.u),
        target_potential: table(&optimum.v),
    };
    let potentials = found.source_potential.iter().chain(&found.target_potential);
    check_range(optimum.primal > 0.0, found.squared, potentials, widest)?;
    Ok(found)
}
