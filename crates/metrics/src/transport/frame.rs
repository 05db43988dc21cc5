//! From the coordinates a solver works in, centred and of size one, back to those of the caller.

use ndarray::{Array1, ArrayView1, ArrayView2};

use super::basis::SpanningTree;
use super::cloud::{self, Cloud, Optimum};
use super::cost::GroundCost;
use super::kd_tree::KdTree;
use super::line;
use super::masses::{Mass, Masses, integer_masses};
use super::plan::{Transport, TransportPlan};
use super::range::{check_coordinates, check_range, proves, to_one};
use super::side::Side;
use crate::error::Result;

/// What a solver found, with potentials a row each.
pub(super) struct Answer {
    pub(super) flows: Vec<(u32, u32, Mass)>,
    pub(super) dual: f64,
    pub(super) u: Array1<f64>,
    pub(super) v: Array1<f64>,
}

/// The two clouds, and how they are moved and stretched for the solver.
pub(crate) struct Frame<'a> {
    pub(super) cost: GroundCost,
    pub(super) x: ArrayView2<'a, f64>,
    pub(super) y: ArrayView2<'a, f64>,
    pub(super) source: Side<'a>,
    pub(super) target: Side<'a>,
    x_mean: Vec<f64>,
    y_mean: Vec<f64>,
    /// Difference of the means.
    delta: Vec<f64>,
    scale: f64,
    masses: Masses,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(
        cost: GroundCost,
        (x, a): (ArrayView2<'a, f64>, &'a [f64]),
        (y, b): (ArrayView2<'a, f64>, &'a [f64]),
    ) -> Result<Self> {
        check_coordinates(x.iter().chain(y))?;
        let (source, target) = (Side::new(x, a), Side::new(y, b));
        // The squared cost splits into the distance of the means and the cost between centred
        // clouds. Centring makes clouds overlap, which is faster.
        let (x_mean, y_mean) = match cost {
            GroundCost::SquaredEuclidean => (source.mean(), target.mean()),
            GroundCost::Euclidean => (source.origin(), source.origin()),
        };
        let delta = x_mean.iter().zip(&y_mean).map(|(p, q)| p - q).collect();
        let scale = to_one(source.extent(&x_mean).max(target.extent(&y_mean)));
        let of = |side: &Side, weights: &[f64]| -> Vec<f64> {
            side.rows().iter().map(|&row| weights[row as usize]).collect()
        };
        let masses = integer_masses(&of(&source, a), &of(&target, b));
        Ok(Self { cost, x, y, source, target, x_mean, y_mean, delta, scale, masses })
    }

    /// What the solver in doubles is given.
    fn clouds(&self) -> (Cloud, Cloud) {
        let from = self.source.stretched(&self.x_mean, self.scale, &self.masses.source);
        (from, self.target.stretched(&self.y_mean, self.scale, &self.masses.target))
    }

    /// The places as they are given.
    pub(super) fn places(&self) -> (Cloud, Cloud) {
        let origin = vec![0.0; self.x.ncols()];
        let from = self.source.stretched(&origin, 1.0, &self.masses.source);
        (from, self.target.stretched(&origin, 1.0, &self.masses.target))
    }

    /// Solves the problem: in doubles, and where these do not prove the value in exact numbers.
    pub(crate) fn transport(&self, mass: [f64; 2], keep_plan: bool) -> Result<Transport> {
        let clouds = self.clouds();
        let optimum = if self.x.ncols() == 1 {
            let (x, y) = self.places();
            let cost = |i: usize, j: usize| self.cost.between(clouds.0.point(i), clouds.1.point(j));
            let (flows, u, v) = line::solve(&x, &y, cost);
            Optimum { flows, u, v, tree: None }
        } else {
            cloud::solve(self.cost, &clouds.0, &clouds.1)?
        };
        let (mut answer, tree) = self.in_doubles(optimum, &clouds);
        let mut primal = self.primal(&answer.flows);
        if !self.is_proven(&answer, primal) {
            answer = self.exactly(tree, &answer);
            primal = self.primal(&answer.flows);
        }
        let moves = || answer.flows.iter().any(|&(i, j, _)| self.reach(i, j) > 0.0);
        let potentials = answer.u.iter().chain(&answer.v);
        let widest = self.delta.iter().fold(1.0 / self.scale, |most, d| most.max(d.abs()));
        check_range(primal != 0.0 || moves(), primal, potentials, widest)?;
        Ok(Transport {
            cost: self.cost,
            primal,
            dual: answer.dual,
            mass,
            plan: keep_plan.then(|| self.plan(&answer.flows)),
            source_potential: answer.u,
            target_potential: answer.v,
        })
    }

    pub(super) fn share(&self, mass: Mass) -> f64 {
        mass as f64 / self.masses.total as f64
    }

    /// The points of a flow.
    fn ends(&self, i: u32, j: u32) -> (ArrayView1<'_, f64>, ArrayView1<'_, f64>) {
        let (i, j) = (self.source.place(i as usize)[0], self.target.place(j as usize)[0]);
        (self.x.row(i as usize), self.y.row(j as usize))
    }

    /// The largest difference of coordinates of a flow.
    fn reach(&self, i: u32, j: u32) -> f64 {
        let (x, y) = self.ends(i, j);
        x.iter().zip(y).map(|(p, q)| (p - q).abs()).fold(0.0, f64::max)
    }

    /// The power of two that brings the longest move to about one: costs in use are numbers then.
    pub(super) fn unit(&self, flows: &[(u32, u32, Mass)]) -> f64 {
        to_one(flows.iter().map(|&(i, j, _)| self.reach(i, j)).fold(0.0, f64::max))
    }

    /// Cost of the flows. Every term is positive and of the given coordinates, so nothing cancels.
    fn primal(&self, flows: &[(u32, u32, Mass)]) -> f64 {
        let unit = self.unit(flows);
        let cost = |i: u32, j: u32| {
            let (x, y) = self.ends(i, j);
            let terms = x.iter().zip(y).map(|(p, q)| (p - q) * unit);
            self.cost.of_squared(terms.map(|d| d * d).sum())
        };
        let moved = flows.iter().map(|&(i, j, m)| self.share(m) * cost(i, j)).sum();
        self.unstretched(moved, unit)
    }

    /// What doubles found, in the coordinates of the caller.
    fn in_doubles(
        &self,
        mut optimum: Optimum,
        clouds: &(Cloud, Cloud),
    ) -> (Answer, Option<SpanningTree>) {
        // Only sums of a potential of either side matter. With zero where most of the mass is, the
        // dual value loses least to rounding.
        let heaviest = (0..clouds.1.len()).max_by_key(|&j| clouds.1.mass[j]);
        let shift = heaviest.map_or(0.0, |j| optimum.v[j]);
        optimum.u.iter_mut().for_each(|u| *u += shift);
        optimum.v.iter_mut().for_each(|v| *v -= shift);
        let value = |cloud: &Cloud, potential: &[f64]| -> f64 {
            cloud.mass.iter().zip(potential).map(|(&m, p)| self.share(m) * p).sum()
        };
        let centred = value(&clouds.0, &optimum.u) + value(&clouds.1, &optimum.v);
        let dual = self.unstretched(centred, self.scale) + self.between_means(clouds);
        let (u, v) = self.potentials(&optimum, clouds);
        (Answer { flows: optimum.flows, dual, u, v }, optimum.tree)
    }

    /// Whether the dual value, with all that rounding may have done to it, is that of the plan.
    fn is_proven(&self, answer: &Answer, primal: f64) -> bool {
        let size = |side: &Side, masses: &[Mass], potential: &Array1<f64>| -> f64 {
            let rows = side.rows().iter().zip(masses);
            rows.map(|(&row, &mass)| self.share(mass) * potential[row as usize].abs()).sum()
        };
        let sizes = size(&self.source, &self.masses.source, &answer.u)
            + size(&self.target, &self.masses.target, &answer.v);
        proves(answer.dual, sizes, primal)
    }

    /// A cost between points that were stretched by `scale`, in the units of the caller.
    pub(super) fn unstretched(&self, value: f64, scale: f64) -> f64 {
        match self.cost {
            // One after the other: the square of the scale may not be a number.
            GroundCost::SquaredEuclidean => value / scale / scale,
            GroundCost::Euclidean => value / scale,
        }
    }

    /// What the squared cost has besides that of the centred clouds: |d|^2 for the difference d of
    /// the means and, as these are rounded, 2 d.(what is left of the means of the centred clouds).
    fn between_means(&self, (from, to): &(Cloud, Cloud)) -> f64 {
        let left = |cloud: &Cloud, k: usize| -> f64 {
            let terms = (0..cloud.len()).map(|i| self.share(cloud.mass[i]) * cloud.point(i)[k]);
            terms.sum::<f64>() / self.scale
        };
        let term = |(k, d): (usize, &f64)| match self.cost {
            GroundCost::SquaredEuclidean => d * d + 2.0 * d * (left(from, k) - left(to, k)),
            GroundCost::Euclidean => 0.0,
        };
        self.delta.iter().enumerate().map(term).sum()
    }

    /// The flow between places as moves between rows: the rows of a place are served in turn.
    fn plan(&self, flows: &[(u32, u32, Mass)]) -> TransportPlan {
        let rest = |side: &Side, masses: &[Mass], rows: usize| {
            let mut rest = vec![0; rows];
            side.rows().iter().zip(masses).for_each(|(&row, &mass)| rest[row as usize] = mass);
            rest
        };
        let mut left = rest(&self.source, &self.masses.source, self.x.nrows());
        let mut right = rest(&self.target, &self.masses.target, self.y.nrows());
        let (mut next_left, mut next_right) =
            (vec![0; self.source.n_places()], vec![0; self.target.n_places()]);
        let mut moves = Vec::with_capacity(flows.len());
        for &(i, j, mut mass) in flows {
            let (i, j) = (i as usize, j as usize);
            while mass > 0 {
                let p = self.source.place(i)[next_left[i]] as usize;
                let q = self.target.place(j)[next_right[j]] as usize;
                let moved = mass.min(left[p]).min(right[q]);
                mass -= moved;
                left[p] -= moved;
                right[q] -= moved;
                next_left[i] += usize::from(left[p] == 0);
                next_right[j] += usize::from(right[q] == 0);
                moves.push((p, q, self.share(moved)));
            }
        }
        TransportPlan::new([self.x.nrows(), self.y.nrows()], moves)
    }

    /// Potentials of all rows, those without mass included.
    fn potentials(&self, optimum: &Optimum, clouds: &(Cloud, Cloud)) -> (Array1<f64>, Array1<f64>) {
        let (x, y) = (self.x, self.y);
        let spread = |side: &Side, values: &[f64]| -> Array1<f64> {
            side.spread(values).into_iter().map(|value| value.unwrap_or(f64::NAN)).collect()
        };
        let mut u = spread(&self.source, &optimum.u);
        let mut v = spread(&self.target, &optimum.v);
        // A point without mass takes the largest feasible value, its c-transform: first the
        // sources against the targets with mass, then the targets against all sources.
        let (x_mean, y_mean, scale) = (&self.x_mean, &self.y_mean, self.scale);
        if u.iter().any(|value| value.is_nan()) {
            let mut tree = KdTree::new(self.cost, &clouds.1.points, x.ncols());
            tree.set_potentials(|j| optimum.v[j]);
            fill_gaps(&tree, x, |row| stretched(row, x_mean, scale), &mut u);
        }
        if v.iter().any(|value| value.is_nan()) {
            let all: Vec<f64> =
                x.rows().into_iter().flat_map(|row| stretched(row, x_mean, scale)).collect();
            let mut tree = KdTree::new(self.cost, &all, x.ncols());
            tree.set_potentials(|i| u[i]);
            fill_gaps(&tree, y, |row| stretched(row, y_mean, scale), &mut v);
        }
        u.iter_mut().chain(&mut v).for_each(|value| *value = self.unstretched(*value, scale));
        if self.cost == GroundCost::SquaredEuclidean {
            // |x - y|^2 = |x' - y'|^2 + 2 d.(x' - y') + |d|^2 for centred x', y' and d the
            // difference of the means.
            let slope = |row: ArrayView1<f64>, mean: &[f64]| -> f64 {
                let terms = row.iter().zip(mean).zip(&self.delta);
                terms.map(|((value, centre), d)| 2.0 * d * (value - centre)).sum()
            };
            let offset: f64 = self.delta.iter().map(|d| d * d).sum();
            for (value, row) in u.iter_mut().zip(x.rows()) {
                *value += slope(row, x_mean) + offset;
            }
            for (value, row) in v.iter_mut().zip(y.rows()) {
                *value -= slope(row, y_mean);
            }
        }
        (u, v)
    }
}

fn stretched(row: ArrayView1<f64>, mean: &[f64], scale: f64) -> Vec<f64> {
    row.iter().zip(mean).map(|(p, q)| (p - q) * scale).collect()
}

fn fill_gaps(
    tree: &KdTree,
    points: ArrayView2<f64>,
    stretch: impl Fn(ArrayView1<f64>) -> Vec<f64>,
    values: &mut Array1<f64>,
) {
    let mut found = Vec::new();
    for (value, row) in values.iter_mut().zip(points.rows()) {
        if value.is_nan() {
            tree.best(&stretch(row), 1, f64::INFINITY, &mut found);
            *value = found.first().map_or(0.0, |offer| offer.reduced);
        }
    }
}
