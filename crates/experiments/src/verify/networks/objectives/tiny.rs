//! The network of the references, `W2 tanh(W1 [c_in x; s] + b1) + b2`, its losses and their gradients.

use anyhow::{Result, ensure};
use score_nets::Reduction;

use super::super::super::case::normwise;
use super::File;

/// Names of its parameters, in the order of [`Tiny::parameters`].
const PARAMETERS: [&str; 4] = ["W1", "b1", "W2", "b2"];

/// Its parameters and the batch they are evaluated on.
pub(super) struct Tiny {
    /// `[H, D + 1]`, `[H]`, `[D, H]`, `[D]`.
    parameters: [Vec<f64>; 4],
    hidden: usize,
    pub(super) dim: usize,
    pub(super) rows: usize,
    /// Data and unit noise, `[B, D]`.
    pub(super) x0: Vec<f64>,
    pub(super) z: Vec<f64>,
}

/// One row of a regression.
pub(super) struct Row {
    /// The noised point.
    pub(super) x: Vec<f64>,
    /// What it is multiplied by.
    pub(super) c_in: f64,
    /// The last input.
    pub(super) s: f64,
    pub(super) target: Vec<f64>,
    /// What the squared error counts.
    pub(super) weight: f64,
}

/// A loss and everything about it.
pub(super) struct Evaluated {
    /// `[B, D]`.
    pub(super) prediction: Vec<f64>,
    /// The weighted squared errors, `[B, D]`.
    pub(super) map: Vec<f64>,
    /// The loss of every row.
    pub(super) rows: Vec<f64>,
    /// Their mean.
    pub(super) loss: f64,
    gradients: [Vec<f64>; 4],
}

impl Tiny {
    pub(super) fn read(file: &mut File) -> Result<Self> {
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

    /// Data and noise of one row.
    pub(super) fn row(&self, i: usize) -> (&[f64], &[f64]) {
        let range = i * self.dim..(i + 1) * self.dim;
        (&self.x0[range.clone()], &self.z[range])
    }

    fn forward(&self, row: &Row) -> (Vec<f64>, Vec<f64>) {
        let [w1, b1, w2, b2] = &self.parameters;
        let input = self.input(row);
        let dot = |w: &[f64], v: &[f64]| w.iter().zip(v).map(|(w, v)| w * v).sum::<f64>();
        let hidden: Vec<f64> =
            w1.chunks(self.dim + 1).zip(b1).map(|(w, b)| (dot(w, &input) + b).tanh()).collect();
        let out = w2.chunks(self.hidden).zip(b2).map(|(w, b)| dot(w, &hidden) + b).collect();
        (hidden, out)
    }

    fn input(&self, row: &Row) -> Vec<f64> {
        row.x.iter().map(|x| row.c_in * x).chain([row.s]).collect()
    }

    /// The mean over rows of the reduced weighted squared error, with its gradient.
    pub(super) fn evaluate(&self, rows: &[Row], reduction: Reduction) -> Evaluated {
        let scale = reduction.scale(self.dim);
        let mut gradients = [const { Vec::new() }; 4];
        for (g, p) in gradients.iter_mut().zip(&self.parameters) {
            *g = vec![0.0; p.len()];
        }
        let mut all = Evaluated {
            prediction: Vec::new(),
            map: Vec::new(),
            rows: Vec::new(),
            loss: 0.0,
            gradients,
        };
        for row in rows {
            let (hidden, out) = self.forward(row);
            let errors: Vec<f64> = out.iter().zip(&row.target).map(|(o, t)| o - t).collect();
            let map = errors.iter().map(|e| row.weight * e * e);
            all.rows.push(scale * map.clone().sum::<f64>());
            all.map.extend(map);
            let share = 2.0 * scale * row.weight / rows.len() as f64;
            let by_out: Vec<f64> = errors.iter().map(|e| share * e).collect();
            self.backward(row, &hidden, &by_out, &mut all.gradients);
            all.prediction.extend(out);
        }
        all.loss = all.rows.iter().sum::<f64>() / rows.len() as f64;
        all
    }

    fn backward(&self, row: &Row, hidden: &[f64], by_out: &[f64], to: &mut [Vec<f64>; 4]) {
        let input = self.input(row);
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
            for (i, x) in input.iter().enumerate() {
                w1[k * (self.dim + 1) + i] += g * x;
            }
        }
    }
}

impl Evaluated {
    /// One case for every parameter's gradient, `grad_<parameter>_<case>`.
    pub(super) fn gradients(&self, file: &mut File, case: &str) {
        for (name, gradient) in PARAMETERS.iter().zip(&self.gradients) {
            file.compare(&format!("grad_{name}_{case}"), gradient, normwise);
        }
    }
}
