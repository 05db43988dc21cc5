//! The arcs that a sparse network simplex may bring into its basis: a few dozen a source.

use std::ops::Range;

use super::basis::SpanningTree;
use super::number::Number;

/// Arcs in rows, one a source, and where pricing goes on.
pub(crate) struct Candidates<C = f64> {
    start: Vec<u32>,
    target: Vec<u32>,
    cost: Vec<C>,
    position: usize,
    /// Arcs `(source, place)` that were violated when they were last looked at.
    waiting: Vec<(u32, u32)>,
    /// Reduced cost beyond which none of those that wait is good enough: a tenth of the best of them.
    bar: C,
}

impl<C: Number> Candidates<C> {
    /// From arcs `(source, target)` in any order; repeated ones count once.
    pub(crate) fn new(
        n: usize,
        mut arcs: Vec<(u32, u32)>,
        cost: impl Fn(usize, usize) -> C,
    ) -> Self {
        arcs.sort_unstable();
        arcs.dedup();
        let mut start = vec![0; n + 1];
        for &(i, _) in &arcs {
            start[i as usize + 1] += 1;
        }
        for i in 0..n {
            start[i + 1] += start[i];
        }
        let target = arcs.iter().map(|arc| arc.1).collect();
        let cost = arcs.iter().map(|&(i, j)| cost(i as usize, j as usize)).collect();
        Self { start, target, cost, position: 0, waiting: Vec::new(), bar: C::ZERO }
    }

    fn sources(&self) -> usize {
        self.start.len() - 1
    }

    fn row(&self, i: usize) -> Range<usize> {
        self.start[i] as usize..self.start[i + 1] as usize
    }

    /// Targets and costs of the arcs of source `i`.
    pub(crate) fn of(&self, i: usize) -> (&[u32], &[C]) {
        let row = self.row(i);
        (&self.target[row.clone()], &self.cost[row])
    }

    /// Target and cost of an arc, in the order of [`Candidates::all`].
    pub(crate) fn arc(&self, k: u32) -> (u32, C) {
        (self.target[k as usize], self.cost[k as usize])
    }

    /// All arcs `(source, target, cost)`.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, u32, C)> + '_ {
        (0..self.sources()).flat_map(move |i| {
            let (targets, costs) = self.of(i);
            targets.iter().zip(costs).map(move |(&j, &cost)| (i as u32, j, cost))
        })
    }

    /// Adds arcs `(source, target, cost)` that are not there yet, ordered by source.
    pub(crate) fn extend(&mut self, arcs: &[(u32, u32, C)]) {
        let (mut end, mut rest) = (self.target.len(), arcs);
        let mut place = end + arcs.len();
        self.target.resize(place, 0);
        self.cost.resize(place, C::ZERO);
        // From behind, so that every row moves once and none is overwritten.
        for i in (0..self.sources()).rev() {
            let row = self.start[i] as usize..end;
            self.start[i + 1] = place as u32;
            while let Some((&(_, j, cost), before)) =
                rest.split_last().filter(|(arc, _)| arc.0 as usize == i)
            {
                place -= 1;
                (self.target[place], self.cost[place]) = (j, cost);
                rest = before;
            }
            place -= row.len();
            self.target.copy_within(row.clone(), place);
            self.cost.copy_within(row.clone(), place);
            end = row.start;
        }
    }

    /// Pivots until no candidate has a reduced cost below `-tolerance`. Returns the pivots.
    pub(crate) fn optimise(&mut self, tree: &mut SpanningTree<C>, tolerance: C) -> usize {
        self.waiting.clear();
        self.bar = -tolerance;
        let mut pivots = 0;
        while let Some((from, to, cost)) = self.entering(tree.potential(), tolerance) {
            tree.pivot(from, to, cost);
            pivots += 1;
        }
        pivots
    }

    /// A violated arc, with nodes as its ends.
    ///
    /// A look at a block of rows gives several arcs, the best of each row. They wait, and the best of
    /// those that are still violated enters, until none is worth it and the next block is looked at.
    fn entering(&mut self, potential: &[C], tolerance: C) -> Option<(u32, u32, C)> {
        let n = self.sources();
        let of_target = &potential[n..];
        let (mut best, mut least) = (None, -tolerance);
        let (targets, costs) = (&self.target, &self.cost);
        self.waiting.retain(|&(i, k)| {
            let reduced =
                costs[k as usize] - potential[i as usize] + of_target[targets[k as usize] as usize];
            if reduced < least {
                (best, least) = (Some((i, k)), reduced);
            }
            reduced < -tolerance
        });
        if best.is_none() || least > self.bar {
            self.waiting.clear();
            best = self.look(potential, tolerance);
        }
        best.map(|(i, k)| (i, n as u32 + self.target[k as usize], self.cost[k as usize]))
    }

    /// Has the best violated arcs of the next rows wait, and returns the best of all.
    fn look(&mut self, potential: &[C], tolerance: C) -> Option<(u32, u32)> {
        let n = self.sources();
        let block = (self.target.len() as f64).sqrt().max(32.0) as usize;
        let of_target = &potential[n..];
        let (mut best, mut least, mut scanned) = (None, -tolerance, 0);
        for _ in 0..n {
            let i = self.position;
            self.position = if i + 1 == n { 0 } else { i + 1 };
            let (row, bar) = (self.row(i), potential[i]);
            scanned += row.len();
            let (mut least_here, mut place) = (bar - tolerance, u32::MAX);
            for (k, (&j, cost)) in
                row.clone().zip(self.target[row.clone()].iter().zip(&self.cost[row]))
            {
                let value = *cost + of_target[j as usize];
                if value < least_here {
                    (least_here, place) = (value, k as u32);
                }
            }
            if place != u32::MAX {
                self.waiting.push((i as u32, place));
                if least_here - bar < least {
                    (best, least) = (Some((i as u32, place)), least_here - bar);
                }
            }
            if scanned >= block {
                if best.is_some() {
                    let good_enough = least.tenth();
                    self.bar = if good_enough < -tolerance { good_enough } else { -tolerance };
                    break;
                }
                scanned = 0;
            }
        }
        best
    }
}
