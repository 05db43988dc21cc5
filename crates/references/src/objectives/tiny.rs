//! The network of the references, `W2 tanh(W1 [c_in x; s] + b1) + b2`, its losses and their gradients.

use anyhow::{Result, ensure};
use score_nets::{Reduction, Weighting};
use sde_core::{Level, Parametrisation};

use super::File;
use crate::case::{By, LARGEST};

/// Names of its parameters, in the order of [`Tiny::parameters`].
const PARAMETERS: [&str; 4] = ["W1", "b1", "W2", "b2"];

/// Its parameters and the data it is evaluated on.
pub(super) struct Tiny {
    /// `[H, D + 1]`, `[H]`, `[D, H]`, `[D]`.
    parameters: [Vec<f64>; 4],
    hidden: usize,
    pub(super) dim: usize,
    rows: usize,
    /// Data and unit noise, `[B, D]`.
    x0: Vec<f64>,
    z: Vec<f64>,
}

/// Where the rows of a batch are evaluated.
pub(super) struct Batch {
    pub(super) levels: Vec<Level>,
    /// What the noised points are multiplied by.
    pub(super) c_in: Vec<f64>,
    /// The last inputs.
    pub(super) s: Vec<f64>,
}

/// One row of a regression.
pub(super) struct Row {
    /// The network's input.
    input: Vec<f64>,
    /// The noised point.
    x: Vec<f64>,
    pub(super) target: Vec<f64>,
    /// What the squared error counts.
    weight: f64,
}

/// A loss and everything about it.
pub(super) struct Evaluated {
    /// Noised points, targets and predictions, `[B, D]`.
    pub(super) x: Vec<f64>,
    target: Vec<f64>,
    pub(super) prediction: Vec<f64>,
    /// The weighted squared errors, `[B, D]`.
    map: Vec<f64>,
    /// Weight and loss of every row, and the mean of the losses.
    weights: Vec<f64>,
    pub(super) rows: Vec<f64>,
    pub(super) loss: f64,
    gradients: [Vec<f64>; 4],
}

impl Tiny {
    pub(super) fn read(file: &mut File<'_>) -> Result<Self> {
        let data = file.npz.get("x0")?;
        let rows = data.shape().first().copied().unwrap_or(0);
        ensure!(rows > 0, "x0: expected rows, found shape {:?}", data.shape());
        let (x0, z) = (file.flat("x0")?, file.flat("z")?);
        let dim = x0.len() / rows;
        let mut parameters = [const { Vec::new() }; 4];
        for (p, name) in parameters.iter_mut().zip(PARAMETERS) {
            *p = file.flat(name)?;
        }
        let hidden = parameters[1].len();
        let sizes = [hidden * (dim + 1), hidden, dim * hidden, dim];
        let fits = z.len() == x0.len() && parameters.iter().zip(sizes).all(|(p, n)| p.len() == n);
        ensure!(fits, "the network does not fit data of {dim} coordinates");
        Ok(Self { parameters, hidden, dim, rows, x0, z })
    }

    /// The rows of a regression of `output` on noised data.
    pub(super) fn regression(
        &self,
        batch: &Batch,
        output: Parametrisation,
        weighting: Weighting,
    ) -> Result<Vec<Row>> {
        let n = batch.levels.len();
        ensure!(n == self.rows, "{n} levels for {} rows of data", self.rows);
        let row = |(i, level): (usize, &Level)| {
            let range = i * self.dim..(i + 1) * self.dim;
            let (x0, z, target) = (&self.x0[range.clone()], &self.z[range], output.target(level));
            let mix =
                |a: f64, b: f64| x0.iter().zip(z).map(|(x, z)| a * x + b * z).collect::<Vec<_>>();
            let x = mix(level.alpha, level.sigma);
            Row {
                input: x.iter().map(|x| batch.c_in[i] * x).chain([batch.s[i]]).collect(),
                x,
                target: mix(target.x0, target.eps),
                weight: weighting.on(output, level),
            }
        };
        Ok(batch.levels.iter().enumerate().map(row).collect())
    }

    fn forward(&self, row: &Row) -> (Vec<f64>, Vec<f64>) {
        let [w1, b1, w2, b2] = &self.parameters;
        let dot = |w: &[f64], v: &[f64]| w.iter().zip(v).map(|(w, v)| w * v).sum::<f64>();
        let unit = |(w, b): (&[f64], &f64)| (dot(w, &row.input) + b).tanh();
        let hidden: Vec<f64> = w1.chunks(self.dim + 1).zip(b1).map(unit).collect();
        let out = w2.chunks(self.hidden).zip(b2).map(|(w, b)| dot(w, &hidden) + b).collect();
        (hidden, out)
    }

    /// The mean over rows of the reduced weighted squared error, with its gradient.
    pub(super) fn evaluate(&self, rows: &[Row], reduction: Reduction) -> Evaluated {
        let scale = reduction.scale(self.dim);
        let all = |f: fn(&Row) -> &[f64]| rows.iter().flat_map(f).copied().collect();
        let mut found = Evaluated {
            x: all(|r| &r.x),
            target: all(|r| &r.target),
            prediction: Vec::new(),
            map: Vec::new(),
            weights: rows.iter().map(|r| r.weight).collect(),
            rows: Vec::new(),
            loss: 0.0,
            gradients: self.parameters.each_ref().map(|p| vec![0.0; p.len()]),
        };
        for row in rows {
            let (hidden, out) = self.forward(row);
            let errors: Vec<f64> = out.iter().zip(&row.target).map(|(o, t)| o - t).collect();
            let map = errors.iter().map(|e| row.weight * e * e);
            found.rows.push(scale * map.clone().sum::<f64>());
            found.map.extend(map);
            let share = 2.0 * scale * row.weight / rows.len() as f64;
            let by_out: Vec<f64> = errors.iter().map(|e| share * e).collect();
            self.backward(row, &hidden, &by_out, &mut found.gradients);
            found.prediction.extend(out);
        }
        found.loss = found.rows.iter().sum::<f64>() / rows.len() as f64;
        found
    }

    fn backward(&self, row: &Row, hidden: &[f64], by_out: &[f64], to: &mut [Vec<f64>; 4]) {
        let [w1, b1, w2, b2] = to;
        for (j, g) in by_out.iter().enumerate() {
            b2[j] += g;
            for (k, h) in hidden.iter().enumerate() {
                w2[j * self.hidden + k] += g * h;
            }
        }
        for (k, h) in hidden.iter().enumerate() {
            let weights = self.parameters[2].iter().skip(k).step_by(self.hidden);
            let g = by_out.iter().zip(weights).map(|(g, w)| g * w).sum::<f64>() * (1.0 - h * h);
            b1[k] += g;
            for (i, x) in row.input.iter().enumerate() {
                w1[k * (self.dim + 1) + i] += g * x;
            }
        }
    }
}

impl Evaluated {
    /// A case for everything that the file has of a loss, before and after whose name the quantity stands.
    pub(super) fn compare(&self, file: &mut File<'_>, name: &str) {
        let one = [self.loss];
        let entries: [(&str, &[f64], By<'_>); 7] = [
            ("xt", &self.x, LARGEST),
            ("target", &self.target, LARGEST),
            ("pred", &self.prediction, LARGEST),
            ("map", &self.map, LARGEST),
            ("weight", &self.weights, By::Entry),
            ("persample", &self.rows, By::Entry),
            ("loss", &one, By::Entry),
        ];
        for (quantity, values, by) in entries {
            file.check(&format!("{name}_{quantity}"), values, by);
            file.check(&format!("{quantity}_{name}"), values, by);
        }
        for (parameter, gradient) in PARAMETERS.iter().zip(&self.gradients) {
            file.check(&format!("grad_{parameter}_{name}"), gradient, LARGEST);
        }
    }
}
