//! A lower bound for displacements that are small beside what they vary over: potentials so smooth that their
//! transform is known everywhere.
//!
//! With $\varphi$ a quadratic spline whose second derivatives are below $\lambda < 1$, $f = |x|^2/2 - \varphi$ is convex, and
//! $\psi(y) = \min_x \frac12 |x - y|^2 - \varphi(x)$ is found by Newton's method; no other minimum has to be looked for.
//! Where second derivatives are above $-\delta$, $\psi - \frac{\delta}{1 + \delta} |y|^2 / 2$ is concave, so that its mean over a
//! piece of a cell is at least the mean over the corners.

use rayon::prelude::*;

use super::poisson::Conductances;
use super::spline::Refinement;

/// Second derivatives have to stay below.
const STEEPEST: f64 = 0.95;
const NEWTON_STEPS: usize = 20;

/// The dual problem of two laws in quadratic splines, one coefficient a cell.
pub(super) struct Smooth<'a> {
    grid: Refinement,
    p: &'a [f64],
    q: &'a [f64],
    /// The second law at the nodes of the refinement.
    spread: Vec<f64>,
}

/// A potential with what it proves.
pub(super) struct Point {
    pub(super) coefficients: Vec<f64>,
    /// A lower bound of $W_2^2$.
    pub(super) bound: f64,
    /// Slope of half the bound in the coefficients.
    slope: Vec<f64>,
}

impl<'a> Smooth<'a> {
    pub(super) fn new(grid: Refinement, p: &'a [f64], q: &'a [f64]) -> Self {
        Self { grid, p, q, spread: grid.spread(q) }
    }

    /// What these coefficients prove; nothing where second derivatives are too large.
    pub(super) fn point(&self, coefficients: Vec<f64>) -> Option<Point> {
        let net = Net { grid: self.grid, coefficients: &coefficients };
        let bends = net.second_derivatives();
        let steepest = bends.iter().fold(0.0, |most: f64, bend| most.max(bend.1));
        if steepest.is_nan() || steepest > STEEPEST {
            return None;
        }
        let (nodes, step) = (self.grid.nodes(), self.grid.step());
        let means = averages(self.grid.shape, self.p);
        let mut sum = dot(&means, &coefficients);
        let mut slope = means;
        let found: Vec<(f64, [f64; 2])> = (0..nodes[0] * nodes[1])
            .into_par_iter()
            .map(|k| {
                let y = [(k / nodes[1]) as f64 * step[0], (k % nodes[1]) as f64 * step[1]];
                net.transform(y, steepest)
            })
            .collect();
        for (&(value, x), &q) in found.iter().zip(&self.spread) {
            if q > 0.0 {
                sum += q * value;
                net.taps(x, |k, weight| slope[k] -= q * weight);
            }
        }
        let reach = net.reach();
        let lost = (step[0] * step[0] + step[1] * step[1]) / 12.0;
        let windows = widest(self.grid.shape, reach, bends.iter().map(|bend| (-bend.0).max(0.0)));
        for (q, bend) in self.q.iter().zip(windows) {
            sum -= q * lost * bend / (1.0 + bend);
        }
        Some(Point { coefficients, bound: 2.0 * sum, slope })
    }

    /// Climbs along slopes that the Poisson equation makes smooth.
    pub(super) fn climb(
        &self,
        conductances: &Conductances,
        mut here: Point,
        rounds: usize,
    ) -> Point {
        let mut step = 1.0;
        for _ in 0..rounds {
            let direction = conductances.solve(&here.slope);
            if direction.energy <= 1e-4 * here.bound.abs() {
                break;
            }
            let mut found = None;
            for _ in 0..6 {
                let there = here.coefficients.iter().zip(&direction.potential);
                let there = self.point(there.map(|(a, d)| a + step * d).collect());
                found = there.filter(|there| there.bound > here.bound);
                if found.is_some() {
                    break;
                }
                step *= 0.5;
            }
            let Some(there) = found else { break };
            here = there;
            step = (1.5 * step).min(1.0);
        }
        here
    }
}

/// A quadratic spline on cells, continued with the outermost coefficients.
struct Net<'a> {
    grid: Refinement,
    coefficients: &'a [f64],
}

impl Net<'_> {
    fn at(&self, i: isize, j: isize) -> f64 {
        let [n, m] = self.grid.shape;
        let inside = |k: isize, cells: usize| k.clamp(0, cells as isize - 1) as usize;
        self.coefficients[inside(i, n) * m + inside(j, m)]
    }

    /// For every cell bounds of the eigenvalues of the second derivatives, from differences of coefficients, in whose convex
    /// hull they lie.
    fn second_derivatives(&self) -> Vec<(f64, f64)> {
        let ([n, m], [hx, hy]) = (self.grid.shape, self.grid.spacing);
        let xx = |i: isize, j: isize| {
            (self.at(i + 1, j) - 2.0 * self.at(i, j) + self.at(i - 1, j)) / (hx * hx)
        };
        let yy = |i: isize, j: isize| {
            (self.at(i, j + 1) - 2.0 * self.at(i, j) + self.at(i, j - 1)) / (hy * hy)
        };
        let xy = |i: isize, j: isize| {
            let (ahead, behind) =
                (self.at(i + 1, j + 1) - self.at(i + 1, j), self.at(i, j + 1) - self.at(i, j));
            (ahead - behind) / (hx * hy)
        };
        let eigenvalue = |a: f64, d: f64, b: f64, sign: f64| {
            0.5 * (a + d) + sign * (0.25 * (a - d) * (a - d) + b * b).sqrt()
        };
        (0..n * m)
            .map(|k| {
                let (i, j) = ((k / m) as isize, (k % m) as isize);
                let (xs, ys) = ([-1, 0, 1].map(|d| xx(i, j + d)), [-1, 0, 1].map(|d| yy(i + d, j)));
                let mixed = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(a, b)| xy(i - a, j - b).abs());
                let most = |v: &[f64]| v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let least = |v: &[f64]| v.iter().copied().fold(f64::INFINITY, f64::min);
                let b = most(&mixed);
                (
                    eigenvalue(least(&xs), least(&ys), b, -1.0),
                    eigenvalue(most(&xs), most(&ys), b, 1.0),
                )
            })
            .collect()
    }

    /// Cells that a displacement reaches at most, and one more.
    fn reach(&self) -> usize {
        let ([n, m], [hx, hy]) = (self.grid.shape, self.grid.spacing);
        let (mut dx, mut dy) = (0.0_f64, 0.0_f64);
        for i in 0..n as isize {
            for j in 0..m as isize {
                dx = dx.max((self.at(i + 1, j) - self.at(i, j)).abs() / (hx * hx));
                dy = dy.max((self.at(i, j + 1) - self.at(i, j)).abs() / (hy * hy));
            }
        }
        dx.max(dy).ceil() as usize + 1
    }

    /// Cells whose coefficients count at a point, with their weights.
    fn taps(&self, x: [f64; 2], mut each: impl FnMut(usize, f64)) {
        let [n, m] = self.grid.shape;
        let (i, wx) = basis(x[0] / self.grid.spacing[0]);
        let (j, wy) = basis(x[1] / self.grid.spacing[1]);
        let inside = |k: isize, cells: usize| k.clamp(0, cells as isize - 1) as usize;
        for (a, wx) in (-1..=1).zip(wx[0]) {
            for (b, wy) in (-1..=1).zip(wy[0]) {
                each(inside(i + a, n) * m + inside(j + b, m), wx * wy);
            }
        }
    }

    /// Value, slope and second derivatives (xx, xy, yy).
    fn jet(&self, x: [f64; 2]) -> (f64, [f64; 2], [f64; 3]) {
        let [hx, hy] = self.grid.spacing;
        let (i, wx) = basis(x[0] / hx);
        let (j, wy) = basis(x[1] / hy);
        // Value, first and second derivative along y of the three rows.
        let mut rows = [[0.0; 3]; 3];
        for (a, row) in (-1..=1).zip(&mut rows) {
            let near = [-1, 0, 1].map(|b| self.at(i + a, j + b));
            for (value, weights) in row.iter_mut().zip(&wy) {
                *value = weights.iter().zip(&near).map(|(w, c)| w * c).sum();
            }
        }
        let mix = |x_order: usize, y_order: usize| -> f64 {
            wx[x_order].iter().zip(&rows).map(|(w, row)| w * row[y_order]).sum()
        };
        let second = [mix(2, 0) / (hx * hx), mix(1, 1) / (hx * hy), mix(0, 2) / (hy * hy)];
        (mix(0, 0), [mix(1, 0) / hx, mix(0, 1) / hy], second)
    }

    /// $\min_x \frac12 |x - y|^2 - \varphi(x)$, from below, and where.
    fn transform(&self, y: [f64; 2], steepest: f64) -> (f64, [f64; 2]) {
        let mut x = y;
        let mut best = (f64::NEG_INFINITY, y);
        for _ in 0..NEWTON_STEPS {
            let (value, slope, [xx, xy, yy]) = self.jet(x);
            let (dx, dy) = (x[0] - y[0], x[1] - y[1]);
            let (rx, ry) = (dx - slope[0], dy - slope[1]);
            // As the function is convex, its minimum is at most this much lower.
            let lower = (rx * rx + ry * ry) / (2.0 * (1.0 - steepest));
            let here = 0.5 * (dx * dx + dy * dy) - value - lower;
            if here > best.0 {
                best = (here, x);
            }
            if lower <= 1e-14 * (dx * dx + dy * dy) {
                break;
            }
            let (a, d) = (1.0 - xx, 1.0 - yy);
            let determinant = a * d - xy * xy;
            x = [x[0] - (d * rx + xy * ry) / determinant, x[1] - (xy * rx + a * ry) / determinant];
        }
        best
    }
}

/// Cell and weights of the quadratic B-spline and of its derivatives at a position in cells.
fn basis(position: f64) -> (isize, [[f64; 3]; 3]) {
    let cell = position.floor();
    let t = position - cell;
    let value = [0.5 * (1.0 - t) * (1.0 - t), 0.5 + t * (1.0 - t), 0.5 * t * t];
    (cell as isize, [value, [t - 1.0, 1.0 - 2.0 * t, t], [1.0, -2.0, 1.0]])
}

/// Weights of the coefficients in $\int \varphi dp$: each cell's mean of the spline is 1/6, 4/6, 1/6 of its neighbours' coefficients.
fn averages(shape: [usize; 2], masses: &[f64]) -> Vec<f64> {
    let [n, m] = shape;
    let mut out = vec![0.0; n * m];
    let thirds = |k: usize, cells: usize| {
        [(k.saturating_sub(1), 1.0 / 6.0), (k, 2.0 / 3.0), ((k + 1).min(cells - 1), 1.0 / 6.0)]
    };
    for i in 0..n {
        for j in 0..m {
            for (a, wx) in thirds(i, n) {
                for (b, wy) in thirds(j, m) {
                    out[a * m + b] += wx * wy * masses[i * m + j];
                }
            }
        }
    }
    out
}

/// The largest value within `reach` cells along either axis.
fn widest(shape: [usize; 2], reach: usize, values: impl Iterator<Item = f64>) -> Vec<f64> {
    let [n, m] = shape;
    let values: Vec<f64> = values.collect();
    let most = |range: &mut dyn Iterator<Item = f64>| range.fold(0.0, f64::max);
    let along_y: Vec<f64> = (0..n * m)
        .map(|k| {
            let (i, j) = (k / m, k % m);
            most(&mut (j.saturating_sub(reach)..m.min(j + reach + 1)).map(|j| values[i * m + j]))
        })
        .collect();
    (0..n * m)
        .map(|k| {
            let (i, j) = (k / m, k % m);
            most(&mut (i.saturating_sub(reach)..n.min(i + reach + 1)).map(|i| along_y[i * m + j]))
        })
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
