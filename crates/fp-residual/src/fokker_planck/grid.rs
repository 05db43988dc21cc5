//! Nodes, the cells around them, and the finer cells that equations are solved on.

use ndarray::Array2;
use sde_core::counts::in_memory;
use sde_core::{Error, Result};
use solvers::SolveError;

/// Nodes evenly spaced along every axis of a line or a square, and the cells around them: a point belongs to its nearest
/// node, and cells end with the outermost nodes, so that those on the border are halves, and quarters in the corners.
///
/// What lies outside the box is no part of any cell; equations are solved on a larger box, with a margin around it.
///
/// # Shapes
/// One value a node, the last axis fastest: node `[i, j]` of `n` along an axis is number `i n + j`, at `(x_i, x_j)`.
///
/// ```
/// use fp_residual::fokker_planck::Grid;
/// let grid = Grid::published(); // 64 x 64 nodes on [-3.5, 3.5]^2
/// assert_eq!(grid.points().dim(), (4096, 2));
/// assert!((grid.spacing() - 1.0 / 9.0).abs() < 1e-15);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    dim: usize,
    lower: f64,
    upper: f64,
    nodes: usize,
    margin: usize,
}

impl Grid {
    /// `nodes` along each of `dim` axes from `lower` to `upper`, with a margin of a seventh of the length (see
    /// [`Grid::with_margin`]).
    ///
    /// # Errors
    /// [`Error::Parameter`] for other than one or two dimensions, fewer than two nodes, or no interval;
    /// [`Error::Excess`] for more nodes than there is memory for.
    pub fn new(dim: usize, lower: f64, upper: f64, nodes: usize) -> Result<Self> {
        if !(dim == 1 || dim == 2) {
            return refuse("dim", dim, "a grid has one axis or two");
        }
        if !(lower.is_finite() && upper.is_finite() && lower < upper) {
            return refuse("box", format!("{lower}..{upper}"), "must be an interval");
        }
        if nodes < 2 {
            return refuse("nodes", nodes, "must be at least 2");
        }
        let axes = [("nodes", nodes as u64), ("nodes", nodes as u64)];
        in_memory(&axes[..dim], 200).map_err(Error::Excess)?;
        Self { dim, lower, upper, nodes, margin: 1 }.with_margin((upper - lower) / 7.0)
    }

    /// Those of the published histograms: 64 by 64 nodes on `[-3.5, 3.5]^2`, spacing 1/9, and a margin of 1.
    ///
    /// # Reference
    /// Deveney et al. 2025, arXiv 2311.15996, section 5.
    pub fn published() -> Self {
        Self { dim: 2, lower: -3.5, upper: 3.5, nodes: 64, margin: 9 }
    }

    /// With this margin at least beyond the outermost nodes, in whole spacings. What drifts out of it does not return:
    /// the margin is wide enough when the results no longer depend on it.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless it is finite and not negative.
    pub fn with_margin(self, margin: f64) -> Result<Self> {
        let spacings = (margin / self.spacing() - 1e-9).ceil();
        if !(margin >= 0.0 && spacings < 1e6) {
            return refuse("margin", margin, "must be finite and not negative");
        }
        Ok(Self { margin: (spacings as usize).max(1), ..self })
    }

    /// How many axes there are.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The distance of neighbouring nodes.
    pub fn spacing(&self) -> f64 {
        (self.upper - self.lower) / (self.nodes - 1) as f64
    }

    /// The nodes along an axis.
    pub fn axis(&self) -> Vec<f64> {
        // From both ends, so that a symmetric box has symmetric nodes.
        let last = (self.nodes - 1) as f64;
        let at = |i: usize| (self.lower * (last - i as f64) + self.upper * i as f64) / last;
        (0..self.nodes).map(at).collect()
    }

    /// All nodes, `[N, dim]`.
    pub fn points(&self) -> Array2<f64> {
        Self::every(&self.axis(), self.dim)
    }

    /// How many nodes there are in all.
    pub fn n_nodes(&self) -> usize {
        self.nodes.pow(self.dim as u32)
    }

    /// The volume of the box.
    pub(super) fn volume(&self) -> f64 {
        (self.upper - self.lower).powi(self.dim as i32)
    }

    /// How many nodes there are along an axis.
    pub(super) fn n_along(&self) -> usize {
        self.nodes
    }

    /// The place of a node, or of its cell, along both axes; of a line only the second counts.
    #[cfg(test)]
    pub(super) fn place(&self, node: usize) -> [usize; 2] {
        [node / self.nodes, node % self.nodes]
    }

    /// Where the cell of a node begins and ends along an axis, by its place there.
    pub(super) fn ends(&self, place: usize) -> [f64; 2] {
        let last = (self.nodes - 1) as f64;
        [place as f64 - 0.5, place as f64 + 0.5].map(|at| {
            let at = at.clamp(0.0, last);
            (self.lower * (last - at) + self.upper * at) / last
        })
    }

    /// Every combination of coordinates, `[n^dim, dim]`, the last axis fastest.
    pub(super) fn every(axis: &[f64], dim: usize) -> Array2<f64> {
        let n = axis.len();
        let at = |(row, j): (usize, usize)| axis[if j + 1 == dim { row % n } else { row / n }];
        Array2::from_shape_fn((n.pow(dim as u32), dim), at)
    }

    /// Cells of `1/k` of a spacing over the box and its margin.
    pub(super) fn mesh(&self, k: usize) -> Result<Mesh> {
        self.cells(k, self.margin)
    }

    /// The same over the box alone.
    pub(super) fn inner_mesh(&self, k: usize) -> Result<Mesh> {
        self.cells(k, 0)
    }

    fn cells(&self, k: usize, margin: usize) -> Result<Mesh> {
        if k == 0 || !k.is_multiple_of(2) {
            return refuse("cells", k, "a spacing is divided into an even number of cells");
        }
        let spacings = (self.nodes - 1 + 2 * margin) as u64;
        let axes = [("spacings", spacings), ("cells", k as u64)];
        let all = [axes[0], axes[1], axes[0], axes[1]];
        in_memory(&all[..2 * self.dim], 200).map_err(Error::Excess)?;
        let n = (self.nodes - 1 + 2 * margin) * k;
        Ok(Mesh { dim: self.dim, n, k, margin, nodes: self.nodes, grid: self.clone() })
    }
}

/// A parameter that is refused.
pub(super) fn refuse<T>(name: &str, value: impl ToString, reason: &str) -> Result<T> {
    let (name, value, reason) = (name.into(), value.to_string(), reason.into());
    Err(Error::Parameter { name, value, reason })
}

/// An error of a solve along paths.
pub(super) fn outer(error: SolveError) -> Error {
    Error::Model(Box::new(error))
}

/// Times from `from` to `to` in `n` steps that are even in `log(t + shift)`.
pub(super) fn geometric(from: f64, to: f64, n: usize, shift: f64) -> Vec<f64> {
    let (first, last) = ((from + shift).ln(), (to + shift).ln());
    let at = |i: usize| match i {
        0 => from,
        i if i == n => to,
        i => (first + (last - first) * i as f64 / n as f64).exp() - shift,
    };
    (0..=n).map(at).collect()
}

/// `n` times from the horizon `T` down to 0, even in `log((t + c) / (T - t + c))` with `c = T / 100`: dense at both ends. Near 0 a law takes
/// its shape; near `T` the law of a sampler is its prior, and goes over to what the score says within a short time.
///
/// # Errors
/// A horizon that is not finite and positive, fewer than two times.
///
/// ```
/// use fp_residual::fokker_planck::graded_times;
/// let times = graded_times(10.0, 5)?;
/// assert_eq!([times[0], times[2], times[4]], [10.0, 5.0, 0.0]);
/// assert!((times[1] + times[3] - 10.0).abs() < 1e-12 && (times[3] - 0.823).abs() < 1e-3);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub fn graded_times(horizon: f64, n: usize) -> Result<Vec<f64>> {
    if !(horizon > 0.0 && horizon.is_finite()) {
        return refuse("horizon", horizon, "must be finite and positive");
    }
    if n < 2 {
        return refuse("times", n, "two at least are needed");
    }
    let (shift, last) = (0.01 * horizon, n - 1);
    let at = |k: usize| {
        let part = 1.0 - 2.0 * k as f64 / last as f64;
        let ratio = ((horizon + shift) / shift).powf(part);
        (((horizon + shift) * ratio - shift) / (1.0 + ratio)).clamp(0.0, horizon)
    };
    Ok((0..n)
        .map(|k| match k {
            0 => horizon,
            k if k == last => 0.0,
            k => at(k),
        })
        .collect())
}

/// Cubes of side `spacing / k`, such that every cell of the grid is a union of them and nodes are corners.
#[derive(Clone, Debug)]
pub(super) struct Mesh {
    pub(super) dim: usize,
    /// Cells along an axis.
    pub(super) n: usize,
    k: usize,
    /// Spacings beyond the outermost nodes.
    margin: usize,
    nodes: usize,
    grid: Grid,
}

impl Mesh {
    /// The side of a cell.
    pub(super) fn h(&self) -> f64 {
        self.grid.spacing() / self.k as f64
    }

    /// The volume of a cell.
    pub(super) fn volume(&self) -> f64 {
        self.h().powi(self.dim as i32)
    }

    /// How many cells there are.
    pub(super) fn len(&self) -> usize {
        self.n.pow(self.dim as u32)
    }

    /// The middles of cells along an axis.
    pub(super) fn axis(&self) -> Vec<f64> {
        self.places(0.5, self.n)
    }

    /// The faces along an axis, the two outermost included.
    pub(super) fn faces(&self) -> Vec<f64> {
        self.places(0.0, self.n + 1)
    }

    fn places(&self, shift: f64, n: usize) -> Vec<f64> {
        let (middle, h) = (0.5 * (self.grid.lower + self.grid.upper), self.h());
        (0..n).map(|i| middle + (i as f64 + shift - 0.5 * self.n as f64) * h).collect()
    }

    /// The middles of all cells, `[n^dim, dim]`.
    pub(super) fn centres(&self) -> Array2<f64> {
        Grid::every(&self.axis(), self.dim)
    }

    /// The middles of the inner faces across `axis`: `n - 1` along it, `n` along the other, which is fastest for
    /// axis 0 and slowest for axis 1.
    pub(super) fn inner_faces(&self, axis: usize) -> Array2<f64> {
        let (centres, faces) = (self.axis(), self.faces());
        let across = self.n.pow(self.dim as u32 - 1);
        let inner = self.n - 1;
        Array2::from_shape_fn((inner * across, self.dim), |(row, j)| match (axis, j == axis) {
            (0, true) => faces[1 + row / across],
            (0, false) => centres[row % across],
            (_, true) => faces[1 + row % inner],
            (_, false) => centres[row / inner],
        })
    }

    /// Whether a cell lies between the outermost nodes, by its place along an axis.
    pub(super) fn inside(&self, i: usize) -> bool {
        (self.margin * self.k..self.n - self.margin * self.k).contains(&i)
    }

    /// The sums over the cells around the nodes; what lies in the margin is in none.
    pub(super) fn node_sums(&self, of: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.grid.n_nodes()];
        let node =
            |i: usize| self.inside(i).then(|| (i - self.margin * self.k + self.k / 2) / self.k);
        for cell in 0..self.len() {
            let (i, j) = (cell / self.n, cell % self.n);
            match (self.dim, node(i), node(j)) {
                (1, _, Some(j)) => sums[j] += of(cell),
                (2, Some(i), Some(j)) => sums[i * self.nodes + j] += of(cell),
                _ => {}
            }
        }
        sums
    }

    /// Values at the nodes from those at the middles, by cubic interpolation between the two or sixteen nearest.
    pub(super) fn at_nodes(&self, of: impl Fn(usize) -> f64) -> Vec<f64> {
        const WEIGHTS: [f64; 4] = [-1.0 / 16.0, 9.0 / 16.0, 9.0 / 16.0, -1.0 / 16.0];
        let first = |i: usize| (self.margin + i) * self.k - 2;
        let at = |node: usize| {
            let (i, j) = (node / self.nodes, node % self.nodes);
            let along = |row: usize| {
                let terms = WEIGHTS.iter().enumerate().map(|(c, w)| w * of(row + first(j) + c));
                terms.sum::<f64>()
            };
            if self.dim == 1 {
                return along(0);
            }
            let rows = WEIGHTS.iter().enumerate();
            rows.map(|(r, w)| w * along((first(i) + r) * self.n)).sum()
        };
        (0..self.grid.n_nodes()).map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells are counted once, halves on the border; cubics are interpolated exactly.
    #[test]
    fn cells_make_up_the_box_and_cubics_are_exact_at_nodes() -> Result<()> {
        for dim in [1, 2] {
            let grid = Grid::new(dim, -1.0, 2.0, 7)?.with_margin(0.7)?;
            let mesh = grid.mesh(4)?;
            assert_eq!(mesh.n, (6 + 2 * 2) * 4);
            let sums = mesh.node_sums(|_| mesh.volume());
            assert!((sums.iter().sum::<f64>() - 3.0_f64.powi(dim as i32)).abs() < 1e-12);
            let full = 0.5_f64.powi(dim as i32);
            assert!((sums[0] - full / 2.0_f64.powi(dim as i32)).abs() < 1e-15);
            let middle = grid.n_nodes() / 2;
            assert!((sums[middle] - full).abs() < 1e-15);
            let cubic =
                |x: &[f64]| x.iter().map(|x| 0.3 * x * x * x - x * x + 0.1).product::<f64>();
            let centres = mesh.centres();
            let rows: Vec<f64> = centres.rows().into_iter().map(|r| cubic(&r.to_vec())).collect();
            let found = mesh.at_nodes(|cell| rows[cell]);
            for (found, node) in found.iter().zip(grid.points().rows()) {
                assert!((found - cubic(&node.to_vec())).abs() < 1e-12);
            }
        }
        Ok(())
    }

    #[test]
    fn faces_lie_between_the_cells_of_their_axis() -> Result<()> {
        let mesh = Grid::new(2, 0.0, 1.0, 3)?.mesh(2)?;
        let (h, n) = (mesh.h(), mesh.n);
        let centres = mesh.centres();
        for axis in 0..2 {
            let faces = mesh.inner_faces(axis);
            assert_eq!(faces.nrows(), (n - 1) * n);
            for (row, face) in faces.rows().into_iter().enumerate() {
                let before = if axis == 0 { row } else { row / (n - 1) * n + row % (n - 1) };
                assert!((face[axis] - centres[[before, axis]] - 0.5 * h).abs() < 1e-12);
                assert_eq!(face[1 - axis], centres[[before, 1 - axis]]);
            }
        }
        Ok(())
    }
}
