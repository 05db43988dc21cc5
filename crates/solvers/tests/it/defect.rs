//! Weak errors with little noise in them. With the exact score of a mixture the reverse SDE has the
//! posterior `p(x_s | x_t)` of the forward process as its transition, so that
//! `u(x, t) = E[f(X_s) | X_t = x]` is known, and the weak error of a method is the sum over its steps
//! of `E[u(X_{n+1}, t_{n+1}) - u(X_n, t_n)]`. The expectation over the noise of the last few steps is
//! a Gauss-Hermite sum; what is left to sampling is of the size of the error itself at any step.

use std::collections::BTreeSet;
use std::sync::Mutex;

use ndarray::{Array2, Axis, concatenate};
use sde_core::{Key, Result, Sde};
use solvers::{IndependentIncrements, Noise, Past, Stepper};

use crate::common::normals;

/// Nodes and weights of a rule for standard normals: five are exact up to degree 9, four up to 7,
/// three up to 5. A step's own noise needs more than 5, where its local error of weak order 2 lies.
type Rule = &'static [(f64, f64)];

const FIVE: Rule = &[
    (0.0, 8.0 / 15.0),
    (1.355_626_179_974_266, 0.222_075_922_005_612_6),
    (-1.355_626_179_974_266, 0.222_075_922_005_612_6),
    (2.856_970_013_872_806, 0.011_257_411_327_720_7),
    (-2.856_970_013_872_806, 0.011_257_411_327_720_7),
];
const FOUR: Rule = &[
    (0.741_963_784_302_725_8, 0.454_124_145_231_931_5),
    (-0.741_963_784_302_725_8, 0.454_124_145_231_931_5),
    (2.334_414_218_338_977_2, 0.045_875_854_768_068_5),
    (-2.334_414_218_338_977_2, 0.045_875_854_768_068_5),
];
const THREE: Rule = &[
    (0.0, 2.0 / 3.0),
    (1.732_050_807_568_877_2, 1.0 / 6.0),
    (-1.732_050_807_568_877_2, 1.0 / 6.0),
];

/// A draw of a step: an area or an increment, and its interval.
type Draw = (bool, u64, u64);

/// The draws of one step, whose values run through all nodes of a product rule: row `i` has node
/// `i / rows / q^j mod q` for draw number `j`.
struct Layer {
    from: f64,
    to: f64,
    rule: Rule,
    rows: usize,
    draws: Mutex<Vec<Draw>>,
}

impl Layer {
    fn place(&self, draw: Draw) -> usize {
        let mut draws = self.draws.lock().unwrap();
        draws.iter().position(|d| *d == draw).unwrap_or_else(|| {
            draws.push(draw);
            draws.len() - 1
        })
    }
}

/// Nodes for the steps of layers, one path a row before them. A method may ask for the noise of
/// earlier steps again.
struct Nodes {
    layers: Vec<Layer>,
    before: IndependentIncrements,
    rows: usize,
}

impl Nodes {
    fn value(&self, like: &Array2<f64>, draw: Draw) -> Result<Array2<f64>> {
        let (t0, t1) = (f64::from_bits(draw.1), f64::from_bits(draw.2));
        let h = (t1 - t0).abs();
        let Some(layer) = self.layers.iter().find(|l| t0 <= l.from && t1 >= l.to) else {
            let one = Array2::zeros((self.rows, like.ncols()));
            let all = if draw.0 {
                self.before.increment_and_area(&one, t0, t1)?.1
            } else {
                self.before.increment(&one, t0, t1)?
            };
            return Ok(copies(&all, like.nrows() / self.rows));
        };
        let q = layer.rule.len();
        let stride = q.pow(layer.place(draw) as u32);
        let size = if draw.0 { (h / 12.0).sqrt() } else { h.sqrt() };
        let node = |(i, _): (usize, usize)| size * layer.rule[i / layer.rows / stride % q].0;
        Ok(Array2::from_shape_fn(like.dim(), node))
    }
}

impl Noise<Array2<f64>> for Nodes {
    fn increment(&self, like: &Array2<f64>, t0: f64, t1: f64) -> Result<Array2<f64>> {
        self.value(like, (false, t0.to_bits(), t1.to_bits()))
    }

    fn increment_and_area(
        &self,
        like: &Array2<f64>,
        t0: f64,
        t1: f64,
    ) -> Result<(Array2<f64>, Array2<f64>)> {
        let area = self.value(like, (true, t0.to_bits(), t1.to_bits()))?;
        Ok((self.increment(like, t0, t1)?, area))
    }

    fn first_row(&self) -> u64 {
        0
    }
}

/// A mixture of two normals of one variance on the line, under a forward process.
pub(crate) struct Line<'a> {
    pub(crate) sde: &'a dyn Sde,
    pub(crate) weights: [f64; 2],
    pub(crate) means: [f64; 2],
    pub(crate) std: f64,
}

impl Line<'_> {
    /// `u(x, t) = E[X_s^2 | X_t = x]` of every row.
    pub(crate) fn expected(&self, x: &Array2<f64>, t: f64, s: f64) -> Vec<f64> {
        let (early, late) = (self.sde.marginal(s), self.sde.marginal(t));
        let a = late.alpha / early.alpha;
        let noise = late.sigma * late.sigma - a * a * early.sigma * early.sigma;
        let var = (early.alpha * self.std).powi(2) + early.sigma * early.sigma;
        let all = a * a * var + noise;
        let one = |x: f64| {
            let (mut top, mut sum) = (0.0, 0.0);
            for (w, m) in self.weights.iter().zip(self.means) {
                let gap = x - a * early.alpha * m;
                let w = w * (-0.5 * gap * gap / all).exp();
                let mean = early.alpha * m + a * var / all * gap;
                top += w * (mean * mean + var * noise / all);
                sum += w;
            }
            top / sum
        };
        x.iter().map(|x| one(*x)).collect()
    }
}

type Method<'a, P> = &'a dyn Stepper<Array2<f64>, P>;

fn copies(x: &Array2<f64>, n: usize) -> Array2<f64> {
    concatenate(Axis(0), &vec![x.view(); n]).unwrap()
}

/// The state and the history of a method.
#[derive(Clone)]
struct Place {
    x: Array2<f64>,
    past: Past<Array2<f64>>,
}

impl Place {
    fn copies(&self, n: usize) -> Place {
        let entries = (0..self.past.len()).filter_map(|i| self.past.get(i));
        let past = Past::new(entries.map(|(t, x)| (t, copies(x, n))).collect());
        Place { x: copies(&self.x, n), past: past.after(self.past.steps()) }
    }

    fn step<P>(
        &self,
        method: Method<'_, P>,
        problem: &P,
        (t0, t1): (f64, f64),
        noise: &dyn Noise<Array2<f64>>,
    ) -> Place {
        let step = method.step(problem, &self.x, t0, t1, &self.past, noise).unwrap();
        Place { x: step.x, past: step.past.after(self.past.steps() + 1) }
    }

    /// The steps back whose noise is still to be seen in the next one: those of the history.
    fn memory(&self) -> usize {
        let times = (0..self.past.len()).filter_map(|i| self.past.get(i));
        times.map(|(t, _)| t.to_bits()).collect::<BTreeSet<_>>().len()
    }
}

/// The expectation of what a step does to `u`, given the noise before the last few steps: those to
/// `times`, the first of which is where `start` is.
fn defect<P>(
    method: Method<'_, P>,
    problem: &P,
    line: &Line<'_>,
    (start, times, end): (&Place, &[f64], f64),
    before: IndependentIncrements,
) -> f64 {
    let rows = start.x.nrows();
    let (mut place, mut nodes) = (start.clone(), Nodes { layers: vec![], before, rows });
    let mut weights = vec![1.0 / rows as f64; rows];
    let mean = |place: &Place, weights: &[f64], t: f64| {
        let u = line.expected(&place.x, t, end);
        u.iter().zip(weights).map(|(u, w)| u * w).sum::<f64>()
    };
    let mut means = [0.0; 2];
    for (k, w) in times.windows(2).enumerate() {
        let steps = (w[0], w[1]);
        let draws = {
            // What the method draws is found by a step that throws its result away.
            let layer = |rule| Layer {
                from: w[0],
                to: w[1],
                rule,
                rows: place.x.nrows(),
                draws: Mutex::new(vec![]),
            };
            nodes.layers.push(layer(THREE));
            place.step(method, problem, steps, &nodes);
            let draws = nodes.layers[k].draws.lock().unwrap().len();
            let last = k + 2 == times.len();
            nodes.layers[k].rule = match (last, draws) {
                (false, _) => THREE,
                (true, 0..=2) => FIVE,
                (true, _) => FOUR,
            };
            draws as u32
        };
        means[0] = mean(&place, &weights, w[0]);
        let rule = nodes.layers[k].rule;
        let (q, n) = (rule.len(), rule.len().pow(draws));
        place = place.copies(n).step(method, problem, steps, &nodes);
        assert_eq!(nodes.layers[k].draws.lock().unwrap().len(), draws as usize);
        let weight = |c: usize| (0..draws).map(|j| rule[c / q.pow(j) % q].1).product::<f64>();
        weights = (0..n).flat_map(|c| weights.iter().map(move |w| w * weight(c))).collect();
        means[1] = mean(&place, &weights, w[1]);
    }
    means[1] - means[0]
}

/// The weak error `E f(X_N) - E f(X(t_N))`, `f(x) = x^2`, of a method on a grid from standard
/// normals: the mean over `rows` paths under `key`.
pub(crate) fn weak_error<P>(
    method: Method<'_, P>,
    problem: &P,
    line: &Line<'_>,
    times: &[f64],
    rows: usize,
    seed: u64,
) -> f64 {
    let end = times[times.len() - 1];
    let noise = IndependentIncrements::new(Key::root(seed).fold(1), 0);
    let mut places = vec![Place { x: normals(seed, rows, 1), past: Past::default() }];
    let mut error = 0.0;
    for n in 0..times.len() - 1 {
        let back = n - places[n].memory().min(n);
        let window = (&places[back], &times[back..n + 2], end);
        error += defect(method, problem, line, window, noise);
        let next = places[n].step(method, problem, (times[n], times[n + 1]), &noise);
        places.push(next);
    }
    error
}
