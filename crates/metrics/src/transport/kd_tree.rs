//! A k-d tree that answers "which point has the least cost minus potential".
//!
//! The dual of a transport problem is feasible when u(x) <= c(x, y) - v(y) for every pair. The
//! tree finds the pairs that violate this, or proves that there is none, without looking at all of
//! them: the boxes bound the cost from below, the largest potential in a subtree bounds the rest.

use super::cost::GroundCost;

/// Largest leaf; distances to a whole leaf are computed in one vectorised sweep.
const MAX_LEAF: usize = 32;

struct Cell {
    start: u32,
    end: u32,
    /// Index of the right child; the left child is the next cell. Zero marks a leaf.
    right: u32,
}

/// A point with its reduced cost from the query: cost minus potential.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) reduced: f64,
    pub(crate) index: u32,
}

pub(crate) struct KdTree {
    cost: GroundCost,
    dim: usize,
    cells: Vec<Cell>,
    /// Per cell: lower corner, upper corner.
    boxes: Vec<f64>,
    /// Per cell: largest potential inside.
    top: Vec<f64>,
    /// Point numbers in tree order.
    ids: Vec<u32>,
    /// Leaf after leaf, each `[dim][len]`.
    coords: Vec<f64>,
    /// Potentials in tree order.
    potential: Vec<f64>,
}

impl KdTree {
    /// Builds the tree over row-major `points`, all potentials zero.
    pub(crate) fn new(cost: GroundCost, points: &[f64], dim: usize) -> Self {
        let n = points.len() / dim;
        let leaf = if dim <= 3 { 8 } else { MAX_LEAF };
        let mut tree = Self {
            cost,
            dim,
            cells: Vec::new(),
            boxes: Vec::new(),
            top: Vec::new(),
            ids: (0..n as u32).collect(),
            coords: vec![0.0; n * dim],
            potential: vec![0.0; n],
        };
        if n > 0 {
            let mut ids = std::mem::take(&mut tree.ids);
            tree.grow(points, &mut ids, 0, leaf);
            tree.ids = ids;
        }
        tree.top = vec![0.0; tree.cells.len()];
        tree
    }

    /// Point numbers in tree order: neighbours in this order are neighbours in space.
    pub(crate) fn into_order(self) -> Vec<u32> {
        self.ids
    }

    fn grow(&mut self, points: &[f64], ids: &mut [u32], start: usize, leaf: usize) {
        let dim = self.dim;
        let cell = self.cells.len();
        self.cells.push(Cell { start: start as u32, end: (start + ids.len()) as u32, right: 0 });
        let (mut lower, mut upper) = (vec![f64::INFINITY; dim], vec![f64::NEG_INFINITY; dim]);
        for &id in ids.iter() {
            for (k, &value) in points[id as usize * dim..][..dim].iter().enumerate() {
                lower[k] = lower[k].min(value);
                upper[k] = upper[k].max(value);
            }
        }
        let width = |k: usize| upper[k] - lower[k];
        let axis = (0..dim).max_by(|&i, &j| width(i).total_cmp(&width(j))).unwrap_or(0);
        self.boxes.extend_from_slice(&lower);
        self.boxes.extend_from_slice(&upper);
        if ids.len() <= leaf {
            let block = &mut self.coords[start * dim..(start + ids.len()) * dim];
            for (j, &id) in ids.iter().enumerate() {
                for k in 0..dim {
                    block[k * ids.len() + j] = points[id as usize * dim + k];
                }
            }
            return;
        }
        let key = |id: u32| points[id as usize * dim + axis];
        // Splitting by position, not by value, ends also where all points coincide.
        let middle = ids.len() / 2;
        ids.select_nth_unstable_by(middle, |&i, &j| key(i).total_cmp(&key(j)));
        let (left, right) = ids.split_at_mut(middle);
        self.grow(points, left, start, leaf);
        self.cells[cell].right = self.cells.len() as u32;
        self.grow(points, right, start + middle, leaf);
    }

    /// Sets the potential of every point.
    pub(crate) fn set_potentials(&mut self, potential: impl Fn(usize) -> f64) {
        for (value, &id) in self.potential.iter_mut().zip(&self.ids) {
            *value = potential(id as usize);
        }
        for (index, cell) in self.cells.iter().enumerate().rev() {
            self.top[index] = if cell.right == 0 {
                let inside = &self.potential[cell.start as usize..cell.end as usize];
                inside.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            } else {
                self.top[index + 1].max(self.top[cell.right as usize])
            };
        }
    }

    /// The up to `k` points of least reduced cost below `limit`, best first, in `found`.
    pub(crate) fn best(&self, query: &[f64], k: usize, limit: f64, found: &mut Vec<Offer>) {
        found.clear();
        if !self.cells.is_empty() {
            let bound = self.bound(0, query);
            self.search(0, bound, query, k, limit, found);
        }
    }

    fn search(
        &self,
        cell: usize,
        bound: f64,
        query: &[f64],
        k: usize,
        limit: f64,
        found: &mut Vec<Offer>,
    ) {
        if bound >= threshold(k, limit, found) {
            return;
        }
        let Cell { start, end, right } = self.cells[cell];
        if right == 0 {
            return self.search_leaf(start as usize, end as usize, query, k, limit, found);
        }
        let (left, right) = (cell + 1, right as usize);
        let (left_bound, right_bound) = (self.bound(left, query), self.bound(right, query));
        if left_bound <= right_bound {
            self.search(left, left_bound, query, k, limit, found);
            self.search(right, right_bound, query, k, limit, found);
        } else {
            self.search(right, right_bound, query, k, limit, found);
            self.search(left, left_bound, query, k, limit, found);
        }
    }

    fn search_leaf(
        &self,
        start: usize,
        end: usize,
        query: &[f64],
        k: usize,
        limit: f64,
        found: &mut Vec<Offer>,
    ) {
        let len = end - start;
        let mut squared = [0.0; MAX_LEAF];
        let squared = &mut squared[..len];
        let block = &self.coords[start * self.dim..end * self.dim];
        for (&q, row) in query.iter().zip(block.chunks_exact(len)) {
            for (sum, &value) in squared.iter_mut().zip(row) {
                *sum += (q - value) * (q - value);
            }
        }
        for (j, &sum) in squared.iter().enumerate() {
            let reduced = self.cost.of_squared(sum) - self.potential[start + j];
            if reduced < threshold(k, limit, found) {
                if found.len() == k {
                    found.pop();
                }
                let at = found.partition_point(|offer| offer.reduced <= reduced);
                found.insert(at, Offer { reduced, index: self.ids[start + j] });
            }
        }
    }

    /// Lower bound of the reduced cost over a cell.
    fn bound(&self, cell: usize, query: &[f64]) -> f64 {
        let corners = &self.boxes[2 * self.dim * cell..][..2 * self.dim];
        let (lower, upper) = corners.split_at(self.dim);
        let mut sum = 0.0;
        for ((&q, &low), &high) in query.iter().zip(lower).zip(upper) {
            let gap = (low - q).max(q - high).max(0.0);
            sum += gap * gap;
        }
        self.cost.of_squared(sum) - self.top[cell]
    }
}

fn threshold(k: usize, limit: f64, found: &[Offer]) -> f64 {
    if found.len() < k { limit } else { found[k - 1].reduced }
}
