//! Exact transport between point clouds: a multiscale sparse network simplex.
//!
//! 1. Clusters of both clouds are transported first (recursively); their potentials, extended to
//!    all points by the c-transform, are nearly optimal.
//! 2. The few arcs per point of least reduced cost become candidates, a greedy fill gives the
//!    first basis, and the network simplex method solves the sparse problem.
//! 3. A k-d tree finds the arcs outside the list that violate the dual constraints; they join the
//!    candidates until there are none. So the result is optimal among all n x m arcs, though only
//!    a few dozen per point are ever stored.

use rayon::prelude::*;

use super::basis::SpanningTree;
use super::candidates::Candidates;
use super::cost::GroundCost;
use super::kd_tree::{KdTree, Offer};
use super::masses::Mass;
use crate::error::{Error, Result};

/// Points a cluster of the next coarser level holds.
const CLUSTER: usize = 4;
/// Problems with at most this many arcs are solved with all of them.
const ALL_ARCS: usize = 128 * 128;
/// Candidates a point proposes at the start of a level.
const PROPOSALS: usize = 8;
/// Violated arcs a point adds in a pricing round.
const ADDED: usize = 4;
/// Cost of an artificial arc, in mean reduced costs of the candidates.
const PENALTY: f64 = 100.0;
/// Dual feasibility, relative to the largest possible cost: some ten roundings.
const TOLERANCE: f64 = 1e-14;
/// Far above the handful of rounds that happen; reached only if rounding defeats the method.
const MAX_ROUNDS: usize = 1000;
/// Queries that a thread takes at a time.
const CHUNK: usize = 256;

/// Points in row-major order with integer masses, all positive.
pub(crate) struct Cloud {
    pub(crate) dim: usize,
    pub(crate) points: Vec<f64>,
    pub(crate) mass: Vec<Mass>,
}

/// Optimal flows and potentials, feasible for every pair of points, but for rounding.
pub(crate) struct Optimum {
    pub(crate) flows: Vec<(u32, u32, Mass)>,
    pub(crate) u: Vec<f64>,
    pub(crate) v: Vec<f64>,
    /// The basis, of the plane and above.
    pub(crate) tree: Option<SpanningTree>,
}

impl Cloud {
    pub(crate) fn len(&self) -> usize {
        self.mass.len()
    }

    pub(crate) fn point(&self, i: usize) -> &[f64] {
        &self.points[i * self.dim..(i + 1) * self.dim]
    }

    /// Runs of neighbours in tree order, merged into their centres of mass.
    fn coarsen(&self) -> Self {
        let order = KdTree::new(GroundCost::SquaredEuclidean, &self.points, self.dim).into_order();
        let mut coarse = Self { dim: self.dim, points: Vec::new(), mass: Vec::new() };
        for members in order.chunks(CLUSTER) {
            let mass: Mass = members.iter().map(|&i| self.mass[i as usize]).sum();
            coarse.mass.push(mass);
            for k in 0..self.dim {
                let moment = |&i: &u32| {
                    self.mass[i as usize] as f64 * self.points[i as usize * self.dim + k]
                };
                coarse.points.push(members.iter().map(moment).sum::<f64>() / mass as f64);
            }
        }
        coarse
    }
}

/// Solves the transport problem; both clouds are non-empty and carry the same mass.
pub(crate) fn solve(cost: GroundCost, x: &Cloud, y: &Cloud) -> Result<Optimum> {
    Level { cost, x, y }.solve()
}

/// The problem at one resolution.
struct Level<'a> {
    cost: GroundCost,
    x: &'a Cloud,
    y: &'a Cloud,
}

/// What a level starts from: candidates, and potentials that are feasible for all pairs.
struct Start {
    arcs: Candidates,
    u: Vec<f64>,
    v: Vec<f64>,
}

/// A basis that is optimal among the candidates.
struct Simplex {
    start: Start,
    tree: SpanningTree,
    penalty: f64,
}

impl Level<'_> {
    fn between(&self, i: usize, j: usize) -> f64 {
        self.cost.between(self.x.point(i), self.y.point(j))
    }

    /// Whether the problem is small enough for all arcs to be candidates.
    fn is_small(&self) -> bool {
        self.x.len() * self.y.len() <= ALL_ARCS
    }

    fn solve(&self) -> Result<Optimum> {
        let n = self.x.len();
        let scale = self.cost.of_squared(diameter_squared(self.x, self.y));
        let tolerance = TOLERANCE * scale;
        let mut targets = KdTree::new(self.cost, &self.y.points, self.y.dim);
        let mut simplex = self.start(&mut targets)?.simplex(self, scale);
        let mut violation = 0.0;
        for _round in 0..MAX_ROUNDS {
            simplex.optimise(tolerance);
            let potential = simplex.tree.potential();
            targets.set_potentials(|j| -potential[n + j]);
            // Twice the tolerance of the pivots, so that no candidate is found once more by rounding.
            let limit = |i: usize| potential[i] - 2.0 * tolerance;
            let found = proposals(&targets, self.x, ADDED, limit);
            if found.is_empty() {
                if simplex.tree.flow_through_root() == 0 {
                    return Ok(self.finish(simplex.tree, &targets));
                }
                simplex.raise_penalty();
                continue;
            }
            let worst = found.iter().map(|&(i, offer)| potential[i as usize] - offer.reduced);
            violation = worst.fold(0.0, f64::max);
            let arc = |&(i, Offer { index: j, .. }): &(u32, Offer)| {
                (i, j, self.between(i as usize, j as usize))
            };
            simplex.start.arcs.extend(&found.iter().map(arc).collect::<Vec<_>>());
        }
        Err(Error::NotConverged { rounds: MAX_ROUNDS, violation, tolerance })
    }

    fn start(&self, targets: &mut KdTree) -> Result<Start> {
        let (x, y) = (self.x, self.y);
        let (n, m) = (x.len(), y.len());
        if self.is_small() {
            let all = (0..n as u32).flat_map(|i| (0..m as u32).map(move |j| (i, j))).collect();
            let arcs = Candidates::new(n, all, |i, j| self.between(i, j));
            return Ok(Start { arcs, u: vec![0.0; n], v: vec![0.0; m] });
        }
        let clusters = x.coarsen();
        let coarse = Level { cost: self.cost, x: &clusters, y: &y.coarsen() }.solve()?;
        let mut centres = KdTree::new(self.cost, &clusters.points, x.dim);
        centres.set_potentials(|i| coarse.u[i]);
        let v = transform(&centres, y);
        targets.set_potentials(|j| v[j]);
        let from_x = proposals(targets, x, PROPOSALS, |_| f64::INFINITY);
        let u = least(n, &from_x);
        let mut sources = KdTree::new(self.cost, &x.points, x.dim);
        sources.set_potentials(|i| u[i]);
        let from_y = proposals(&sources, y, PROPOSALS, |_| f64::INFINITY);
        let v = least(m, &from_y);
        let forth = from_x.iter().map(|&(i, offer)| (i, offer.index));
        let back = from_y.iter().map(|&(j, offer)| (offer.index, j));
        let arcs = Candidates::new(n, forth.chain(back).collect(), |i, j| self.between(i, j));
        Ok(Start { arcs, u, v })
    }

    fn finish(&self, tree: SpanningTree, targets: &KdTree) -> Optimum {
        let n = self.x.len();
        let potential = tree.potential();
        // The penalty of the artificial arcs is still in the potentials, as one constant.
        let shift = potential[n];
        let v: Vec<f64> = (0..self.y.len()).map(|j| shift - potential[n + j]).collect();
        let u = transform(targets, self.x).iter().map(|u| u - shift).collect();
        let flows = tree.flows().map(|arc| (arc.from, arc.to - n as u32, arc.flow)).collect();
        Optimum { flows, u, v, tree: Some(tree) }
    }
}

impl Start {
    /// Fills the candidates greedily and spans the rest by artificial arcs over the root.
    fn simplex(self, level: &Level, scale: f64) -> Simplex {
        let n = self.u.len();
        let reduced =
            |(i, j, cost): (u32, u32, f64)| cost - self.u[i as usize] - self.v[j as usize];
        let mut ranked: Vec<(f64, u32)> = self.arcs.all().map(reduced).zip(0..).collect();
        // Dear enough that real arcs nearly always win at once, but not beyond all measure: the
        // levels at which parts of the tree hang differ by it, and all arcs between them are violated.
        let typical = ranked.iter().map(|arc| arc.0).sum::<f64>() / ranked.len() as f64;
        let dearest = if scale > 0.0 { 4.0 * scale } else { 1.0 };
        let penalty = if level.is_small() { dearest } else { dearest.min(PENALTY * typical) };
        ranked.sort_unstable_by(|p, q| p.0.total_cmp(&q.0).then(p.1.cmp(&q.1)));
        let sources: Vec<u32> = self.arcs.all().map(|arc| arc.0).collect();

        let mut rest: Vec<Mass> = level.x.mass.iter().chain(&level.y.mass).copied().collect();
        let mut forest = Forest::new(rest.len());
        for (_, arc) in ranked {
            let (j, c) = self.arcs.arc(arc);
            let (i, j) = (sources[arc as usize] as usize, n + j as usize);
            let flow = rest[i].min(rest[j]);
            if flow > 0 {
                rest[i] -= flow;
                rest[j] -= flow;
                forest.join(i, j, flow, c);
            }
        }
        let mut tree = SpanningTree::new(rest.len());
        let root = tree.root();
        let mut seen = vec![false; rest.len()];
        // A component holds at most one node with mass left; one without is held by a source,
        // whose empty artificial arc points to the root.
        let with_rest = (0..rest.len()).filter(|&node| rest[node] > 0);
        for node in with_rest.chain(0..n) {
            if !seen[node] {
                let cost = self.root_cost(node, penalty);
                tree.attach(node as u32, root, node < n, rest[node], cost);
                forest.hang(node, n, &mut tree, &mut seen);
            }
        }
        tree.complete();
        Simplex { start: self, tree, penalty }
    }

    /// Cost of the artificial arc between a node and the root.
    fn root_cost(&self, node: usize, penalty: f64) -> f64 {
        let n = self.u.len();
        penalty + if node < n { self.u[node] } else { self.v[node - n] }
    }
}

impl Simplex {
    /// Pivots until no candidate is violated, with the rounding of all the updates taken out.
    fn optimise(&mut self, tolerance: f64) {
        while self.start.arcs.optimise(&mut self.tree, tolerance) > 0 {
            self.tree.complete();
        }
    }

    /// Paying the penalty was cheaper than real arcs somewhere.
    fn raise_penalty(&mut self) {
        self.penalty *= 8.0;
        let (start, penalty) = (&self.start, self.penalty);
        self.tree.reprice_root_arcs(|node| start.root_cost(node as usize, penalty));
    }
}

/// The arcs of the greedy fill, as adjacency lists.
struct Forest {
    head: Vec<u32>,
    /// (neighbour, flow, cost, next in list)
    links: Vec<(u32, Mass, f64, u32)>,
}

impl Forest {
    const END: u32 = u32::MAX;

    fn new(n: usize) -> Self {
        Self { head: vec![Self::END; n], links: Vec::with_capacity(2 * n) }
    }

    fn join(&mut self, i: usize, j: usize, flow: Mass, cost: f64) {
        for (from, to) in [(i, j), (j, i)] {
            self.links.push((to as u32, flow, cost, self.head[from]));
            self.head[from] = (self.links.len() - 1) as u32;
        }
    }

    /// Attaches everything that hangs together with `top` (nodes below `n` are sources).
    fn hang(&self, top: usize, n: usize, tree: &mut SpanningTree, seen: &mut [bool]) {
        let mut stack = vec![top];
        seen[top] = true;
        while let Some(node) = stack.pop() {
            let mut link = self.head[node];
            while link != Self::END {
                let (other, flow, cost, next) = self.links[link as usize];
                link = next;
                if !seen[other as usize] {
                    seen[other as usize] = true;
                    tree.attach(other, node as u32, (other as usize) < n, flow, cost);
                    stack.push(other as usize);
                }
            }
        }
    }
}

/// For every point of `queries` its up to `k` best offers below its limit, best first, by point.
fn proposals(
    tree: &KdTree,
    queries: &Cloud,
    k: usize,
    limit: impl Fn(usize) -> f64 + Sync,
) -> Vec<(u32, Offer)> {
    let n = queries.len();
    let chunks: Vec<Vec<(u32, Offer)>> = (0..n.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let (mut all, mut found) = (Vec::new(), Vec::new());
            for i in chunk * CHUNK..n.min((chunk + 1) * CHUNK) {
                tree.best(queries.point(i), k, limit(i), &mut found);
                all.extend(found.iter().map(|&offer| (i as u32, offer)));
            }
            all
        })
        .collect();
    chunks.concat()
}

/// The least reduced cost of every point; each has an offer.
fn least(n: usize, offers: &[(u32, Offer)]) -> Vec<f64> {
    let mut values = vec![f64::INFINITY; n];
    for &(i, offer) in offers {
        values[i as usize] = values[i as usize].min(offer.reduced);
    }
    values
}

/// The c-transform: for every query the least cost minus potential.
fn transform(tree: &KdTree, queries: &Cloud) -> Vec<f64> {
    least(queries.len(), &proposals(tree, queries, 1, |_| f64::INFINITY))
}

/// Squared diagonal of the box around both clouds.
fn diameter_squared(x: &Cloud, y: &Cloud) -> f64 {
    let mut sum = 0.0;
    for k in 0..x.dim {
        let column = |cloud: &Cloud| {
            let range = cloud.points.iter().skip(k).step_by(cloud.dim);
            range.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
                (low.min(value), high.max(value))
            })
        };
        let ((x_low, x_high), (y_low, y_high)) = (column(x), column(y));
        let width = x_high.max(y_high) - x_low.min(y_low);
        sum += width * width;
    }
    sum
}
