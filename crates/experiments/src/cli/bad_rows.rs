//! Rows of a file that cannot be solved: named, and with `--keep-going` left out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Error, Result, anyhow, ensure};
use ndarray::{Array2, ArrayView1, Axis, Ix2, concatenate};
use solvers::{BadRows, SolveError};

use super::Output;
use crate::npy;

/// What becomes of rows that cannot be solved.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct BadRowOptions {
    /// Write NaN for a row that cannot be solved, say so on standard error, and go on; without this the
    /// first such row is an error
    #[arg(long)]
    pub(super) keep_going: bool,
}

impl BadRowOptions {
    /// The rows of a file; with --keep-going some may hold NaN or infinities.
    pub(super) fn read_rows(self, path: &Path) -> Result<Array2<f64>> {
        if !self.keep_going {
            return Ok(npy::read_rows(path)?);
        }
        let (shown, array) = (path.display(), npy::read(path)?);
        let shape = array.shape().to_vec();
        let array = if shape.len() == 1 { array.insert_axis(Axis(1)) } else { array };
        let rows = array
            .into_dimensionality::<Ix2>()
            .map_err(|_| anyhow!("{shown}: expected an array [n, d], found {shape:?}"))?;
        ensure!(!rows.is_empty(), "{shown}: expected at least one row, found {shape:?}");
        Ok(rows)
    }
}

/// Rows that were lost, with the reason.
#[derive(Debug, Default)]
pub(super) struct Lost(Mutex<BTreeMap<u64, String>>);

impl Lost {
    pub(super) fn add(&self, row: u64, why: &dyn std::fmt::Display) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.entry(row).or_insert_with(|| why.to_string());
    }

    /// Runs what solves rows as the options say.
    pub(super) fn watch<T>(
        &self,
        options: BadRowOptions,
        solve: impl FnOnce(BadRows<'_>) -> Result<T, SolveError>,
    ) -> Result<T, SolveError> {
        let told = |row: u64, error: SolveError| self.add(row, &error);
        solve(if options.keep_going { BadRows::Nan(&told) } else { BadRows::Refuse })
    }

    /// Says how many of `n` rows were lost and which is the first, and returns how many.
    ///
    /// # Errors
    /// When there is no other row.
    pub(super) fn say(&self, n: u64, output: &Output) -> Result<u64> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((first, why)) = rows.first_key_value() else { return Ok(0) };
        let lost = rows.len() as u64;
        ensure!(lost < n, "none of the {n} rows can be solved: row {first}: {why}");
        output.note(&format!("{lost} of {n} rows are NaN, the first is row {first}: {why}"));
        Ok(lost)
    }
}

/// The error with the values of the row it names.
pub(super) fn with_values(error: SolveError, path: &Path, rows: &Array2<f64>) -> Error {
    match error {
        SolveError::InRow { row, source } if (row as usize) < rows.nrows() => {
            let values = shown(rows.row(row as usize));
            Error::new(*source).context(format!("{}: row {row}, {values}", path.display()))
        }
        other => other.into(),
    }
}

/// The first values of a row.
pub(super) fn shown(row: ArrayView1<'_, f64>) -> String {
    const MOST: usize = 6;
    let first: Vec<String> = row.iter().take(MOST).map(|v| format!("{v:?}")).collect();
    format!("[{}{}]", first.join(", "), if row.len() > MOST { ", ..." } else { "" })
}

/// How a table of rows is computed, one row independent of the others.
pub(super) struct RowByRow<'a> {
    pub(super) options: BadRowOptions,
    pub(super) lost: &'a Lost,
    /// Where the rows come from.
    pub(super) path: &'a Path,
    pub(super) rows: &'a Array2<f64>,
    pub(super) columns: &'a [String],
}

impl RowByRow<'_> {
    /// `f(start, len)`, the table of those rows. Where that fails, in halves, down to the row it is due to; such a
    /// row, or one that is not finite, is NaN or ends everything, as the options say.
    pub(super) fn table(
        &self,
        (start, len): (usize, usize),
        f: &dyn Fn(usize, usize) -> Result<Array2<f64>>,
    ) -> Result<Array2<f64>> {
        match f(start, len) {
            Err(_) if len > 1 => {
                let half = len / 2;
                let a = self.table((start, half), f)?;
                let b = self.table((start + half, len - half), f)?;
                Ok(concatenate(Axis(0), &[a.view(), b.view()])?)
            }
            Err(error) => {
                self.bad(start, error)?;
                Ok(Array2::from_elem((1, self.columns.len()), f64::NAN))
            }
            Ok(mut table) => {
                for (i, mut row) in table.rows_mut().into_iter().enumerate() {
                    if let Some(at) = row.iter().position(|v| !v.is_finite()) {
                        self.bad(start + i, anyhow!("{} is {}", self.columns[at], row[at]))?;
                        row.fill(f64::NAN);
                    }
                }
                Ok(table)
            }
        }
    }

    fn bad(&self, row: usize, why: Error) -> Result<()> {
        if self.options.keep_going {
            self.lost.add(row as u64, &format_args!("{why:#}"));
            return Ok(());
        }
        let values = shown(self.rows.row(row));
        Err(why.context(format!("{}: row {row}, {values}", self.path.display())))
    }
}
