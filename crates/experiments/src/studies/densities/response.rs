//! What the residual of every interval of time does to the densities of ODE and SDE, place by place.

use std::path::Path;

use anyhow::Result;
use fp_residual::bounds::{Response, flow_response, noised_response};
use fp_residual::fokker_planck::Density;
use ndarray::{Array2, Axis, s};
use sde_core::{Key, KroneckerSequence};
use serde::{Deserialize, Serialize};

use super::attribution::{Running, write};
use super::given::Given;
use super::known::Known;

/// Inner ends of the intervals, of a horizon of 10.
const EDGES: [f64; 2] = [0.1, 1.0];
/// Nodes with less of the largest density are left out.
const LEAST: f64 = 1e-4;
/// Normals that stand for the noise.
const NORMALS: usize = 32;

/// A part of `log p - phi` at the nodes less its mean: root mean squares under the SDE's law.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Part {
    /// The interval of time; without one from the prior.
    pub(super) interval: Option<[f64; 2]>,
    #[serde(with = "crate::number")]
    pub(super) ode: f64,
    /// To first order.
    #[serde(with = "crate::number")]
    pub(super) sde: f64,
    /// Of the one less the other.
    #[serde(with = "crate::number")]
    pub(super) apart: f64,
}

/// All parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Responses {
    pub(super) parts: Vec<Part>,
    /// Of their sum, as a part.
    pub(super) sum: Part,
    /// What the sums leave of the densities that are solved for.
    #[serde(with = "crate::number")]
    pub(super) left_over: [f64; 2],
}

/// The nodes that carry the law of the SDE.
struct Carrying {
    rows: Vec<usize>,
    x: Array2<f64>,
    /// Probabilities, with the sum 1.
    weights: Vec<f64>,
}

impl Carrying {
    fn new(known: &Known) -> Self {
        let q = &known.log_density[0];
        let top = q.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let there = |row: &usize| known.inside[*row] && q[*row] > top + LEAST.ln();
        let rows: Vec<usize> = (0..q.len()).filter(there).collect();
        let all: f64 = rows.iter().map(|row| known.cells[0][*row]).sum();
        let weights = rows.iter().map(|row| known.cells[0][*row] / all).collect();
        Self { x: known.nodes.select(Axis(0), &rows), rows, weights }
    }

    fn centred(&self, values: &[f64]) -> Vec<f64> {
        let mean: f64 = values.iter().zip(&self.weights).map(|(v, w)| v * w).sum();
        values.iter().map(|v| v - mean).collect()
    }

    fn root_mean_square(&self, values: &[f64]) -> f64 {
        values.iter().zip(&self.weights).map(|(v, w)| v * v * w).sum::<f64>().sqrt()
    }

    /// Of all nodes: zero where there is no mass.
    fn spread(&self, values: &[f64], n: usize) -> Vec<f64> {
        let mut all = vec![0.0; n];
        self.rows.iter().zip(values).for_each(|(row, v)| all[*row] = *v);
        all
    }
}

/// Parts of both, and their maps at `path`: the prior, the intervals and the sum, of the ODE and then of the SDE.
pub(super) fn responses(
    given: &Given<'_>,
    known: &Known,
    ode: &Density,
    key: Key,
    (tiles, path): (usize, &Path),
) -> Result<Responses> {
    let at = Carrying::new(known);
    let mut normals = vec![0.0; 2 * NORMALS];
    KroneckerSequence::new(key, 2).fill_normals(0, &mut normals);
    let normals = Array2::from_shape_vec((NORMALS, 2), normals)?;
    let flow = flow_response(given.sde, given.phi, &given.score, &at.x, &known.rule, 1)?;
    let noised = noised_response(given.sde, given.phi, &at.x, &known.rule, &normals)?;
    let [flow, noised] = [flow, noised].map(|of| parts(&of, known, &at));
    let part = |(k, interval): (usize, Option<[f64; 2]>)| {
        let (a, b) = (&flow[k], &noised[k]);
        let apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let size = |v: &[f64]| at.root_mean_square(v);
        Part { interval, ode: size(a), sde: size(b), apart: size(&apart) }
    };
    let horizon = given.sde.horizon();
    let edges: Vec<f64> = edges(horizon);
    let intervals = edges.windows(2).map(|pair| Some([pair[0], pair[1]]));
    let named: Vec<_> = std::iter::once(None).chain(intervals).enumerate().collect();
    let last = named.len();
    // The nodes of both laws are the same.
    let (phi, _) = given.potential_and_residual(&at.x, 0.0)?;
    let left = |found: &[f64], law: &[f64]| {
        let solved: Vec<f64> = at.rows.iter().zip(&phi).map(|(row, phi)| law[*row] - phi).collect();
        let off: Vec<f64> =
            found.iter().zip(at.centred(&solved)).map(|(found, solved)| solved - found).collect();
        at.root_mean_square(&off)
    };
    let left_over =
        [left(&flow[last], &ode.log_density), left(&noised[last], &known.log_density[0])];
    let all: Vec<Vec<f64>> =
        flow.iter().chain(&noised).map(|v| at.spread(v, known.nodes.nrows())).collect();
    write(&all, tiles, path)?;
    Ok(Responses {
        parts: named.into_iter().map(part).collect(),
        sum: part((last, Some([0.0, horizon]))),
        left_over,
    })
}

fn edges(horizon: f64) -> Vec<f64> {
    let inner = EDGES.map(|edge| 0.1 * horizon * edge);
    [0.0].into_iter().chain(inner).chain([horizon]).collect()
}

/// Of the prior, of every interval, and of all together, less their means.
fn parts(of: &Response, known: &Known, at: &Carrying) -> Vec<Vec<f64>> {
    let edges = edges(known.rule.horizon());
    let n = of.prior.len();
    let courses: Vec<Running> = (0..n)
        .map(|row| {
            let course: Vec<f64> = of.residual.iter().map(|at| at[row]).collect();
            Running::new(&known.rule, &course)
        })
        .collect();
    let mut parts = vec![at.centred(&of.prior)];
    for pair in edges.windows(2) {
        let made: Vec<f64> = courses.iter().map(|c| c.between(pair[0], pair[1])).collect();
        parts.push(at.centred(&made));
    }
    parts.push((0..n).map(|row| parts.iter().map(|part| part[row]).sum()).collect());
    parts
}

/// Maps of a model, a law a row: prior, intervals and sum.
pub(super) fn maps(tiles: usize, path: &Path) -> Result<Vec<Array2<f64>>> {
    let all: Array2<f64> = crate::npy::read_rows(path)?;
    // The first index is x; a picture's first is y.
    let slots = all.nrows() / tiles;
    Ok((0..slots).map(|k| all.slice(s![k * tiles..(k + 1) * tiles, ..]).t().to_owned()).collect())
}
