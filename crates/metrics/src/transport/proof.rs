//! The answer in exact numbers, where doubles do not prove theirs.

use ndarray::{Array1, ArrayView2};

use super::basis::SpanningTree;
use super::cloud::{self, Cloud};
use super::fixed::Fixed;
use super::frame::{Answer, Frame};
use super::line;
use super::range::to_one;
use super::refine::{Exact, Given, Search, refine};
use super::ruler::Ruler;
use super::side::Side;

/// Coordinates farther out than this, in typical distances from the median, are pulled in to where a
/// double still sees what is near.
const FAR: f64 = 1000.0;

impl Frame<'_> {
    /// The answer in exact numbers, from a basis and potentials in doubles.
    pub(super) fn exactly(&self, tree: Option<SpanningTree>, near: &Answer) -> Answer {
        let coordinates = self.x.iter().chain(self.y).copied();
        let nodes = self.x.nrows() + self.y.nrows();
        let ruler = Ruler::new(self.cost, coordinates, self.x.ncols(), nodes);
        match ruler.words() {
            ..=4 => self.exactly_in::<4>(&ruler, tree, near),
            5..=8 => self.exactly_in::<8>(&ruler, tree, near),
            9..=24 => self.exactly_in::<24>(&ruler, tree, near),
            _ => self.exactly_in::<72>(&ruler, tree, near),
        }
    }

    fn exactly_in<const W: usize>(
        &self,
        ruler: &Ruler,
        tree: Option<SpanningTree>,
        near: &Answer,
    ) -> Answer {
        let (x, y) = self.places();
        let largest =
            self.x.iter().chain(self.y).fold(0.0, |most: f64, value| most.max(value.abs()));
        let given = Given { cost: self.cost, ruler, stretch: to_one(largest) };
        let Exact { flows, u, v } = match tree {
            None => {
                let cost = |i: usize, j: usize| ruler.between::<W>(x.point(i), y.point(j));
                let (flows, u, v) = line::solve(&x, &y, cost);
                Exact::centred(flows, u, v, &y)
            }
            Some(tree) => {
                let (tree, u, v) = self.pulled_in(&x, &y).unwrap_or_else(|| {
                    let at =
                        |side: &Side, values: &Array1<f64>, k| values[side.place(k)[0] as usize];
                    let u = (0..x.len()).map(|i| at(&self.source, &near.u, i)).collect();
                    let v = (0..y.len()).map(|j| at(&self.target, &near.v, j)).collect();
                    (tree, u, v)
                });
                refine(&given, (&x, &y), tree, |node| match node.checked_sub(x.len()) {
                    None => u[node],
                    Some(j) => -v[j],
                })
            }
        };
        // The sum of a u + b v along the plan, whose margins are a and b: exact sums, none negative.
        let unit = self.unit(&flows);
        let tight = |i: u32, j: u32| ruler.stretched(u[i as usize] + v[j as usize], unit);
        let dual = flows.iter().map(|&(i, j, mass)| self.share(mass) * tight(i, j)).sum();
        let dual = self.unstretched(dual, unit);
        let (u, v) = self.exact_potentials(&given, (&x, &u), (&y, &v));
        Answer { flows, dual, u, v }
    }

    /// A basis and its potentials where few points are so far out that doubles lose the others: of the
    /// problem in which they are nearer, whose plan is much the same.
    fn pulled_in(&self, x: &Cloud, y: &Cloud) -> Option<(SpanningTree, Vec<f64>, Vec<f64>)> {
        let (middle, typical): (Vec<f64>, Vec<f64>) = (0..x.dim)
            .map(|axis| {
                let of = |cloud: &Cloud| {
                    cloud.points.iter().skip(axis).step_by(x.dim).copied().collect::<Vec<_>>()
                };
                let mut values: Vec<f64> = [x, y].map(of).concat();
                let middle = median(&mut values);
                values.iter_mut().for_each(|value| *value = (*value - middle).abs());
                (middle, median(&mut values))
            })
            .unzip();
        let reach = FAR * typical.into_iter().fold(0.0, f64::max);
        let is_far = |(k, value): (usize, &f64)| (value - middle[k % x.dim]).abs() > reach;
        let any = |cloud: &Cloud| cloud.points.iter().enumerate().any(is_far);
        if reach == 0.0 || !(any(x) || any(y)) {
            return None;
        }
        let scale = to_one(reach);
        let pull = |cloud: &Cloud| {
            let near = |(k, value): (usize, &f64)| {
                (value - middle[k % x.dim]).clamp(-reach, reach) * scale
            };
            let points = cloud.points.iter().enumerate().map(near).collect();
            Cloud { dim: cloud.dim, points, mass: cloud.mass.clone() }
        };
        let optimum = cloud::solve(self.cost, &pull(x), &pull(y)).ok()?;
        let back = |values: Vec<f64>| {
            values.into_iter().map(|value| self.unstretched(value, scale)).collect()
        };
        Some((optimum.tree?, back(optimum.u), back(optimum.v)))
    }

    /// Potentials of all rows, rounded one by one.
    fn exact_potentials<const W: usize>(
        &self,
        given: &Given,
        (x, u): (&Cloud, &[Fixed<W>]),
        (y, v): (&Cloud, &[Fixed<W>]),
    ) -> (Array1<f64>, Array1<f64>) {
        let mut all_u = self.source.spread(u);
        if all_u.iter().any(Option::is_none) {
            let targets = Search::new(given, y, v);
            fill(&mut all_u, self.x, |row| targets.least(row));
        }
        let mut all_v = self.target.spread(v);
        if all_v.iter().any(Option::is_none) {
            let u: Vec<Fixed<W>> = all_u.iter().flatten().copied().collect();
            let rows = Cloud { dim: x.dim, points: self.x.iter().copied().collect(), mass: vec![] };
            let sources = Search::new(given, &rows, &u);
            fill(&mut all_v, self.y, |row| sources.least(row));
        }
        let rounded = |all: Vec<Option<Fixed<W>>>| {
            all.into_iter().flatten().map(|value| given.ruler.stretched(value, 1.0)).collect()
        };
        (rounded(all_u), rounded(all_v))
    }
}

fn fill<T>(values: &mut [Option<T>], points: ArrayView2<f64>, least: impl Fn(&[f64]) -> T) {
    for (value, row) in values.iter_mut().zip(points.rows()) {
        value.get_or_insert_with(|| least(&row.to_vec()));
    }
}

/// The middle one of the values, which it reorders.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
