//! The arcs a sparse network simplex may bring into its basis, with block pricing.

use super::basis::SpanningTree;

#[derive(Clone, Copy)]
struct Arc {
    from: u32,
    to: u32,
    cost: f64,
}

/// A growing list of arcs, searched block by block from where the last search ended.
#[derive(Default)]
pub(crate) struct CandidateArcs {
    arcs: Vec<Arc>,
    position: usize,
}

impl CandidateArcs {
    pub(crate) fn push(&mut self, from: u32, to: u32, cost: f64) {
        self.arcs.push(Arc { from, to, cost });
    }

    /// Pivots until no arc of the list has a reduced cost below `-tolerance`. Returns the pivots.
    pub(crate) fn optimise(&mut self, tree: &mut SpanningTree, tolerance: f64) -> usize {
        let mut pivots = 0;
        while let Some(Arc { from, to, cost }) = self.entering(tree.potential(), tolerance) {
            tree.pivot(from, to, cost);
            pivots += 1;
        }
        pivots
    }

    /// The arc of least reduced cost in the first block that has a violated one.
    fn entering(&mut self, potential: &[f64], tolerance: f64) -> Option<Arc> {
        let block = (self.arcs.len() as f64).sqrt().max(32.0) as usize;
        let (mut best, mut least) = (None, -tolerance);
        let mut scanned = 0;
        while scanned < self.arcs.len() {
            let end = (self.position + block).min(self.arcs.len());
            for arc in &self.arcs[self.position..end] {
                let reduced = arc.cost - potential[arc.from as usize] + potential[arc.to as usize];
                if reduced < least {
                    (best, least) = (Some(*arc), reduced);
                }
            }
            scanned += end - self.position;
            self.position = if end == self.arcs.len() { 0 } else { end };
            if best.is_some() {
                return best;
            }
        }
        None
    }
}
