//! The gap of a model between the nodes and the times at which it was computed.

use ndarray::Array2;
use sde_core::{Error, Result, Score};

use crate::fokker_planck::Grid;

/// Times that an interpolation looks at.
const NEAR: usize = 4;

/// $r = \log p^S_t - \varphi_t$ (or any function of place and time) in the plane from its values at the nodes of a grid and at some
/// times: a cubic spline in space, and in time the cubic through the four nearest in $\log(t + c)$.
///
/// Errors of the gradient are of order three in the distance of nodes and four in that of times; [`GapField::coarser`] is the field of
/// every other node and every other time, whose difference bounds them where they fall as they should. Outside of the nodes
/// the field goes on as at the border.
///
/// ```
/// use fp_residual::bounds::GapField;
/// use fp_residual::fokker_planck::Grid;
/// let grid = Grid::new(2, -1.0, 1.0, 41)?;
/// let (nodes, times) = (grid.points(), [1.0, 0.6, 0.3, 0.1, 0.0]);
/// let at = |t: f64| nodes.rows().into_iter().map(|x| (x[0] + 0.5 * x[1] * t).sin()).collect();
/// let field = GapField::new(&grid, &times, 0.1, times.map(at).to_vec())?;
/// let slope = field.gradient([0.2, -0.3], 0.0);
/// assert!((slope[0] - 0.2_f64.cos()).abs() < 1e-4 && slope[1].abs() < 1e-4);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GapField {
    /// The first node and the distance of nodes.
    lower: f64,
    spacing: f64,
    /// Nodes along an axis.
    n: usize,
    shift: f64,
    /// Times, ascending.
    times: Vec<f64>,
    /// Values at the nodes and coefficients of the splines, a time each.
    values: Vec<Vec<f64>>,
    coefficients: Vec<Vec<f64>>,
}

impl GapField {
    /// From values at the nodes of a grid of the plane (last axis fastest), a vector a time; `shift` is $c$.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a line, fewer than four nodes along an axis, no time, times that do not descend, a shift that
    /// is not positive; [`Error::Shape`] for another number of values; [`Error::NonFinite`] for values that are not finite.
    pub fn new(grid: &Grid, times: &[f64], shift: f64, values: Vec<Vec<f64>>) -> Result<Self> {
        let axis = grid.axis();
        if grid.dim() != 2 || axis.len() < 4 {
            let found = format!("{} nodes along each of {} axes", axis.len(), grid.dim());
            return refuse("grid", found, "must be in the plane, with four nodes at least");
        }
        let descending = times.windows(2).all(|pair| pair[1] < pair[0]);
        if times.is_empty() || !descending || !times.iter().all(|t| t.is_finite()) {
            return refuse("times", format!("{times:?}"), "must descend");
        }
        if !(shift > 0.0 && times[times.len() - 1] + shift > 0.0) {
            return refuse("shift", shift.to_string(), "must be above zero");
        }
        let (mut times, mut values) = (times.to_vec(), values);
        let expected = vec![times.len(), grid.n_nodes()];
        if values.len() != times.len() || values.iter().any(|v| v.len() != grid.n_nodes()) {
            let found = vec![values.len(), values.first().map_or(0, Vec::len)];
            return Err(Error::Shape { expected, found });
        }
        times.reverse();
        values.reverse();
        Self::ascending((axis[0], grid.spacing(), axis.len()), shift, times, values)
    }

    fn ascending(
        (lower, spacing, n): (f64, f64, usize),
        shift: f64,
        times: Vec<f64>,
        values: Vec<Vec<f64>>,
    ) -> Result<Self> {
        for at in &values {
            if let Some(row) = at.iter().position(|v| !v.is_finite()) {
                let what = "the value at a node";
                return Err(Error::NonFinite { what, value: at[row], row });
            }
        }
        let coefficients = values.iter().map(|at| spline(at, n)).collect();
        Ok(Self { lower, spacing, n, shift, times, values, coefficients })
    }

    /// The field of every other node and every other time, the first and the last of these included.
    ///
    /// # Errors
    /// [`Error::Parameter`] where that leaves fewer than four nodes along an axis.
    pub fn coarser(&self) -> Result<Self> {
        let n = self.n.div_ceil(2);
        if n < 4 {
            return refuse("nodes", self.n.to_string(), "are too few for half of them");
        }
        let last = self.times.len() - 1;
        let kept: Vec<usize> = (0..=last).filter(|k| k % 2 == 0 || *k == last).collect();
        let every_other = |at: &Vec<f64>| {
            let node = |k: usize| at[2 * (k / n) * self.n + 2 * (k % n)];
            (0..n * n).map(node).collect()
        };
        let values = kept.iter().map(|&k| every_other(&self.values[k])).collect();
        let times = kept.iter().map(|&k| self.times[k]).collect();
        Self::ascending((self.lower, 2.0 * self.spacing, n), self.shift, times, values)
    }

    /// The gradient at a point.
    #[must_use]
    pub fn gradient(&self, x: [f64; 2], t: f64) -> [f64; 2] {
        let (first, weights) = self.around(t);
        let [(i, u), (j, v)] = x.map(|x| self.place(x));
        let ([value_i, slope_i], [value_j, slope_j]) = (basis(u), basis(v));
        let mut sums = [0.0; 2];
        for (k, weight) in weights.into_iter().enumerate().filter(|(_, w)| *w != 0.0) {
            let of = &self.coefficients[first + k];
            for a in 0..4 {
                let row = self.mirrored(i + a as isize - 1) * self.n;
                let (mut along, mut across) = (0.0, 0.0);
                for b in 0..4 {
                    let c = of[row + self.mirrored(j + b as isize - 1)];
                    along += value_j[b] * c;
                    across += slope_j[b] * c;
                }
                sums[0] += weight * slope_i[a] * along;
                sums[1] += weight * value_i[a] * across;
            }
        }
        sums.map(|sum| sum / self.spacing)
    }

    /// Gradients at rows, `[N, 2]`.
    ///
    /// # Panics
    /// Where rows have other than two elements.
    #[must_use]
    pub fn gradients(&self, x: &Array2<f64>, t: f64) -> Array2<f64> {
        let mut out = Array2::zeros(x.dim());
        for (x, mut out) in x.outer_iter().zip(out.outer_iter_mut()) {
            let slope = self.gradient([x[0], x[1]], t);
            out[0] = slope[0];
            out[1] = slope[1];
        }
        out
    }

    /// The first of the times around `t`, and the weights of it and those that follow.
    fn around(&self, t: f64) -> (usize, [f64; NEAR]) {
        let after = self.times.partition_point(|known| *known < t);
        let near = NEAR.min(self.times.len());
        let first = after.saturating_sub(NEAR / 2).min(self.times.len() - near);
        let clock = |t: f64| (t + self.shift).ln();
        let (at, mut weights) = (clock(t), [0.0; NEAR]);
        for (i, weight) in weights.iter_mut().enumerate().take(near) {
            let own = clock(self.times[first + i]);
            let others = (0..near).filter(|j| *j != i).map(|j| clock(self.times[first + j]));
            *weight = others.map(|other| (at - other) / (own - other)).product();
        }
        (first, weights)
    }

    /// The node before a coordinate, and the share of the way to the next.
    fn place(&self, x: f64) -> (isize, f64) {
        let at = ((x - self.lower) / self.spacing).clamp(0.0, (self.n - 1) as f64);
        let node = at.floor().min((self.n - 2) as f64);
        (node as isize, at - node)
    }

    fn mirrored(&self, i: isize) -> usize {
        let last = self.n as isize - 1;
        let i = i.abs();
        (if i > last { 2 * last - i } else { i }) as usize
    }
}

/// The score of the law of the SDE: that of the model and the gradient of a field.
///
/// ```
/// use fp_residual::bounds::{GapField, LawScore};
/// use fp_residual::fokker_planck::Grid;
/// use ndarray::{Array2, array};
/// use sde_core::{FnScore, Score};
/// let grid = Grid::new(2, -1.0, 1.0, 9)?;
/// let field = GapField::new(&grid, &[1.0, 0.0], 0.1, vec![vec![2.0; 81]; 2])?;
/// let model = FnScore::new(|x: &Array2<f64>, _| Ok(-x));
/// let law = LawScore { score: &model, field: &field };
/// // Without a gradient of r the law has the score of the model.
/// let x = array![[0.3, -0.2]];
/// let off = law.score(&x, 0.5)? + x;
/// assert!(off.iter().all(|v| v.abs() < 1e-12), "{off}");
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct LawScore<'a> {
    /// The model.
    pub score: &'a dyn Score<Array2<f64>>,
    /// $r$.
    pub field: &'a GapField,
}

impl Score<Array2<f64>> for LawScore<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        if x.ncols() != 2 {
            let (expected, found) = (vec![x.nrows(), 2], x.shape().to_vec());
            return Err(Error::Shape { expected, found });
        }
        Ok(self.score.score(x, t)? + self.field.gradients(x, t))
    }
}

/// Cubic B-splines over a cell and their slopes, of the four nodes around it.
fn basis(u: f64) -> [[f64; 4]; 2] {
    let v = 1.0 - u;
    let value = [
        v * v * v / 6.0,
        (4.0 - 6.0 * u * u + 3.0 * u * u * u) / 6.0,
        (4.0 - 6.0 * v * v + 3.0 * v * v * v) / 6.0,
        u * u * u / 6.0,
    ];
    let slope = [-0.5 * v * v, u * (1.5 * u - 2.0), v * (2.0 - 1.5 * v), 0.5 * u * u];
    [value, slope]
}

/// Coefficients of the spline through values on `n` by `n` nodes that is mirrored at the border (Unser 1999, "Splines: a perfect fit for
/// signal and image processing", box 2).
fn spline(values: &[f64], n: usize) -> Vec<f64> {
    let mut c = values.to_vec();
    let mut line = vec![0.0; n];
    for (along, across) in [(1, n), (n, 1)] {
        for l in 0..n {
            (0..n).for_each(|i| line[i] = c[l * across + i * along]);
            filter(&mut line);
            (0..n).for_each(|i| c[l * across + i * along] = line[i]);
        }
    }
    c
}

fn filter(line: &mut [f64]) {
    let (pole, last) = (3.0_f64.sqrt() - 2.0, line.len() - 1);
    // Powers of the pole below rounding are left out.
    let (mut power, mut first) = (1.0, 0.0);
    for k in 0..32 {
        let at = k % (2 * last);
        first += power * line[if at > last { 2 * last - at } else { at }];
        power *= pole;
    }
    line[0] = first;
    for i in 1..=last {
        line[i] += pole * line[i - 1];
    }
    line[last] = pole / (pole * pole - 1.0) * (line[last] + pole * line[last - 1]);
    for i in (0..last).rev() {
        line[i] = pole * (line[i + 1] - line[i]);
    }
    line.iter_mut().for_each(|c| *c *= 6.0);
}

fn refuse<T>(name: &str, value: String, reason: &str) -> Result<T> {
    Err(Error::Parameter { name: name.into(), value, reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Least squares over dyadic grids: the gradient gains at least a factor of eight with every halving, within the box.
    #[test]
    fn gradients_are_of_order_three() -> Result<()> {
        let value = |x: &[f64], t: f64| (1.3 * x[0] + t).sin() * (0.7 * x[1] - t * t).exp();
        let mut points = vec![];
        for level in 0..4 {
            let n = (16 << level) + 1;
            let grid = Grid::new(2, -2.0, 2.0, n)?;
            let steps = 8 << level;
            let times: Vec<f64> =
                (0..=steps).rev().map(|k| f64::from(k) / f64::from(steps)).collect();
            let nodes = grid.points();
            let at = |t: &f64| nodes.rows().into_iter().map(|x| value(&x.to_vec(), *t)).collect();
            let field = GapField::new(&grid, &times, 0.3, times.iter().map(at).collect())?;
            let mut worst = 0.0_f64;
            for k in 0..200 {
                let k = f64::from(k);
                let (x, t) = ([(0.37 * k).sin(), (1.71 * k).cos()], (0.5 + 0.5 * (2.3 * k).sin()));
                let found = field.gradient(x, t);
                let e = (0.7 * x[1] - t * t).exp();
                let truth = [1.3 * (1.3 * x[0] + t).cos() * e, 0.7 * (1.3 * x[0] + t).sin() * e];
                worst = worst.max((found[0] - truth[0]).abs()).max((found[1] - truth[1]).abs());
            }
            points.push((f64::from(level), worst.log2()));
        }
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / 4.0;
        let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
        let along: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
        let order = -along / points.iter().map(|p| (p.0 - mx).powi(2)).sum::<f64>();
        assert!(order > 2.85, "{order} {points:?}");
        Ok(())
    }

    #[test]
    fn what_is_no_field_is_refused() -> Result<()> {
        let grid = Grid::new(2, -1.0, 1.0, 5)?;
        let at = |values: usize| vec![vec![0.0; values]; 2];
        assert!(GapField::new(&grid, &[1.0, 0.0], 0.1, at(25)).is_ok());
        assert!(GapField::new(&grid, &[0.0, 1.0], 0.1, at(25)).is_err());
        assert!(GapField::new(&grid, &[1.0, 0.0], 0.0, at(25)).is_err());
        assert!(GapField::new(&grid, &[1.0, 0.0], 0.1, at(24)).is_err());
        assert!(GapField::new(&Grid::new(1, -1.0, 1.0, 25)?, &[1.0, 0.0], 0.1, at(25)).is_err());
        assert!(GapField::new(&grid, &[1.0, 0.0], 0.1, vec![vec![f64::NAN; 25]; 2]).is_err());
        assert!(GapField::new(&grid, &[1.0, 0.0], 0.1, at(25))?.coarser().is_err());
        Ok(())
    }
}
