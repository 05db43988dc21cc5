//! A lower bound: potentials at nodes that no pair of points violates.
//!
//! With $\varphi_i + \psi_j \le \frac12 |x_i - x_j|^2$ at nodes, $g(y) = \max_i x_i \cdot y - \frac12 |x_i|^2 + \varphi_i$ and its conjugate are
//! convex, so at most multilinear functions through $\frac12 |x_j|^2 - \psi_j$ and $\frac12 |x_i|^2 - \varphi_i$ on every piece: a feasible pair
//! whose integrals are sums over corners. The corners have a second moment that is larger by $\frac16 (\epsilon_x^2 + \epsilon_y^2)$.

use super::envelope::{Transformed, transform};
use super::poisson::Conductances;
use super::spline::Refinement;

/// The dual problem of two laws on the nodes of a refinement.
pub(super) struct Dual {
    pub(super) grid: Refinement,
    p: Vec<f64>,
    q: Vec<f64>,
}

/// A potential of the first law that is the transform of one of the second, and the bound that they prove.
pub(super) struct Point {
    /// At the nodes.
    pub(super) potential: Vec<f64>,
    /// Of the potential before it was closed: the transform and what is nearest.
    other: Transformed,
    /// A lower bound of $W_2^2$.
    pub(super) bound: f64,
}

impl Dual {
    pub(super) fn new(grid: Refinement, p: &[f64], q: &[f64]) -> Self {
        Self { grid, p: grid.spread(p), q: grid.spread(q) }
    }

    /// What the corners of the pieces lose against their insides.
    pub(super) fn loss(&self) -> f64 {
        let [x, y] = self.grid.step();
        (x * x + y * y) / 3.0
    }

    /// The best that a potential at the nodes is good for.
    pub(super) fn close(&self, potential: &[f64]) -> Point {
        let (nodes, step) = (self.grid.nodes(), self.grid.step());
        let other = transform(nodes, step, potential);
        let potential = transform(nodes, step, &other.values).values;
        let sum = dot(&self.p, &potential) + dot(&self.q, &other.values);
        Point { potential, other, bound: 2.0 * sum - self.loss() }
    }

    /// Slope of half the bound in the potential: what the map that it implies leaves of the first law.
    fn slope(&self, point: &Point) -> Vec<f64> {
        let across = self.grid.nodes()[1];
        let mut slope = self.p.clone();
        for (&(i, j), q) in point.other.nearest.iter().zip(&self.q) {
            slope[i as usize * across + j as usize] -= q;
        }
        slope
    }

    /// Climbs along slopes that the Poisson equation makes smooth.
    pub(super) fn climb(
        &self,
        conductances: &Conductances,
        mut here: Point,
        rounds: usize,
    ) -> Point {
        let mut step = 1.0;
        for _ in 0..rounds {
            let direction = conductances.solve(&self.grid.gather(&self.slope(&here)));
            if direction.energy <= 1e-3 * here.bound.abs() {
                break;
            }
            let direction = self.grid.evaluate(&direction.potential);
            let mut found = None;
            for _ in 0..6 {
                let there: Vec<f64> =
                    here.potential.iter().zip(&direction).map(|(a, d)| a + step * d).collect();
                let there = self.close(&there);
                if there.bound > here.bound {
                    found = Some(there);
                    break;
                }
                step *= 0.5;
            }
            let Some(there) = found else { break };
            here = there;
            step = (1.5 * step).min(1.0);
        }
        here
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
