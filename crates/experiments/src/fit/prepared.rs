//! What becomes of a row before a model sees it: the transform of its columns, then, for tables, whitening.

use anyhow::{Context as _, Result, ensure};
use data::{Dataset, Draws, Kind, Transform, TransformOptions};
use faer::{Mat, Side};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use score_nets::{DataSource, ScoreModel};
use sde_core::Key;
use serde::{Deserialize, Serialize};

/// From rows in the units of the data to those of a model, and back. A checkpoint holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Prepared {
    pub(crate) transform: Transform,
    /// Of tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whitening: Option<Whitening>,
}

/// `w = A z`: coordinates of unit variance without correlation, so that a model that has learned nothing yet is the
/// Gaussian with the covariance of the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Whitening {
    mean: Vec<f64>,
    /// `A` and its inverse, row by row.
    forward: Vec<f64>,
    back: Vec<f64>,
    log_abs_det: f64,
}

/// Variances below this share of the largest are taken as this share: the direction holds no data to speak of.
const LEAST: f64 = 1e-8;

/// Rows that a whitening is computed from, at most.
const ENOUGH: usize = 200_000;

impl Whitening {
    /// Of rows `z`: with the covariance `Q diag(v) Q^T`, `A = diag(v^(-1/2)) Q^T`.
    fn fit(z: &Array2<f64>) -> Result<Self> {
        let (n, d) = z.dim();
        let mean = z.mean_axis(Axis(0)).context("no rows")?;
        let off = z - &mean;
        let cov = off.t().dot(&off) / n as f64;
        let found = Mat::from_fn(d, d, |i, j| cov[[i, j]])
            .self_adjoint_eigen(Side::Lower)
            .map_err(|e| anyhow::anyhow!("the covariance has no eigenvalues: {e:?}"))?;
        let values: Vec<f64> = (0..d).map(|k| found.S()[k]).collect();
        let largest = values.iter().copied().fold(0.0, f64::max);
        ensure!(largest > 0.0, "every row is the same");
        let deviations: Vec<f64> = values.iter().map(|v| v.max(LEAST * largest).sqrt()).collect();
        let q = found.U();
        let forward = (0..d * d).map(|p| q[(p % d, p / d)] / deviations[p / d]).collect();
        let back = (0..d * d).map(|p| q[(p / d, p % d)] * deviations[p % d]).collect();
        let log_abs_det = -deviations.iter().map(|s| s.ln()).sum::<f64>();
        Ok(Self { mean: mean.to_vec(), forward, back, log_abs_det })
    }

    fn put(&self, z: &[f64], out: &mut [f64]) {
        for (out, row) in out.iter_mut().zip(self.forward.chunks(z.len())) {
            *out = row.iter().zip(z).zip(&self.mean).map(|((a, z), m)| a * (z - m)).sum();
        }
    }

    fn take(&self, w: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        let d = self.mean.len();
        let back = Array2::from_shape_vec((d, d), self.back.clone())?;
        Ok(w.dot(&back.t()) + Array1::from(self.mean.clone()))
    }
}

impl Prepared {
    /// Fitted to the rows for training.
    pub(super) fn fit(training: &Dataset, key: Key) -> Result<Self> {
        let transform = Transform::fit(training, &TransformOptions::default())?;
        let Kind::Table { .. } = training.kind() else {
            return Ok(Self { transform, whitening: None });
        };
        let d = transform.model_dim();
        // A wide table has no covariance to speak of, and its square may not fit.
        if training.len() <= 2 * d || d > 1000 {
            return Ok(Self { transform, whitening: None });
        }
        let z = transform.to_model(training.rows(0, ENOUGH)?.view(), key, 0)?;
        Ok(Self { transform, whitening: Some(Whitening::fit(&z)?) })
    }

    /// What a checkpoint says.
    ///
    /// # Errors
    /// When that is damaged; `None` for a model that was not fitted to data.
    pub(crate) fn of_model(model: &ScoreModel) -> Option<Result<Self>> {
        let data = model.config().data.clone()?;
        Some(serde_json::from_value(data).context("what the checkpoint says of its data"))
    }

    /// Rows of data as the model has them; the noise of whole numbers is that of rows `first ..` of `key`.
    ///
    /// # Errors
    /// A value that is none of its column.
    pub(crate) fn to_model(
        &self,
        rows: ArrayView2<'_, f64>,
        key: Key,
        first: u64,
    ) -> Result<Array2<f64>> {
        let z = self.transform.to_model(rows, key, first)?;
        let Some(whitening) = &self.whitening else { return Ok(z) };
        let mut out = Array2::zeros(z.dim());
        for (z, mut out) in z.rows().into_iter().zip(out.rows_mut()) {
            let (Some(z), Some(out)) = (z.as_slice(), out.as_slice_mut()) else { continue };
            whitening.put(z, out);
        }
        Ok(out)
    }

    /// Rows of the model as the transform of the columns has them: standardised, not whitened.
    pub(super) fn standardised(&self, rows: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        match &self.whitening {
            None => Ok(rows.to_owned()),
            Some(whitening) => whitening.take(rows),
        }
    }

    /// Rows of the model in the units of the data.
    ///
    /// # Errors
    /// A number that is not finite.
    pub(crate) fn to_data(&self, rows: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        Ok(self.transform.from_model(self.standardised(rows)?.view())?)
    }

    /// What is added to a log-density of the model to have that of the data.
    pub(crate) fn log_abs_det(&self) -> f64 {
        self.transform.log_abs_det() + self.whitening.as_ref().map_or(0.0, |w| w.log_abs_det)
    }
}

/// Rows for training batches.
pub(super) struct Batches {
    draws: Draws,
    prepared: Prepared,
    /// Withheld rows come in their order, so that every one counts alike.
    in_order: bool,
    /// Whether the model is told the classes.
    conditional: bool,
}

impl Batches {
    pub(super) fn new(
        data: Dataset,
        prepared: &Prepared,
        in_order: bool,
        conditional: bool,
    ) -> Result<Self> {
        let transform = std::sync::Arc::new(prepared.transform.clone());
        let draws = Draws::new(std::sync::Arc::new(data), transform)?;
        Ok(Self { draws, prepared: prepared.clone(), in_order, conditional })
    }

    fn write(&self, key: Key, first: u64, out: &mut [f64]) -> data::Result<()> {
        if !self.in_order {
            return self.draws.fill(key, first, out);
        }
        let (data, dim) = (self.draws.data(), self.draws.dim());
        let mut x = vec![0.0; data.dim()];
        for (row, out) in (first..).zip(out.chunks_exact_mut(dim)) {
            data.row((row % data.len() as u64) as usize, &mut x);
            self.prepared.transform.row_to_model(&x, key, row, out)?;
        }
        Ok(())
    }
}

impl DataSource for Batches {
    fn dim(&self) -> usize {
        self.draws.dim()
    }

    fn fill(&self, key: Key, first: u64, out: &mut [f64]) -> score_nets::Result<()> {
        self.write(key, first, out).map_err(wrong)?;
        if let Some(whitening) = &self.prepared.whitening {
            let mut z = vec![0.0; self.dim()];
            for row in out.chunks_exact_mut(self.dim()) {
                z.copy_from_slice(row);
                whitening.put(&z, row);
            }
        }
        Ok(())
    }

    fn n_classes(&self) -> usize {
        if self.conditional { self.draws.n_classes() } else { 0 }
    }

    fn fill_labels(&self, key: Key, first: u64, out: &mut [u32]) -> score_nets::Result<()> {
        let data = self.draws.data();
        if let (true, Some(labels)) = (self.in_order, data.labels()) {
            for (row, out) in (first..).zip(out) {
                *out = labels.of[(row % data.len() as u64) as usize];
            }
            return Ok(());
        }
        self.draws.fill_labels(key, first, out).map_err(wrong)
    }
}

fn wrong(error: data::Error) -> score_nets::Error {
    score_nets::Error::Setting {
        name: "data".into(),
        value: "a row".into(),
        reason: error.to_string(),
    }
}
