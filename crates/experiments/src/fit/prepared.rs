//! What becomes of a row before a model sees it: the transform of its columns, then, for tables, whitening.

use anyhow::{Context as _, Result, ensure};
use data::{Dataset, Draws, Kind, Transform, TransformOptions};
use faer::{Mat, Side};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use score_nets::DataSource;
use sde_core::{Key, Sde, TimeGrid};
use serde::{Deserialize, Serialize};

/// From rows in the units of the data to those of a model, and back. A checkpoint holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Prepared {
    pub(crate) transform: Transform,
    /// Of tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whitening: Option<Whitening>,
    /// The column of the classes, where they came from one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) labels: String,
    /// How samplers end that nobody told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usual: Option<Usual>,
}

/// What samplers and densities do where nothing else is said: what the fit did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Usual {
    /// The time of the data; below it the network has not been trained.
    pub(crate) t_end: f64,
    /// Where steps lie.
    #[serde(with = "grid_by_name")]
    pub(crate) grid: TimeGrid,
}

/// A grid is written as its name.
mod grid_by_name {
    use super::*;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(grid: &TimeGrid, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&grid.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TimeGrid, D::Error> {
        let name = String::deserialize(from)?;
        TimeGrid::parse(&name).map_err(serde::de::Error::custom)
    }
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
    pub(crate) fn fit(training: &Dataset, key: Key) -> Result<Self> {
        let transform = Transform::fit(training, &TransformOptions::default())?;
        let Kind::Table { .. } = training.kind() else {
            return Ok(Self::of(transform, None));
        };
        let d = transform.model_dim();
        // A wide table has no covariance to speak of, and its square may not fit.
        if training.len() <= 2 * d || d > 1000 {
            return Ok(Self::of(transform, None));
        }
        let z = transform.to_model(training.rows(0, ENOUGH)?.view(), key, 0)?;
        let whitening = Whitening::fit(&z)?;
        Ok(Self::of(transform, Some(whitening)))
    }

    fn of(transform: Transform, whitening: Option<Whitening>) -> Self {
        Self { transform, whitening, labels: String::new(), usual: None }
    }

    /// The same, with what a checkpoint says beside it: the column of the classes, how samplers end.
    pub(crate) fn noting(self, labels: &str, usual: Usual) -> Self {
        Self { labels: labels.into(), usual: Some(usual), ..self }
    }

    /// What is done where nothing else is said.
    pub(crate) fn usual(&self, sde: &dyn Sde) -> Usual {
        let grid = TimeGrid::Karras { rho: 7.0 };
        self.usual.unwrap_or(Usual { t_end: sde.usual_end().max(1e-3), grid })
    }

    /// Coordinates of the transform as functions of a row `w` of the model, `rows w + offset`: of a whitened table any of them
    /// depends on all of `w`; `None` where they are those of the model themselves.
    ///
    /// # Panics
    /// When there is no such coordinate.
    pub(crate) fn measured(&self, coordinates: &[usize]) -> Option<(Array2<f64>, Vec<f64>)> {
        let whitening = self.whitening.as_ref()?;
        let d = whitening.mean.len();
        let rows = Array2::from_shape_fn((coordinates.len(), d), |(i, j)| {
            whitening.back[coordinates[i] * d + j]
        });
        Some((rows, coordinates.iter().map(|k| whitening.mean[*k]).collect()))
    }

    /// What a checkpoint says of its data.
    ///
    /// # Errors
    /// When that is damaged; `None` for a model that was not fitted to data.
    pub(crate) fn noted_in(data: Option<&serde_json::Value>) -> Option<Result<Self>> {
        let read = serde_json::from_value(data?.clone());
        Some(read.context("what the checkpoint says of its data"))
    }

    /// In what rows of a model differ from those of another model, where they do.
    pub(crate) fn differs(&self, other: &Self) -> Option<&'static str> {
        let (own, of_other) = (&self.transform, &other.transform);
        if own.kind() != of_other.kind() {
            return Some("columns, or in the size or the values of images");
        }
        if own.classes() != of_other.classes() {
            return Some("classes");
        }
        let places =
            |t: &Transform| (0..t.data_dim()).map(|i| t.coordinates(i)).collect::<Vec<_>>();
        let same = places(own) == places(of_other)
            && own.constants() == of_other.constants()
            && self.whitening == other.whitening;
        (!same).then_some("how they are scaled: it was fitted to other rows")
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

    /// Images as the model has them without noise: levels are the middles of their cells.
    ///
    /// # Errors
    /// Rows that are no such images.
    pub(crate) fn without_noise(&self, images: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        self.transform.kind().check(images)?;
        let size =
            [("rows", images.nrows() as u64), ("columns", self.transform.model_dim() as u64)];
        sde_core::counts::in_memory(&size, 16)?;
        let mut z = Array2::zeros((images.nrows(), self.transform.model_dim()));
        for (j, column) in images.columns().into_iter().enumerate() {
            let place = self.transform.coordinates(j);
            let middle = if place.dequantised { 0.5 } else { 0.0 };
            for k in place.range {
                z.column_mut(k).assign(&((&column + (middle - place.shift)) / place.scale));
            }
        }
        Ok(z)
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
pub(crate) struct Batches {
    draws: Draws,
    prepared: Prepared,
    /// Withheld rows come in their order, so that every one counts alike.
    in_order: bool,
    /// Whether the model is told the classes.
    conditional: bool,
}

impl Batches {
    pub(crate) fn new(
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

#[cfg(test)]
mod tests {
    use super::*;
    use data::Column;

    /// A table with a real column, a whole one that depends on it, names, and a constant one.
    fn trees() -> Dataset {
        let n = 300;
        let (mut z, mut u) = (vec![0.0; 2 * n], vec![0.0; n]);
        Key::root(1).fill_normals(0, &mut z);
        Key::root(2).fill_uniforms(0, &mut u);
        let names = ["ash", "oak", "yew"].map(String::from).to_vec();
        let columns = vec![
            Column::float("height"),
            Column::integer("rings"),
            Column::float("same"),
            Column::categories("tree", names),
        ];
        let rows = Array2::from_shape_fn((n, 4), |(i, j)| match j {
            0 => 2.0 + 0.3 * z[2 * i],
            1 => (10.0 + 3.0 * z[2 * i] + z[2 * i + 1]).round(),
            2 => 5.0,
            _ => (3.0 * u[i]).floor(),
        });
        Dataset::table(columns, rows, "made up").expect("rows")
    }

    /// What is measured of a row of the model is what the transform says of the row of data, for each coordinate.
    #[test]
    fn a_column_is_a_sum_over_the_coordinates_of_the_model() {
        let data = trees();
        let prepared = Prepared::fit(&data, Key::root(3)).expect("prepared");
        assert_eq!(prepared.transform.model_dim(), 5);
        let (rows, key) = (data.rows(0, 100).expect("rows"), Key::root(4));
        let z = prepared.transform.to_model(rows.view(), key, 0).expect("rows");
        let w = prepared.to_model(rows.view(), key, 0).expect("rows");
        let asked = [3, 0, 1];
        let (a, offset) = prepared.measured(&asked).expect("whitened");
        let found = w.dot(&a.t()) + Array1::from(offset);
        let exact = z.select(Axis(1), &asked);
        for (found, exact) in found.iter().zip(&exact) {
            assert!((found - exact).abs() < 1e-12, "{found} {exact}");
        }
        // It is no selection: the columns depend on each other.
        assert!(a.rows().into_iter().all(|row| row.iter().filter(|v| v.abs() > 1e-3).count() > 1));
    }

    #[test]
    fn a_checkpoint_keeps_what_was_noted() {
        let prepared = Prepared::fit(&trees(), Key::root(3)).expect("prepared");
        let plain = serde_json::to_value(&prepared).expect("JSON");
        assert!(plain.get("usual").is_none() && plain.get("labels").is_none());
        let usual = Usual { t_end: 0.004, grid: TimeGrid::Karras { rho: 5.0 } };
        let noted = prepared.noting("tree", usual);
        let json = serde_json::to_string(&noted).expect("JSON");
        let back: Prepared = serde_json::from_str(&json).expect("the same");
        let vp = sde_core::Vp::default();
        assert_eq!((back.labels.as_str(), back.usual(&vp)), ("tree", usual));
    }
}
