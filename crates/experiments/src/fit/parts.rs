//! The rows of a configuration: read, and cut into those for training, for validation and for the report.

use std::path::Path;

use anyhow::{Result, ensure};
use data::{Dataset, Kind, Portion};
use sde_core::Key;

use super::config::Config;
use super::purpose;
use crate::checks::DIGITS;

/// The data of a configuration, cut into three.
pub(crate) struct Parts {
    pub(crate) training: Dataset,
    pub(crate) validation: Dataset,
    pub(crate) test: Dataset,
    pub(crate) left_out: usize,
}

impl Config {
    pub(crate) fn key(&self, purpose: u64) -> Key {
        Key::root(self.seed).fold(purpose)
    }

    /// The column that the classes are in, where it is one.
    pub(crate) fn column_of_classes(&self) -> &str {
        let labels = &self.data.labels;
        if Path::new(labels).is_file() { "" } else { labels }
    }

    /// Reads the data.
    pub(crate) fn open(&self) -> Result<Dataset> {
        let source = &self.data;
        if source.path == DIGITS {
            return Ok(data::digits());
        }
        let data = data::open(Path::new(&source.path), &source.options())?;
        Ok(data.with_levels(&source.real)?)
    }

    pub(crate) fn parts(&self, data: &Dataset) -> Result<Parts> {
        let least = 3;
        ensure!(
            data.len() >= least,
            "{}: {} rows, expected at least {least}",
            data.source(),
            data.len()
        );
        let split = if self.data.path == DIGITS {
            data::digits_split()
        } else {
            let test = Portion::Share(self.data.test);
            data.split(Portion::Share(0.0), test, self.key(purpose::SPLIT))?
        };
        let training = data.select(&split.training)?;
        // What decides when to stop is cut from what is not withheld for the report.
        let inner = training.split(
            Portion::Share(self.data.validation),
            Portion::Rows(0),
            self.key(purpose::SPLIT).fold(1),
        )?;
        let (validation, kept) =
            (training.select(&inner.validation)?, training.select(&inner.training)?);
        let (test, left) = fitting(data.select(&split.test)?, &kept)?;
        let (validation, also) = fitting(validation, &kept)?;
        Ok(Parts { training: kept, validation, test, left_out: left + also })
    }
}

/// Rows without those that differ from training rows in a column that is constant there: a model knows no density of them.
fn fitting(rows: Dataset, training: &Dataset) -> Result<(Dataset, usize)> {
    let transform = data::Transform::fit(training, &data::TransformOptions::default())?;
    let constants = transform.constants();
    let Kind::Table { columns } = rows.kind() else { return Ok((rows, 0)) };
    let at: Vec<(usize, f64)> = constants
        .iter()
        .filter_map(|(name, value)| Some((columns.iter().position(|c| c.name == *name)?, *value)))
        .collect();
    let mut x = vec![0.0; rows.dim()];
    let mut kept = Vec::new();
    for row in 0..rows.len() {
        rows.row(row, &mut x);
        if at.iter().all(|(column, value)| x[*column] == *value) {
            kept.push(row);
        }
    }
    let left_out = rows.len() - kept.len();
    let named = constants.iter().map(|c| c.0.as_str()).collect::<Vec<_>>().join(", ");
    ensure!(
        !kept.is_empty(),
        "every withheld row differs from the training rows where those are constant: {named}"
    );
    Ok((if left_out == 0 { rows } else { rows.select(&kept)? }, left_out))
}
