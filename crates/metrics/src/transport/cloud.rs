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
use super::candidates::CandidateArcs;
use super::cost::GroundCost;
use super::kd_tree::{KdTree, Offer};
use crate::error::{Error, Result};

/// Points a cluster of the next coarser level holds.
const CLUSTER: usize = 4;
/// Problems with at most this many arcs are solved with all of them.
const ALL_ARCS: usize = 128 * 128;
/// Candidates a point proposes at the start of a level.
const PROPOSALS: usize = 8;
/// Violated arcs a point adds in a pricing round.
const ADDED: usize = 4;
/// Dual feasibility, relative to the largest possible cost: some ten roundings.
const TOLERANCE: f64 = 1e-14;
/// Far above the handful of rounds that happen; reached only if rounding defeats the method.
const MAX_ROUNDS: usize = 1000;

/// Points in row-major order with integer masses, all positive.
pub(crate) struct Cloud {
    pub(crate) dim: usize,
    pub(crate) points: Vec<f64>,
    pub(crate) mass: Vec<i64>,
}

/// Optimal flows and potentials, feasible for every pair of points.
pub(crate) struct Optimum {
    pub(crate) flows: Vec<(u32, u32, i64)>,
    pub(crate) u: Vec<f64>,
    pub(crate) v: Vec<f64>,
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
            let mass: i64 = members.iter().map(|&i| self.mass[i as usize]).sum();
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
    let (n, m) = (x.len(), y.len());
    let start =
        if n * m <= ALL_ARCS { Start::dense(cost, x, y) } else { Start::coarse(cost, x, y)? };
    let scale = cost.of_squared(diameter_squared(x, y));
    let tolerance = TOLERANCE * scale;
    // Dear enough that real arcs nearly always win at once; where all points coincide, anything.
    let mut penalty = if scale > 0.0 { 4.0 * scale } else { 1.0 };
    let (mut tree, mut arcs) = start.basis(x, y, penalty);

    let mut targets = KdTree::new(cost, &y.points, y.dim);
    let mut violation = 0.0_f64;
    for _round in 0..MAX_ROUNDS {
        loop {
            let pivots = arcs.optimise(&mut tree, tolerance);
            tree.complete();
            if pivots == 0 {
                break;
            }
        }
        let potential = tree.potential();
        targets.set_potentials(|j| -potential[n + j]);
        let found = proposals(&targets, x, ADDED, |i| potential[i] - tolerance);
        let added: usize = found.iter().map(Vec::len).sum();
        if added == 0 {
            if tree.flow_through_root() == 0 {
                return Ok(finish(&tree, &targets, x, y));
            }
            // Paying the penalty was cheaper than a real arc somewhere: raise it.
            penalty *= 8.0;
            tree.reprice_root_arcs(|node| start.root_cost(node as usize, n, penalty));
            continue;
        }
        violation = 0.0;
        for (i, offers) in found.iter().enumerate() {
            for offer in offers {
                let j = offer.index as usize;
                violation = violation.max(potential[i] - offer.reduced);
                arcs.push(i as u32, (n + j) as u32, cost.between(x.point(i), y.point(j)));
            }
        }
    }
    Err(Error::NotConverged { rounds: MAX_ROUNDS, violation, tolerance })
}

/// What a level starts from: potentials and candidates `(source, target, cost)`.
struct Start {
    u: Vec<f64>,
    v: Vec<f64>,
    candidates: Vec<(u32, u32, f64)>,
}

impl Start {
    fn dense(cost: GroundCost, x: &Cloud, y: &Cloud) -> Self {
        let candidates = (0..x.len())
            .flat_map(|i| (0..y.len()).map(move |j| (i, j)))
            .map(|(i, j)| (i as u32, j as u32, cost.between(x.point(i), y.point(j))))
            .collect();
        Self { u: vec![0.0; x.len()], v: vec![0.0; y.len()], candidates }
    }

    fn coarse(cost: GroundCost, x: &Cloud, y: &Cloud) -> Result<Self> {
        let (coarse_x, coarse_y) = (x.coarsen(), y.coarsen());
        let coarse = solve(cost, &coarse_x, &coarse_y)?;
        let mut centres = KdTree::new(cost, &coarse_x.points, x.dim);
        centres.set_potentials(|i| coarse.u[i]);
        let v = transform(&centres, y);

        let mut targets = KdTree::new(cost, &y.points, y.dim);
        targets.set_potentials(|j| v[j]);
        let from_x = proposals(&targets, x, PROPOSALS, |_| f64::INFINITY);
        let u: Vec<f64> = from_x.iter().map(|offers| offers[0].reduced).collect();
        let mut sources = KdTree::new(cost, &x.points, x.dim);
        sources.set_potentials(|i| u[i]);
        let from_y = proposals(&sources, y, PROPOSALS, |_| f64::INFINITY);
        let v = from_y.iter().map(|offers| offers[0].reduced).collect();

        let mut candidates = Vec::with_capacity((x.len() + y.len()) * PROPOSALS);
        let mut push = |i: usize, j: usize| {
            candidates.push((i as u32, j as u32, cost.between(x.point(i), y.point(j))));
        };
        for (i, offers) in from_x.iter().enumerate() {
            offers.iter().for_each(|offer| push(i, offer.index as usize));
        }
        for (j, offers) in from_y.iter().enumerate() {
            for offer in offers {
                let i = offer.index as usize;
                if !from_x[i].iter().any(|known| known.index as usize == j) {
                    push(i, j);
                }
            }
        }
        Ok(Self { u, v, candidates })
    }

    /// Cost of the artificial arc between a node and the root.
    fn root_cost(&self, node: usize, n: usize, penalty: f64) -> f64 {
        penalty + if node < n { self.u[node] } else { self.v[node - n] }
    }

    /// Fills the candidates greedily and spans the rest by artificial arcs over the root.
    fn basis(&self, x: &Cloud, y: &Cloud, penalty: f64) -> (SpanningTree, CandidateArcs) {
        let n = x.len();
        let reduced = |&(i, j, c): &(u32, u32, f64)| c - self.u[i as usize] - self.v[j as usize];
        let mut ranked: Vec<_> = self.candidates.iter().map(|arc| (reduced(arc), *arc)).collect();
        ranked
            .sort_unstable_by(|p, q| p.0.total_cmp(&q.0).then((p.1.0, p.1.1).cmp(&(q.1.0, q.1.1))));

        let mut rest: Vec<i64> = x.mass.iter().chain(&y.mass).copied().collect();
        let mut forest = Forest::new(rest.len());
        for &(_, (i, j, c)) in &ranked {
            let (i, j) = (i as usize, n + j as usize);
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
                let cost = self.root_cost(node, n, penalty);
                tree.attach(node as u32, root, node < n, rest[node], cost);
                forest.hang(node, n, &mut tree, &mut seen);
            }
        }
        tree.complete();

        let mut arcs = CandidateArcs::default();
        for &(i, j, c) in &self.candidates {
            arcs.push(i, n as u32 + j, c);
        }
        (tree, arcs)
    }
}

/// The arcs of the greedy fill, as adjacency lists.
struct Forest {
    head: Vec<u32>,
    /// (neighbour, flow, cost, next in list)
    links: Vec<(u32, i64, f64, u32)>,
}

impl Forest {
    const END: u32 = u32::MAX;

    fn new(n: usize) -> Self {
        Self { head: vec![Self::END; n], links: Vec::with_capacity(2 * n) }
    }

    fn join(&mut self, i: usize, j: usize, flow: i64, cost: f64) {
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

/// For every point of `queries` its up to `k` best offers below its limit.
fn proposals(
    tree: &KdTree,
    queries: &Cloud,
    k: usize,
    limit: impl Fn(usize) -> f64 + Sync,
) -> Vec<Vec<Offer>> {
    (0..queries.len())
        .into_par_iter()
        .with_min_len(64)
        .map(|i| {
            let mut found = Vec::new();
            tree.best(queries.point(i), k, limit(i), &mut found);
            found
        })
        .collect()
}

/// The c-transform: for every query the least cost minus potential.
fn transform(tree: &KdTree, queries: &Cloud) -> Vec<f64> {
    proposals(tree, queries, 1, |_| f64::INFINITY).iter().map(|found| found[0].reduced).collect()
}

fn finish(tree: &SpanningTree, targets: &KdTree, x: &Cloud, y: &Cloud) -> Optimum {
    let n = x.len();
    let potential = tree.potential();
    // The penalty of the artificial arcs is still in the potentials, as one constant.
    let shift = potential[n];
    let v: Vec<f64> = (0..y.len()).map(|j| shift - potential[n + j]).collect();
    let u = transform(targets, x).iter().map(|u| u - shift).collect();
    let flows = tree.flows().map(|arc| (arc.from, arc.to - n as u32, arc.flow)).collect();
    Optimum { flows, u, v }
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
