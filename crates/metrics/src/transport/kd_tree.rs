//! A k-d tree that answers "which point has the least cost minus potential".
//!
//! The dual of a transport problem is feasible when u(x) <= c(x, y) - v(y) for every pair. The
//! tree finds the pairs that violate this, or proves that there is none, without looking at all of
//! them: the boxes bound the cost from below, the largest potential in a subtree bounds the rest.

use super::cost::GroundCost;

/// Points whose distances are computed side by side.
const LANES: usize = 8;
/// Tiles of a leaf: small where boxes tell points apart, large where they hardly do.
const TILES_LOW: usize = 1;
const TILES_HIGH: usize = 8;

/// Largest dimension with small leaves.
const LOW: usize = 3;
/// Number of a lane without a point.
const NOBODY: u32 = u32::MAX;

struct Cell {
    /// First tile, and the tile after the last.
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
    /// Point numbers in tree order, tile after tile; a leaf fills its last one up with `NOBODY`.
    ids: Vec<u32>,
    /// Tile after tile, each `[dim][LANES]`.
    coords: Vec<f64>,
    /// Potentials as the numbers; that of nobody is minus infinity.
    potential: Vec<f64>,
}

impl KdTree {
    /// Builds the tree over row-major `points`, all potentials zero.
    pub(crate) fn new(cost: GroundCost, points: &[f64], dim: usize) -> Self {
        let n = points.len() / dim;
        let mut tree = Self {
            cost,
            dim,
            cells: Vec::new(),
            boxes: Vec::new(),
            top: Vec::new(),
            ids: Vec::with_capacity(n + n / 4),
            coords: Vec::with_capacity((n + n / 4) * dim),
            potential: Vec::new(),
        };
        if n > 0 {
            let mut ids: Vec<u32> = (0..n as u32).collect();
            let tiles = if dim <= LOW { TILES_LOW } else { TILES_HIGH };
            tree.grow(points, &mut ids, tiles * LANES);
        }
        tree.top = vec![0.0; tree.cells.len()];
        let potential = |&id: &u32| if id == NOBODY { f64::NEG_INFINITY } else { 0.0 };
        tree.potential = tree.ids.iter().map(potential).collect();
        tree
    }

    /// Point numbers in tree order: neighbours in this order are neighbours in space.
    pub(crate) fn into_order(mut self) -> Vec<u32> {
        self.ids.retain(|&id| id != NOBODY);
        self.ids
    }

    fn grow(&mut self, points: &[f64], ids: &mut [u32], leaf: usize) {
        let dim = self.dim;
        let cell = self.cells.len();
        self.cells.push(Cell { start: 0, end: 0, right: 0 });
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
            let start = self.ids.len() / LANES;
            for tile in ids.chunks(LANES) {
                // What fills the tile up is far from nobody: its potential keeps it away.
                let lane = |k: usize| tile.get(k).map_or(NOBODY, |&id| id);
                self.ids.extend((0..LANES).map(lane));
                for axis in 0..dim {
                    let point = |k: usize| tile[k.min(tile.len() - 1)] as usize;
                    self.coords.extend((0..LANES).map(|k| points[point(k) * dim + axis]));
                }
            }
            (self.cells[cell].start, self.cells[cell].end) =
                (start as u32, (self.ids.len() / LANES) as u32);
            return;
        }
        let key = |id: u32| points[id as usize * dim + axis];
        // Splitting by position, not by value, ends also where all points coincide.
        let middle = ids.len() / 2;
        ids.select_nth_unstable_by(middle, |&i, &j| key(i).total_cmp(&key(j)));
        let (left, right) = ids.split_at_mut(middle);
        self.grow(points, left, leaf);
        self.cells[cell].right = self.cells.len() as u32;
        self.grow(points, right, leaf);
    }

    /// Sets the potential of every point.
    pub(crate) fn set_potentials(&mut self, potential: impl Fn(usize) -> f64) {
        for (value, &id) in self.potential.iter_mut().zip(&self.ids) {
            if id != NOBODY {
                *value = potential(id as usize);
            }
        }
        for (index, cell) in self.cells.iter().enumerate().rev() {
            self.top[index] = if cell.right == 0 {
                let lanes = cell.start as usize * LANES..cell.end as usize * LANES;
                let inside = &self.potential[lanes];
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
            // The loops over the few coordinates unroll where their number is known.
            match self.dim {
                2 => self.search::<2>(0, f64::NEG_INFINITY, query, k, limit, found),
                3 => self.search::<3>(0, f64::NEG_INFINITY, query, k, limit, found),
                _ => self.search::<0>(0, f64::NEG_INFINITY, query, k, limit, found),
            }
        }
    }

    /// Every point of reduced cost below `limit`, in no order.
    pub(crate) fn below(&self, query: &[f64], limit: f64, mut visit: impl FnMut(u32)) {
        let mut values = [0.0; TILES_HIGH * LANES];
        let mut waiting = if self.cells.is_empty() { vec![] } else { vec![0] };
        while let Some(cell) = waiting.pop() {
            if self.bound::<0>(cell, query) >= limit {
                continue;
            }
            let Cell { start, end, right } = self.cells[cell];
            if right > 0 {
                waiting.extend([cell + 1, right as usize]);
                continue;
            }
            let lanes = start as usize * LANES..end as usize * LANES;
            let coords = &self.coords[lanes.start * self.dim..lanes.end * self.dim];
            let (potential, values) = (&self.potential[lanes.clone()], &mut values[..lanes.len()]);
            wide_reduced_costs(self.cost, query, coords, potential, values);
            for (&id, &reduced) in self.ids[lanes].iter().zip(&*values) {
                if reduced < limit {
                    visit(id);
                }
            }
        }
    }

    /// Below a cell; `D` is the dimension, or zero where it is known at run time only.
    fn search<const D: usize>(
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
            return self.search_leaf::<D>(start as usize, end as usize, query, k, limit, found);
        }
        let (left, right) = (cell + 1, right as usize);
        let (left_bound, right_bound) =
            (self.bound::<D>(left, query), self.bound::<D>(right, query));
        if left_bound <= right_bound {
            self.search::<D>(left, left_bound, query, k, limit, found);
            self.search::<D>(right, right_bound, query, k, limit, found);
        } else {
            self.search::<D>(right, right_bound, query, k, limit, found);
            self.search::<D>(left, left_bound, query, k, limit, found);
        }
    }

    fn search_leaf<const D: usize>(
        &self,
        start: usize,
        end: usize,
        query: &[f64],
        k: usize,
        limit: f64,
        found: &mut Vec<Offer>,
    ) {
        let coords = &self.coords[start * LANES * self.dim..end * LANES * self.dim];
        let (first, potential) = (start * LANES, &self.potential[start * LANES..end * LANES]);
        let mut values = [0.0; TILES_HIGH * LANES];
        let values = &mut values[..potential.len()];
        // The call through the dispatcher pays where there is more than a tile.
        let least = if D > 0 {
            reduced_costs(self.cost, known::<D>(query), coords, potential, values)
        } else {
            wide_reduced_costs(self.cost, query, coords, potential, values)
        };
        if least >= threshold(k, limit, found) {
            return;
        }
        for (j, &reduced) in values.iter().enumerate() {
            if reduced < threshold(k, limit, found) {
                if found.len() == k {
                    found.pop();
                }
                let at = found.partition_point(|offer| offer.reduced <= reduced);
                found.insert(at, Offer { reduced, index: self.ids[first + j] });
            }
        }
    }

    /// Lower bound of the reduced cost over a cell.
    #[inline]
    fn bound<const D: usize>(&self, cell: usize, query: &[f64]) -> f64 {
        let query = known::<D>(query);
        let corners = &self.boxes[2 * query.len() * cell..][..2 * query.len()];
        let (lower, upper) = corners.split_at(query.len());
        let mut sum = 0.0;
        for ((&q, &low), &high) in query.iter().zip(lower).zip(upper) {
            let gap = (low - q).max(q - high).max(0.0);
            sum += gap * gap;
        }
        self.cost.of_squared(sum) - self.top[cell]
    }
}

/// The coordinates, in a slice whose length the compiler knows if `D` is not zero.
#[inline(always)]
fn known<const D: usize>(query: &[f64]) -> &[f64] {
    if D > 0 { &query[..D] } else { query }
}

fn threshold(k: usize, limit: f64, found: &[Offer]) -> f64 {
    if found.len() < k { limit } else { found[k - 1].reduced }
}

/// Reduced costs of tiles, and the least of them.
#[inline(always)]
fn reduced_costs(
    cost: GroundCost,
    query: &[f64],
    coords: &[f64],
    potential: &[f64],
    values: &mut [f64],
) -> f64 {
    let mut least = [f64::INFINITY; LANES];
    let tiles = coords.chunks_exact(query.len() * LANES);
    let potential = potential.as_chunks::<LANES>().0;
    let values = values.as_chunks_mut::<LANES>().0;
    for ((tile, potential), values) in tiles.zip(potential).zip(values) {
        let mut sum: [f64; LANES] = [0.0; LANES];
        for (&q, row) in query.iter().zip(tile.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                sum[lane] += (q - row[lane]) * (q - row[lane]);
            }
        }
        for lane in 0..LANES {
            values[lane] = cost.of_squared(sum[lane]) - potential[lane];
            least[lane] = if values[lane] < least[lane] { values[lane] } else { least[lane] };
        }
    }
    least.into_iter().fold(f64::INFINITY, f64::min)
}

/// The same with the widest registers there are: no result depends on which.
#[multiversion::multiversion(
    targets("x86_64+avx512f+avx512vl+avx2", "x86_64+avx2"),
    dispatcher = "direct"
)]
fn wide_reduced_costs(
    cost: GroundCost,
    query: &[f64],
    coords: &[f64],
    potential: &[f64],
    values: &mut [f64],
) -> f64 {
    reduced_costs(cost, query, coords, potential, values)
}
