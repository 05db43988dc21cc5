//! The public face of exact transport between histograms.

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::grid::{self, GridProblem};
use crate::error::{Error, Result};
use crate::input::{check_balance, check_weights};
use crate::transport::integer_masses;

/// An exact Wasserstein-2 distance between two histograms, with its dual certificate.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GridTransport {
    /// $W_2^2$, the cost of the flow that was found.
    pub squared: f64,
    /// Value of the feasible potentials below: no plan costs less.
    pub dual: f64,
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
/// Masses need not sum to one, but must agree (1e-9 relative); both are then normalised.
///
/// # Shapes
/// `a, b: [rows, columns]`; `xs: [columns]` positions of the columns, `ys: [rows]` of the rows,
/// any spacing, any order.
///
/// # Errors
/// Shapes that disagree, masses that are negative or not finite, [`Error::UnequalMass`],
/// positions that are not finite.
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
    let left = check_weights("first histogram", a.iter())?;
    let right = check_weights("second histogram", b.iter())?;
    check_balance(left, right)?;

    // Only what has mass is rounded; a node without stays at zero.
    let present = |side: ArrayView2<f64>| -> Vec<f64> {
        side.iter().copied().filter(|&mass| mass > 0.0).collect()
    };
    let masses = integer_masses(&present(a), &present(b));
    let spread = |side: ArrayView2<f64>, masses: Vec<i64>| -> Vec<i64> {
        let mut masses = masses.into_iter();
        let mass = |&w: &f64| if w > 0.0 { masses.next().unwrap_or(0) } else { 0 };
        side.iter().map(mass).collect()
    };
    let problem = GridProblem {
        across: &xs.to_vec(),
        down: &ys.to_vec(),
        source: &spread(a, masses.source),
        target: &spread(b, masses.target),
    };
    let optimum = grid::solve(&problem);
    let value = |side: ArrayView2<f64>, potential: &[f64], total: f64| -> f64 {
        side.iter().zip(potential).map(|(w, p)| w * p).sum::<f64>() / total
    };
    let dual = value(a, &optimum.u, left) + value(b, &optimum.v, right);
    let table = |values: Vec<f64>| Array2::from_shape_fn(shape, |(r, c)| values[r * shape[1] + c]);
    Ok(GridTransport {
        squared: optimum.primal / masses.total as f64,
        dual,
        source_potential: table(optimum.u),
        target_potential: table(optimum.v),
    })
}
