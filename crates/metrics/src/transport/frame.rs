//! From the coordinates a solver works in, centred and of size one, back to those of the caller.

use ndarray::{Array1, ArrayView1, ArrayView2};

use super::cloud::{Cloud, Optimum};
use super::cost::GroundCost;
use super::exact::{Transport, TransportPlan};
use super::kd_tree::KdTree;
use super::masses::{Mass, Masses, integer_masses};
use super::range::{check_coordinates, check_range, to_one};
use super::side::Side;
use crate::error::Result;

/// The two clouds, and how they are moved and stretched for the solver.
pub(crate) struct Frame<'a> {
    cost: GroundCost,
    x: ArrayView2<'a, f64>,
    y: ArrayView2<'a, f64>,
    source: Side<'a>,
    target: Side<'a>,
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

    /// What the solver is given.
    pub(crate) fn clouds(&self) -> (Cloud, Cloud) {
        let from = self.source.stretched(&self.x_mean, self.scale, &self.masses.source);
        (from, self.target.stretched(&self.y_mean, self.scale, &self.masses.target))
    }

    /// The answer, from what the solver found.
    pub(crate) fn transport(
        &self,
        mut optimum: Optimum,
        clouds: &(Cloud, Cloud),
        mass: [f64; 2],
        keep_plan: bool,
    ) -> Result<Transport> {
        let share = |mass: Mass| mass as f64 / self.masses.total as f64;
        // Only sums of a potential of either side matter. With zero where most of the mass is, the
        // dual value loses least to rounding.
        let heaviest = (0..clouds.1.len()).max_by_key(|&j| clouds.1.mass[j]);
        let shift = heaviest.map_or(0.0, |j| optimum.v[j]);
        optimum.u.iter_mut().for_each(|u| *u += shift);
        optimum.v.iter_mut().for_each(|v| *v -= shift);

        // Every term is positive and of the given coordinates, so nothing cancels.
        let widest = self.delta.iter().fold(1.0 / self.scale, |most, d| most.max(d.abs()));
        let unit = to_one(widest);
        let (sources, targets): (Vec<_>, Vec<_>) =
            (self.source.places().collect(), self.target.places().collect());
        let cost = |i: u32, j: u32| {
            let x = self.x.row(sources[i as usize][0] as usize);
            let y = self.y.row(targets[j as usize][0] as usize);
            let terms = x.iter().zip(y).map(|(p, q)| (p - q) * unit);
            self.cost.of_squared(terms.map(|d| d * d).sum())
        };
        let moved: f64 = optimum.flows.iter().map(|&(i, j, m)| share(m) * cost(i, j)).sum();
        let primal = self.unstretched(moved, unit);

        let value = |cloud: &Cloud, potential: &[f64]| -> f64 {
            cloud.mass.iter().zip(potential).map(|(&m, p)| share(m) * p).sum()
        };
        let centred = value(&clouds.0, &optimum.u) + value(&clouds.1, &optimum.v);
        let plan = keep_plan.then(|| self.plan(&optimum.flows, &sources, &targets));
        let (source_potential, target_potential) = self.potentials(&optimum, clouds);
        let transport = Transport {
            cost: self.cost,
            primal,
            dual: self.unstretched(centred, self.scale) + self.between_means(clouds),
            mass,
            source_potential,
            target_potential,
            plan,
        };
        let potentials = transport.source_potential.iter().chain(&transport.target_potential);
        check_range(moved > 0.0, primal, potentials, widest)?;
        Ok(transport)
    }

    /// A cost between points that were stretched by `scale`, in the units of the caller.
    fn unstretched(&self, value: f64, scale: f64) -> f64 {
        match self.cost {
            // One after the other: the square of the scale may not be a number.
            GroundCost::SquaredEuclidean => value / scale / scale,
            GroundCost::Euclidean => value / scale,
        }
    }

    /// What the squared cost has besides that of the centred clouds: |d|^2 for the difference d of
    /// the means and, as these are rounded, 2 d.(what is left of the means of the centred clouds).
    fn between_means(&self, (from, to): &(Cloud, Cloud)) -> f64 {
        let share = |mass: Mass| mass as f64 / self.masses.total as f64;
        let left = |cloud: &Cloud, k: usize| -> f64 {
            let terms = (0..cloud.len()).map(|i| share(cloud.mass[i]) * cloud.point(i)[k]);
            terms.sum::<f64>() / self.scale
        };
        let term = |(k, d): (usize, &f64)| match self.cost {
            GroundCost::SquaredEuclidean => d * d + 2.0 * d * (left(from, k) - left(to, k)),
            GroundCost::Euclidean => 0.0,
        };
        self.delta.iter().enumerate().map(term).sum()
    }

    /// The flow between places as moves between rows: the rows of a place are served in turn.
    fn plan(
        &self,
        flows: &[(u32, u32, Mass)],
        sources: &[&[u32]],
        targets: &[&[u32]],
    ) -> TransportPlan {
        let rest = |side: &Side, masses: &[Mass], rows: usize| {
            let mut rest = vec![0; rows];
            side.rows().iter().zip(masses).for_each(|(&row, &mass)| rest[row as usize] = mass);
            rest
        };
        let mut left = rest(&self.source, &self.masses.source, self.x.nrows());
        let mut right = rest(&self.target, &self.masses.target, self.y.nrows());
        let (mut next_left, mut next_right) = (vec![0; sources.len()], vec![0; targets.len()]);
        let mut moves = Vec::with_capacity(flows.len());
        for &(i, j, mut mass) in flows {
            let (i, j) = (i as usize, j as usize);
            while mass > 0 {
                let (p, q) =
                    (sources[i][next_left[i]] as usize, targets[j][next_right[j]] as usize);
                let moved = mass.min(left[p]).min(right[q]);
                mass -= moved;
                left[p] -= moved;
                right[q] -= moved;
                next_left[i] += usize::from(left[p] == 0);
                next_right[j] += usize::from(right[q] == 0);
                moves.push((p, q, moved as f64 / self.masses.total as f64));
            }
        }
        TransportPlan::new([self.x.nrows(), self.y.nrows()], moves)
    }

    /// Potentials of all rows, those without mass included.
    fn potentials(&self, optimum: &Optimum, clouds: &(Cloud, Cloud)) -> (Array1<f64>, Array1<f64>) {
        let (x, y) = (self.x, self.y);
        let spread = |side: &Side, values: &[f64], rows: usize| {
            let mut all = Array1::from_elem(rows, f64::NAN);
            for (rows, &value) in side.places().zip(values) {
                rows.iter().for_each(|&row| all[row as usize] = value);
            }
            all
        };
        let mut u = spread(&self.source, &optimum.u, x.nrows());
        let mut v = spread(&self.target, &optimum.v, y.nrows());
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
