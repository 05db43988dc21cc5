//! The network of the references, `W2 tanh(W1 [c_in x; s] + b1) + b2`, its losses and their gradients.

use ndarray::concatenate;
use score_nets::{Reduction, Weighting};

use crate::prelude::*;

/// The parameters, and the data they are evaluated on.
pub(super) struct Tiny {
    /// `[H, D + 1]`.
    w1: Rows,
    b1: Array1<f64>,
    /// `[D, H]`.
    w2: Rows,
    b2: Array1<f64>,
    /// Data and unit noise, `[B, D]`.
    x0: Rows,
    z: Rows,
}

/// Where the rows of a batch are evaluated.
pub(super) struct Batch {
    pub(super) levels: Vec<Level>,
    /// What the noised points are multiplied by.
    pub(super) c_in: Vec<f64>,
    /// The last inputs.
    pub(super) s: Vec<f64>,
}

impl Batch {
    /// One number a row, `[B, 1]`.
    pub(super) fn column(&self, f: impl Fn(&Level) -> f64) -> Rows {
        column(self.levels.iter().map(f))
    }
}

fn column(values: impl IntoIterator<Item = f64>) -> Rows {
    Array1::from_iter(values).insert_axis(Axis(1))
}

/// A regression: the network's input, the noised points, the targets, and what the squared errors count.
pub(super) struct Regression {
    input: Rows,
    x: Rows,
    pub(super) target: Rows,
    weight: Rows,
}

/// A loss and everything about it.
pub(super) struct Evaluated {
    /// Noised points and predictions, `[B, D]`.
    pub(super) x: Rows,
    pub(super) prediction: Rows,
    /// The losses of rows, `[B, 1]`, and their mean.
    pub(super) rows: Rows,
    pub(super) loss: f64,
    /// What else there is, by the names of the references.
    others: [(&'static str, Rows, By<'static>); 7],
}

impl Tiny {
    pub(super) fn read(archive: &mut Archive<'_>) -> Result<Self> {
        let (x0, z) = (archive.samples("x0")?, archive.samples("z")?);
        let (w1, w2) = (archive.rows("W1")?, archive.rows("W2")?);
        let (b1, b2) = (Array1::from(archive.flat("b1")?), Array1::from(archive.flat("b2")?));
        let (dim, hidden) = (x0.ncols(), b1.len());
        let fits = z.dim() == x0.dim() && w1.dim() == (hidden, dim + 1);
        let fits = fits && w2.dim() == (dim, hidden) && b2.len() == dim;
        ensure!(fits, "the network does not fit data of {dim} coordinates");
        Ok(Self { w1, b1, w2, b2, x0, z })
    }

    /// The regression of `output` on noised data.
    pub(super) fn regression(
        &self,
        batch: &Batch,
        output: Parametrisation,
        weighting: Weighting,
    ) -> Result<Regression> {
        let (n, rows) = (batch.levels.len(), self.x0.nrows());
        ensure!(n == rows, "{n} levels for {rows} rows of data");
        let mix = |data: Rows, noise: Rows| data * &self.x0 + noise * &self.z;
        let x = mix(batch.column(|l| l.alpha), batch.column(|l| l.sigma));
        let target =
            mix(batch.column(|l| output.target(l).x0), batch.column(|l| output.target(l).eps));
        let scaled = column(batch.c_in.iter().copied()) * &x;
        let s = column(batch.s.iter().copied());
        let input = concatenate(Axis(1), &[scaled.view(), s.view()])?;
        let weight = batch.column(|l| weighting.on(output, l));
        Ok(Regression { input, x, target, weight })
    }

    /// The mean over rows of the reduced weighted squared error, with its gradient.
    pub(super) fn evaluate(&self, on: &Regression, reduction: Reduction) -> Evaluated {
        let Regression { input, x, target, weight } = on;
        let (rows, dim) = x.dim();
        let hidden = (input.dot(&self.w1.t()) + &self.b1).mapv(f64::tanh);
        let prediction = hidden.dot(&self.w2.t()) + &self.b2;
        let error = &prediction - target;
        let map = &error * &error * weight;
        let scale = reduction.scale(dim);
        let by_row = (map.sum_axis(Axis(1)) * scale).insert_axis(Axis(1));
        let loss = by_row.sum() / rows as f64;
        let by_out = error * weight * (2.0 * scale / rows as f64);
        let by_hidden = by_out.dot(&self.w2) * hidden.mapv(|h| 1.0 - h * h);
        let sum = |by: &Rows| by.sum_axis(Axis(0)).insert_axis(Axis(0));
        let others = [
            ("target", target.clone(), LARGEST),
            ("map", map, LARGEST),
            ("weight", weight.clone(), By::Entry),
            ("grad_W1", by_hidden.t().dot(input), LARGEST),
            ("grad_b1", sum(&by_hidden), LARGEST),
            ("grad_W2", by_out.t().dot(&hidden), LARGEST),
            ("grad_b2", sum(&by_out), LARGEST),
        ];
        Evaluated { x: x.clone(), prediction, rows: by_row, loss, others }
    }
}

impl Evaluated {
    /// A case for everything that the file has of a loss, before or after whose name the quantity stands.
    pub(super) fn compare(&self, archive: &mut Archive<'_>, name: &str) {
        let mut one = |quantity: &str, values: &Rows, by: By<'_>| {
            archive.check(&format!("{name}_{quantity}"), values, by);
            archive.check(&format!("{quantity}_{name}"), values, by);
        };
        one("xt", &self.x, LARGEST);
        one("pred", &self.prediction, LARGEST);
        one("persample", &self.rows, By::Entry);
        one("loss", &Rows::from_elem((1, 1), self.loss), By::Entry);
        for (quantity, values, by) in &self.others {
            one(quantity, values, *by);
        }
    }
}
