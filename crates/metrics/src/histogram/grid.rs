//! Exact transport between two mass distributions on one rectangular grid.
//!
//! The squared cost separates by axis, so a move can be made in two legs: along the row to the
//! right column, then along the column to the right row. The flow problem on sources, corner
//! points and targets has O(n^3) arcs instead of O(n^4), and their costs are two small tables.

use crate::transport::{Fixed, FlowArc, GroundCost, Mass, Number, Ruler, SpanningTree};

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

/// Potentials that are feasible for every pair, and what they say of the moves.
pub(crate) struct GridOptimum<C> {
    /// Legs with their flow and cost, and how far the potential falls along them: by the cost, where the
    /// potentials are optimal.
    pub(crate) legs: Vec<(Mass, C, C)>,
    pub(crate) u: Vec<C>,
    pub(crate) v: Vec<C>,
}

/// Costs between all pairs of positions.
fn leg_costs<C>(positions: &[f64], cost: impl Fn(f64, f64) -> C) -> Vec<C> {
    let row = |&p: &f64| positions.iter().map(|&q| cost(p, q)).collect::<Vec<_>>();
    positions.iter().flat_map(row).collect()
}

struct GridSimplex<'a, C> {
    problem: &'a GridProblem<'a>,
    rows: usize,
    columns: usize,
    /// `[columns, columns]`
    across: Vec<C>,
    /// `[rows, rows]`
    down: Vec<C>,
    /// At least the cost of any move.
    longest: C,
    tree: SpanningTree<C>,
    /// Next row of arcs to price: first those of the sources, then those of the corners.
    position: usize,
}

// Nodes: source (r, c) is r * columns + c; the corner at (r, c) follows in the same order; target
// (r, c) comes third, column by column. So the heads of the arcs of a node are contiguous.
impl<C: Number> GridSimplex<'_, C> {
    fn corner(&self, row: usize, column: usize) -> usize {
        self.rows * self.columns + row * self.columns + column
    }

    fn target(&self, row: usize, column: usize) -> usize {
        2 * self.rows * self.columns + column * self.rows + row
    }

    /// Tail, first head and leg costs of a row of arcs; none for a source without mass.
    fn arcs(&self, index: usize) -> Option<(usize, usize, &[C])> {
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
    fn entering(&mut self, tolerance: C) -> Option<(usize, usize, C)> {
        let total = 2 * self.rows * self.columns;
        let (mut best, mut least) = (None, -tolerance);
        let mut in_block = 0;
        let mut position = self.position;
        for _ in 0..total {
            if let Some((tail, heads, costs)) = self.arcs(position) {
                let potential = self.tree.potential();
                let bar = least + potential[tail];
                let offers = &potential[heads..heads + costs.len()];
                if C::least_sum(costs, offers) < bar {
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

fn first_least<C: Number>(costs: &[C], offers: &[C]) -> (usize, C) {
    let mut best = (0, C::FAR);
    for (k, (&cost, &offer)) in costs.iter().zip(offers).enumerate() {
        if cost + offer < best.1 {
            best = (k, cost + offer);
        }
    }
    best
}

/// Solves the problem; both sides carry the same positive mass. Also returns the basis.
pub(crate) fn solve(problem: &GridProblem) -> (GridOptimum<f64>, SpanningTree) {
    let tree = SpanningTree::new(3 * problem.down.len() * problem.across.len());
    let square = |p: f64, q: f64| (p - q) * (p - q);
    let mut simplex = GridSimplex::new(problem, square, tree);
    // Far below the cost of any move between two nodes, far above rounding.
    let tolerance = 1e-14 * simplex.longest;
    simplex.longest = simplex.longest.max(f64::MIN_POSITIVE);
    simplex.start();
    simplex.optimise(tolerance);
    let optimum = simplex.finish();
    (optimum, simplex.tree)
}

/// The same in exact numbers, from a basis of doubles; positions are as they were given.
pub(crate) fn refine<const W: usize>(
    problem: &GridProblem,
    ruler: &Ruler,
    basis: SpanningTree,
) -> GridOptimum<Fixed<W>> {
    let cost = |p: f64, q: f64| ruler.between(&[p], &[q]);
    let mut simplex = GridSimplex::new(problem, cost, SpanningTree::new(0));
    let root = basis.root();
    simplex.tree = basis.with_costs(|from, to| match (from == root, to == root) {
        (false, false) => simplex.leg(from, to),
        (true, _) => simplex.root_cost(to, false),
        (_, true) => simplex.root_cost(from, true),
    });
    simplex.optimise(Fixed::ZERO);
    simplex.finish()
}

/// A ruler for the costs of a grid and for sums of them along a path.
pub(crate) fn ruler(xs: &[f64], ys: &[f64]) -> Ruler {
    let positions = xs.iter().chain(ys).copied();
    Ruler::new(GroundCost::SquaredEuclidean, positions, 1, 64 * xs.len() * ys.len())
}

impl<'a, C: Number> GridSimplex<'a, C> {
    fn new(
        problem: &'a GridProblem<'a>,
        cost: impl Fn(f64, f64) -> C,
        tree: SpanningTree<C>,
    ) -> Self {
        let (rows, columns) = (problem.down.len(), problem.across.len());
        let (across, down) = (leg_costs(problem.across, &cost), leg_costs(problem.down, cost));
        let most = |costs: &[C]| {
            costs.iter().fold(C::ZERO, |most, &cost| if cost > most { cost } else { most })
        };
        let longest = most(&across) + most(&down);
        Self { problem, rows, columns, across, down, longest, tree, position: 0 }
    }

    /// Pivots until no arc is violated, with the rounding of all the updates taken out.
    fn optimise(&mut self, tolerance: C) {
        loop {
            let mut pivots = 0;
            while let Some((tail, head, cost)) = self.entering(tolerance) {
                self.tree.pivot(tail as u32, head as u32, cost);
                pivots += 1;
            }
            self.tree.complete();
            if pivots == 0 {
                return;
            }
        }
    }

    /// Cost of the artificial arc of a node: of no real move. A target without mass hangs at the root by
    /// an arc that is never used and so dear that no other arc of it is worth taking.
    fn root_cost(&self, node: u32, up: bool) -> C {
        let is_target = node as usize >= 2 * self.rows * self.columns;
        let times = if up && is_target { 16 } else { 1 };
        (0..times).fold(C::ZERO, |sum, _| sum + self.longest)
    }

    /// Cost of the leg between two nodes.
    fn leg(&self, from: u32, to: u32) -> C {
        let (from, to, cells) = (from as usize, to as usize, self.rows * self.columns);
        if from < cells {
            self.across[from % self.columns * self.columns + to % self.columns]
        } else {
            self.down[(from - cells) / self.columns * self.rows + (to - 2 * cells) % self.rows]
        }
    }

    /// Mass that both sides have stays where it is; the rest runs over the root, at a price that
    /// no real move exceeds.
    fn start(&mut self) {
        let root = self.tree.root();
        for row in 0..self.rows {
            for column in 0..self.columns {
                let source = row * self.columns + column;
                let (corner, target) = (self.corner(row, column), self.target(row, column));
                let (a, b) = (self.problem.source[source], self.problem.target[source]);
                let (source, corner, target) = (source as u32, corner as u32, target as u32);
                let stays = a.min(b);
                let mut hang = |child, parent, up, flow| {
                    let cost = if parent == root { self.root_cost(child, up) } else { C::ZERO };
                    self.tree.attach(child, parent, up, flow, cost);
                };
                // Arcs without flow have to point to the root.
                if a >= b {
                    hang(source, root, true, a - b);
                    if stays > 0 {
                        hang(corner, source, false, stays);
                        hang(target, corner, false, stays);
                    } else {
                        hang(corner, root, true, 0);
                        hang(target, root, true, 0);
                    }
                } else {
                    hang(target, root, false, b - a);
                    hang(corner, target, true, stays);
                    if stays > 0 {
                        hang(source, corner, true, stays);
                    } else {
                        hang(source, root, true, 0);
                    }
                }
            }
        }
        self.tree.complete();
    }

    fn finish(&self) -> GridOptimum<C> {
        let potential = self.tree.potential();
        let (rows, columns, cells) = (self.rows, self.columns, self.rows * self.columns);
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
        let shift = heaviest.map_or(C::ZERO, |t| potential[2 * cells + t]);
        let offers: Vec<C> = (0..cells)
            .map(|t| if with_mass(t) { potential[2 * cells + t] - shift } else { C::FAR })
            .collect();
        let mut u = vec![C::ZERO; cells];
        let mut corners = vec![C::ZERO; cells];
        for row in 0..self.rows {
            for column in 0..self.columns {
                let costs = &self.down[row * self.rows..][..self.rows];
                corners[row * self.columns + column] =
                    C::least_sum(costs, &offers[column * self.rows..][..self.rows]);
            }
            for column in 0..self.columns {
                let costs = &self.across[column * self.columns..][..self.columns];
                u[row * self.columns + column] =
                    C::least_sum(costs, &corners[row * self.columns..][..self.columns]);
            }
        }
        let v = self.transform_back(&u);
        // Of sources and targets as they are handed out, of corners as they are in the tree.
        let at = |node: u32| {
            let node = node as usize;
            match node / cells {
                0 => u[node],
                1 => potential[node] - shift,
                _ => -v[(node - 2 * cells) % rows * columns + (node - 2 * cells) / rows],
            }
        };
        let leg = |f: FlowArc| (f.flow, self.leg(f.from, f.to), at(f.from) - at(f.to));
        let legs = self.tree.flows().map(leg).collect();
        GridOptimum { legs, u, v }
    }

    /// v(t) = min over s of c(s, t) - u(s), leg by leg.
    fn transform_back(&self, u: &[C]) -> Vec<C> {
        let (rows, columns) = (self.rows, self.columns);
        let mut v = vec![C::ZERO; rows * columns];
        // corners[column][row]
        let mut corners = vec![C::ZERO; rows * columns];
        let negated: Vec<C> = u.iter().map(|&value| -value).collect();
        for column in 0..columns {
            for row in 0..rows {
                let costs = &self.across[column * columns..][..columns];
                corners[column * rows + row] =
                    C::least_sum(costs, &negated[row * columns..][..columns]);
            }
            for row in 0..rows {
                let costs = &self.down[row * rows..][..rows];
                v[row * columns + column] = C::least_sum(costs, &corners[column * rows..][..rows]);
            }
        }
        v
    }
}
