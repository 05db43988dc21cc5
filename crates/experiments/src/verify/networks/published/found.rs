//! What was computed for an array of the references, and how far it may be off.

use anyhow::{Result, ensure};
use candle_core::{DType, Tensor};

use crate::verify::case::Deviation;

/// Values that belong beside an array.
pub(super) struct Found {
    /// The array they are held against.
    pub(super) array: String,
    /// The case, where it has another name than the array.
    pub(super) case: Option<String>,
    values: Vec<f64>,
    measure: Measure,
    tolerance: f64,
}

/// What an error is relative to.
enum Measure {
    /// The largest entry of its row, of which there are so many.
    Row(usize),
    /// The entry itself; 1 where it is zero.
    Entry,
    /// Given scales, entry by entry.
    Scales(Vec<f64>),
}

impl Found {
    /// A tensor `[B, ...]`, every row relative to its largest entry.
    pub(super) fn rows(array: &str, tensor: &Tensor, tolerance: f64) -> Result<Self> {
        let rows = tensor.dims().first().copied().unwrap_or(1);
        Ok(Self::new(array, flat(tensor)?, Measure::Row(rows), tolerance))
    }

    /// Numbers, each relative to itself.
    pub(super) fn entries(array: &str, values: Vec<f64>, tolerance: f64) -> Self {
        Self::new(array, values, Measure::Entry, tolerance)
    }

    /// Numbers, each relative to a scale.
    pub(super) fn scaled(array: &str, values: Vec<f64>, scales: Vec<f64>, tolerance: f64) -> Self {
        Self::new(array, values, Measure::Scales(scales), tolerance)
    }

    /// The same under another name.
    pub(super) fn called(mut self, case: &str) -> Self {
        self.case = Some(case.into());
        self
    }

    fn new(array: &str, values: Vec<f64>, measure: Measure, tolerance: f64) -> Self {
        Self { array: array.into(), case: None, values, measure, tolerance }
    }

    /// The largest deviation from the reference.
    pub(super) fn compare(&self, expected: &[f64]) -> Result<Deviation> {
        let (n, m) = (self.values.len(), expected.len());
        ensure!(n == m, "expected {m} values, computed {n}");
        let scales = match &self.measure {
            Measure::Entry => {
                expected.iter().map(|e| if *e == 0.0 { 1.0 } else { e.abs() }).collect()
            }
            Measure::Scales(scales) => scales.clone(),
            Measure::Row(rows) => {
                let length = (n / (*rows).max(1)).max(1);
                let largest = |row: &[f64]| row.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                let scale = |row: &[f64]| if largest(row) == 0.0 { 1.0 } else { largest(row) };
                expected.chunks(length).flat_map(|row| vec![scale(row); row.len()]).collect()
            }
        };
        ensure!(scales.len() == n, "{} scales for {n} values", scales.len());
        let errors = self.values.iter().zip(expected).zip(scales);
        let errors = errors.map(|((a, b), s)| if a == b { 0.0 } else { (a - b).abs() / s });
        // `f64::max` would drop a NaN.
        let error = errors.fold(0.0, |w: f64, e| if e.is_nan() || e > w { e } else { w });
        Ok(Deviation { error, tolerance: self.tolerance })
    }
}

/// The numbers of a tensor.
pub(super) fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}
