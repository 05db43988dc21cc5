//! What exact transport finds: a value with its certificate, and a plan.

use ndarray::{Array1, Array2};

use super::cost::GroundCost;

/// An optimal value with the dual certificate that proves it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Transport {
    /// The ground cost that was minimised.
    pub cost: GroundCost,
    /// Cost of the plan that was found, $\sum \pi_{ij} c_{ij}$: $W_2^2$ or $W_1$.
    pub primal: f64,
    /// $\sum a_i u_i + \sum b_j v_j$ for the feasible potentials below: no plan costs less. Where these
    /// were found in whole numbers it is summed along the plan as $\sum \pi_{ij} (u_i + v_j)$, the same
    /// number without a term that cancels, and the potentials below are the exact ones, each rounded.
    pub dual: f64,
    /// Total mass of either side as given. Both are normalised to one for all else here; where they
    /// differ, within the 1e-6 that is put down to rounding, each by its own total.
    pub mass: [f64; 2],
    /// Potentials u of the first cloud, with $u_i + v_j \le c_{ij}$ for every pair, up to rounding.
    pub source_potential: Array1<f64>,
    /// Potentials v of the second cloud.
    pub target_potential: Array1<f64>,
    /// The plan, if asked for.
    pub plan: Option<TransportPlan>,
}

/// A sparse transport plan: at most N + M - 1 moves.
#[derive(Debug, Clone, PartialEq)]
pub struct TransportPlan {
    shape: [usize; 2],
    /// `(i, j, mass)`, each pair at most once, masses sum to one.
    moves: Vec<(usize, usize, f64)>,
}

impl TransportPlan {
    pub(crate) fn new(shape: [usize; 2], mut moves: Vec<(usize, usize, f64)>) -> Self {
        moves.sort_unstable_by_key(|&(i, j, _)| (i, j));
        Self { shape, moves }
    }

    /// The moves `(i, j, mass)` with positive mass, ordered by i, then j; masses sum to one.
    #[must_use]
    pub fn moves(&self) -> &[(usize, usize, f64)] {
        &self.moves
    }

    /// `[N, M]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// The plan as a dense matrix `[N, M]`.
    #[must_use]
    pub fn to_dense(&self) -> Array2<f64> {
        let mut dense = Array2::zeros(self.shape);
        for &(i, j, mass) in &self.moves {
            dense[[i, j]] += mass;
        }
        dense
    }
}

impl Transport {
    /// The distance: $W_2 = \sqrt{W_2^2}$ for the squared cost, $W_1$ for the plain one.
    #[must_use]
    pub fn distance(&self) -> f64 {
        match self.cost {
            GroundCost::SquaredEuclidean => self.primal.sqrt(),
            GroundCost::Euclidean => self.primal,
        }
    }

    /// Primal minus dual: the plan is at most this much more expensive than the best one. Never more than
    /// 1e-10 of the primal.
    #[must_use]
    pub fn gap(&self) -> f64 {
        self.primal - self.dual
    }
}
