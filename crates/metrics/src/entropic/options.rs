//! What is asked of entropic transport and what comes back.

use crate::error::{Error, Result};

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
    /// Stop when the L1 error of the marginals, of a total mass of one, is at most this, or as small as
    /// the rounding of potentials leaves it at this epsilon: some $2^{-51}$ of the mean cost over epsilon.
    pub tolerance: f64,
    /// Stop after this many iterations, each two passes over all pairs (a step of conjugate gradients
    /// counts as one).
    pub max_iterations: usize,
}

impl Sinkhorn {
    /// Marginals to this where nobody says otherwise.
    pub(crate) const TOLERANCE: f64 = 1e-10;
    /// Iterations where nobody says otherwise.
    pub(crate) const ITERATIONS: usize = 2_000;

    /// The given regularisation, marginals to 1e-10, at most 2 000 iterations.
    #[must_use]
    pub fn new(epsilon: f64) -> Self {
        Self { epsilon, tolerance: Self::TOLERANCE, max_iterations: Self::ITERATIONS }
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |name, expected, value| Err(Error::InvalidParameter { name, expected, value });
        for (name, value) in [("epsilon", self.epsilon), ("tolerance", self.tolerance)] {
            if !(value > 0.0 && value.is_finite()) {
                return refuse(name, "positive and finite", value);
            }
        }
        if self.max_iterations == 0 {
            return refuse("iterations", ">= 1", 0.0);
        }
        Ok(())
    }
}

/// An entropic transport plan, by its potentials.
///
/// $$P_{ij} = a_i b_j \exp\left((f_i + g_j - \lVert x_i - y_j \rVert^2) / \varepsilon\right)$$
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EntropicTransport {
    /// $\mathrm{OT}_\varepsilon = \langle P, C \rangle + \varepsilon\, \mathrm{KL}(P \Vert a \otimes
    /// b)$, from the dual: a lower bound of it whatever the potentials, and exact where the marginals are.
    pub value: f64,
    /// $\langle P, C \rangle$, without the entropy.
    pub transport_cost: f64,
    /// L1 error of the marginals reached.
    pub marginal_error: f64,
    /// Whether that is within the tolerance, or as small as doubles allow at this epsilon; otherwise the
    /// iterations ran out, or gained nothing more.
    pub converged: bool,
    /// Iterations spent, each two passes over all pairs.
    pub iterations: usize,
    /// Potential at every row of the first cloud.
    pub f: Vec<f64>,
    /// Potential at every row of the second cloud.
    pub g: Vec<f64>,
}
