//! Exact transport between two mass distributions on one rectangular grid.
//!
//! The squared cost separates by axis, so a move can be made in two legs: along the row to the
//! right column, then along the column to the right row. The flow problem on sources, corner
//! points and targets has O(n^3) arcs instead of O(n^4), and their costs are two small tables.

use crate::transport::{Mass, SpanningTree};

/// Rows of arcs that are priced before the best arc found enters.
const ROWS_PRICED: usize = 12;

/// Positions of the nodes and masses of both sides, `[rows, columns]` in row-major order.
pub(crate) struct GridProblem<'a> {
    /// Position of each column.
    pub(crate) across: &'a [f64],
    /// Position of each row.
    pub(crate) down: &'a [f64],
    pub(crate) source: &'a [Mass],
    pub(crate) target: &'a [Mass],
}

/// Optimal cost (in units of mass) and potentials that are feasible for every pair.
pub(crate) struct GridOptimum {
    pub(crate) primal: f64,
    pub(crate) u: Vec<f64>,
    pub(crate) v: Vec<f64>,
}

/// Squared distances between all pairs of positions.
fn leg_costs(positions: &[f64]) -> Vec<f64> {
    let square = |p: f64| positions.iter().map(move |q| (p - q) * (p - q));
    positions.iter().flat_map(|&p| square(p)).collect()
}

struct GridSimplex<'a> {
    problem: &'a GridProblem<'a>,
    rows: usize,
    columns: usize,
    /// `[columns, columns]`
    across: Vec<f64>,
    /// `[rows, rows]`
    down: Vec<f64>,
    tree: SpanningTree,
    /// Next row of arcs to price: first those of the sources, then those of the corners.
    position: usize,
}

// Nodes: source (r, c) is r * columns + c; the corner at (r, c) follows in the same order; target
// (r, c) comes third, column by column. So the heads of the arcs of a node are contiguous.
impl GridSimplex<'_> {
    fn corner(&self, row: usize, column: usize) -> usize {
        self.rows * self.columns + row * self.columns + column
    }

    fn target(&self, row: usize, column: usize) -> usize {
        2 * self.rows * self.columns + column * self.rows + row
    }

    /// Tail, first head and leg costs of a row of arcs; none for a source without mass.
    fn arcs(&self, index: usize) -> Option<(usize, usize, &[f64])> {
        let cells = self.rows * self.columns;
        let (row, column) = (index % cells / self.columns, index % self.columns);
        if index >= cells {
            let costs = &self.down[row * self.rows..][..self.rows];
            return Some((index, self.target(0, column), costs));
        }
        let costs = &self.across[column * self.columns..][..self.columns];
        (self.problem.source[index] > 0).then_some((index, self.corner(row, 0), costs))
    }

    /// The best arc of the next rows that have a violated one.
    fn entering(&mut self, tolerance: f64) -> Option<(usize, usize, f64)> {
        let total = 2 * self.rows * self.columns;
        let (mut best, mut least) = (None, -tolerance);
        let mut in_block = 0;
        let mut position = self.position;
        for _ in 0..total {
            if let Some((tail, heads, costs)) = self.arcs(position) {
                let potential = self.tree.potential();
                let bar = least + potential[tail];
                let offers = &potential[heads..heads + costs.len()];
                if least_sum(costs, offers) < bar {
                    let (k, value) = first_least(costs, offers);
                    (best, least) = (Some((tail, heads + k, costs[k])), value - potential[tail]);
                }
                in_block += 1;
            }
            position = if position + 1 == total { 0 } else { position + 1 };
            if in_block >= ROWS_PRICED {
                if best.is_some() {
                    break;
                }
                in_block = 0;
            }
        }
        self.position = position;
        best
    }
}

/// Least of `costs[k] + offers[k]`, in eight independent lanes so that it vectorises.
fn least_sum(costs: &[f64], offers: &[f64]) -> f64 {
    let mut lanes = [f64::INFINITY; 8];
    let (costs, offers) = (costs.chunks_exact(8), offers.chunks_exact(8));
    let mut least = f64::INFINITY;
    for (cost, offer) in costs.remainder().iter().zip(offers.remainder()) {
        least = least.min(cost + offer);
    }
    for (cost, offer) in costs.zip(offers) {
        for k in 0..8 {
            let sum = cost[k] + offer[k];
            lanes[k] = if sum < lanes[k] { sum } else { lanes[k] };
        }
    }
    lanes.iter().fold(least, |low, &lane| low.min(lane))
}

fn first_least(costs: &[f64], offers: &[f64]) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (k, (cost, offer)) in costs.iter().zip(offers).enumerate() {
        if cost + offer < best.1 {
            best = (k, cost + offer);
        }
    }
    best
}

/// Solves the problem; both sides carry the same positive mass.
pub(crate) fn solve(problem: &GridProblem) -> GridOptimum {
    let (rows, columns) = (problem.down.len(), problem.across.len());
    let (across, down) = (leg_costs(problem.across), leg_costs(problem.down));
    let longest = |costs: &[f64]| costs.iter().copied().fold(0.0, f64::max);
    let scale = longest(&across) + longest(&down);
    let tree = SpanningTree::new(3 * rows * columns);
    let mut simplex = GridSimplex { problem, rows, columns, across, down, tree, position: 0 };
    simplex.start(scale.max(f64::MIN_POSITIVE));
    // Far below the cost of any move between two nodes, far above rounding.
    let tolerance = 1e-14 * scale;
    loop {
        let mut pivots = 0;
        while let Some((tail, head, cost)) = simplex.entering(tolerance) {
            simplex.tree.pivot(tail as u32, head as u32, cost);
            pivots += 1;
        }
        simplex.tree.complete();
        if pivots == 0 {
            return simplex.finish();
        }
    }
}

impl GridSimplex<'_> {
    /// Mass that both sides have stays where it is; the rest runs over the root, at a price that
    /// no real move exceeds.
    fn start(&mut self, scale: f64) {
        let root = self.tree.root();
        for row in 0..self.rows {
            for column in 0..self.columns {
                let source = row * self.columns + column;
                let (corner, target) = (self.corner(row, column), self.target(row, column));
                let (a, b) = (self.problem.source[source], self.problem.target[source]);
                let (source, corner, target) = (source as u32, corner as u32, target as u32);
                let stays = a.min(b);
                let mut hang = |child, parent, up, flow, cost| {
                    self.tree.attach(child, parent, up, flow, cost);
                };
                // Arcs without flow have to point to the root. A node without mass hangs there by
                // an arc that is never used and so dear that no other arc of it is worth taking.
                if a >= b {
                    hang(source, root, true, a - b, scale);
                    if stays > 0 {
                        hang(corner, source, false, stays, 0.0);
                        hang(target, corner, false, stays, 0.0);
                    } else {
                        hang(corner, root, true, 0, scale);
                        hang(target, root, true, 0, 16.0 * scale);
                    }
                } else {
                    hang(target, root, false, b - a, scale);
                    hang(corner, target, true, stays, 0.0);
                    if stays > 0 {
                        hang(source, corner, true, stays, 0.0);
                    } else {
                        hang(source, root, true, 0, scale);
                    }
                }
            }
        }
        self.tree.complete();
    }

    fn finish(&self) -> GridOptimum {
        let potential = self.tree.potential();
        let cells = self.rows * self.columns;
        let moved = |from: u32, to: u32| {
            let (from, to) = (from as usize, to as usize);
            if from < cells {
                self.across[from % self.columns * self.columns + to % self.columns]
            } else {
                self.down[(from - cells) / self.columns * self.rows + (to - 2 * cells) % self.rows]
            }
        };
        let primal = self.tree.flows().map(|f| f.flow as f64 * moved(f.from, f.to)).sum();
        // v is taken from the tree; u is its c-transform, one leg after the other, and so feasible
        // for every pair. Targets without mass are out of the way: they get their transform last.
        let with_mass = |target: usize| {
            let (column, row) = (target / self.rows, target % self.rows);
            self.problem.target[row * self.columns + column] > 0
        };
        // Zero where most of the mass is, so that the dual value loses least to rounding.
        let mass = |target: usize| {
            self.problem.target[target % self.rows * self.columns + target / self.rows]
        };
        let heaviest = (0..cells).max_by_key(|&t| mass(t));
        let shift = heaviest.map_or(0.0, |t| potential[2 * cells + t]);
        let offers: Vec<f64> = (0..cells)
            .map(|t| if with_mass(t) { potential[2 * cells + t] - shift } else { f64::INFINITY })
            .collect();
        let mut u = vec![0.0; cells];
        let mut corners = vec![0.0; cells];
        for row in 0..self.rows {
            for column in 0..self.columns {
                let costs = &self.down[row * self.rows..][..self.rows];
                corners[row * self.columns + column] =
                    least_sum(costs, &offers[column * self.rows..][..self.rows]);
            }
            for column in 0..self.columns {
                let costs = &self.across[column * self.columns..][..self.columns];
                u[row * self.columns + column] =
                    least_sum(costs, &corners[row * self.columns..][..self.columns]);
            }
        }
        let v = self.transform_back(&u);
        GridOptimum { primal, u, v }
    }

    /// v(t) = min over s of c(s, t) - u(s), leg by leg.
    fn transform_back(&self, u: &[f64]) -> Vec<f64> {
        let (rows, columns) = (self.rows, self.columns);
        let mut v = vec![0.0; rows * columns];
        // corners[column][row]
        let mut corners = vec![0.0; rows * columns];
        let negated: Vec<f64> = u.iter().map(|value| -value).collect();
        for column in 0..columns {
            for row in 0..rows {
                let costs = &self.across[column * columns..][..columns];
                corners[column * rows + row] =
                    least_sum(costs, &negated[row * columns..][..columns]);
            }
            for row in 0..rows {
                let costs = &self.down[row * rows..][..rows];
                v[row * columns + column] = least_sum(costs, &corners[column * rows..][..rows]);
            }
        }
        v
    }
}
