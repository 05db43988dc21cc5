//! The network simplex method in exact arithmetic, from the basis that doubles came to.
//!
//! Where costs differ by more orders of magnitude than a double has digits, a potential is a sum of large
//! ones and what counts are its last digits. Here potentials are whole numbers, so a violated arc is one,
//! however small beside the largest cost, and the basis at the end is optimal without a tolerance. Doubles
//! only tell which arcs are surely not violated.

use rayon::prelude::*;

use super::basis::SpanningTree;
use super::candidates::Candidates;
use super::cloud::Cloud;
use super::cost::GroundCost;
use super::fixed::Fixed;
use super::kd_tree::KdTree;
use super::masses::Mass;
use super::number::Number;
use super::ruler::Ruler;

/// Violated arcs a point adds in a pricing round.
const ADDED: usize = 4;
/// Sources that a thread takes at a time.
const CHUNK: usize = 64;

/// Points as they are given, and the power of two that brings them to size one for doubles.
pub(crate) struct Given<'a> {
    pub(crate) cost: GroundCost,
    pub(crate) ruler: &'a Ruler,
    pub(crate) stretch: f64,
}

/// Potentials of points, zero at the weighted median of the targets.
pub(crate) struct Exact<const W: usize> {
    pub(crate) flows: Vec<(u32, u32, Mass)>,
    pub(crate) u: Vec<Fixed<W>>,
    pub(crate) v: Vec<Fixed<W>>,
}

/// Optimal flows and potentials from a basis without flow through its root, and potentials for what hangs
/// there.
pub(crate) fn refine<const W: usize>(
    given: &Given,
    (x, y): (&Cloud, &Cloud),
    tree: SpanningTree,
    at_root: impl Fn(usize) -> f64,
) -> Exact<W> {
    let n = x.len();
    let cost = |i: usize, j: usize| given.ruler.between(x.point(i), y.point(j));
    let root = tree.root();
    let mut tree = tree.with_costs(|from, to| match (from == root, to == root) {
        (false, false) => cost(from as usize, to as usize - n),
        (true, _) => -given.ruler.nearest(at_root(to as usize)),
        (_, true) => given.ruler.nearest(at_root(from as usize)),
    });
    let basis = tree.arcs().map(|(from, to)| (from, to - n as u32)).collect();
    let mut arcs = Candidates::new(n, basis, cost);
    loop {
        arcs.optimise(&mut tree, Fixed::ZERO);
        let flows = tree.flows().map(|arc| (arc.from, arc.to - n as u32, arc.flow)).collect();
        let (u, v) = tree.potential()[..n + y.len()].split_at(n);
        let v = v.iter().map(|&potential| -potential).collect();
        let exact = Exact::centred(flows, u.to_vec(), v, y);
        let found = violated(&Search::new(given, y, &exact.v), x, &exact.u);
        if found.is_empty() {
            return exact;
        }
        arcs.extend(&found);
    }
}

impl<const W: usize> Exact<W> {
    /// With the potentials shifted so that half the mass of the targets is on either side of zero: what
    /// is common to nearly all of them costs no digits when they are rounded.
    pub(crate) fn centred(
        flows: Vec<(u32, u32, Mass)>,
        mut u: Vec<Fixed<W>>,
        mut v: Vec<Fixed<W>>,
        y: &Cloud,
    ) -> Self {
        let mut order: Vec<usize> = (0..v.len()).collect();
        order.sort_unstable_by(|&i, &j| v[i].cmp(&v[j]).then(i.cmp(&j)));
        let mut rest = y.mass.iter().sum::<Mass>() / 2;
        let median = order.into_iter().find(|&j| {
            rest -= y.mass[j];
            rest < 0
        });
        let shift = median.map_or(Fixed::ZERO, |j| v[j]);
        u.iter_mut().for_each(|u| *u += shift);
        v.iter_mut().for_each(|v| *v = *v - shift);
        Self { flows, u, v }
    }
}

/// The most violated arcs of every source, with their costs.
fn violated<const W: usize>(
    search: &Search<W>,
    x: &Cloud,
    u: &[Fixed<W>],
) -> Vec<(u32, u32, Fixed<W>)> {
    let of_source = |i: usize| {
        let mut found = Vec::new();
        search.below(x.point(i), u[i], |j, cost, reduced| found.push((reduced, j, cost)));
        found.sort_unstable_by(|p, q| p.0.cmp(&q.0).then(p.1.cmp(&q.1)));
        found.truncate(ADDED);
        found.into_iter().map(move |(_, j, cost)| (i as u32, j, cost))
    };
    let chunks = (0..x.len().div_ceil(CHUNK)).into_par_iter().map(|chunk| {
        (chunk * CHUNK..x.len().min((chunk + 1) * CHUNK)).flat_map(of_source).collect::<Vec<_>>()
    });
    chunks.collect::<Vec<_>>().concat()
}

/// The points of one side, to be searched for the least cost minus potential.
pub(crate) struct Search<'a, const W: usize> {
    given: &'a Given<'a>,
    points: &'a Cloud,
    potential: &'a [Fixed<W>],
    tree: KdTree,
    /// Relative error of a cost or a potential in doubles, with room.
    margin: f64,
}

/// What squares that a double cannot hold may be off by.
const TINY: f64 = 1e-290;

impl<'a, const W: usize> Search<'a, W> {
    pub(crate) fn new(given: &'a Given, points: &'a Cloud, potential: &'a [Fixed<W>]) -> Self {
        let dim = points.dim;
        let stretched: Vec<f64> = points.points.iter().map(|p| p * given.stretch).collect();
        let mut tree = KdTree::new(given.cost, &stretched, dim);
        let margin = (4 * dim + 32) as f64 * f64::EPSILON;
        tree.set_potentials(|j| {
            let potential = given.ruler.stretched(potential[j], given.stretch);
            potential + margin * potential.abs() + TINY
        });
        Self { given, points, potential, tree, margin }
    }

    /// All points with a cost minus potential below `bar`: number, cost, and what is left of the bar.
    fn below(&self, query: &[f64], bar: Fixed<W>, mut visit: impl FnMut(u32, Fixed<W>, Fixed<W>)) {
        let ruler = self.given.ruler;
        let rounded = ruler.stretched(bar, self.given.stretch);
        let limit = rounded + self.margin * rounded.abs() + TINY;
        let stretched: Vec<f64> = query.iter().map(|q| q * self.given.stretch).collect();
        self.tree.below(&stretched, limit, |j| {
            let cost = ruler.between(query, self.points.point(j as usize));
            let reduced = cost - self.potential[j as usize] - bar;
            if reduced < Fixed::ZERO {
                visit(j, cost, reduced);
            }
        });
    }

    /// The least cost minus potential: the largest feasible potential of the query.
    pub(crate) fn least(&self, query: &[f64]) -> Fixed<W> {
        let stretched: Vec<f64> = query.iter().map(|q| q * self.given.stretch).collect();
        let mut near = Vec::new();
        self.tree.best(&stretched, 1, f64::INFINITY, &mut near);
        let Some(near) = near.first().map(|offer| offer.index as usize) else { return Fixed::ZERO };
        let mut least =
            self.given.ruler.between(query, self.points.point(near)) - self.potential[near];
        let bar = least;
        self.below(query, bar, |_, _, reduced| least = least.min(bar + reduced));
        least
    }
}
