//! Columns of real numbers that take few values.

use crate::{Column, ColumnValues, Dataset, Error, Kind, Result};

/// The most values that a column of levels has.
const MOST: usize = 128;

/// Rows for each value, on average, from which a column is taken for one of levels.
const ROWS_EACH: usize = 50;

impl Dataset {
    /// The same rows, where columns of real numbers that take at most 128 values, with 50 rows for each on average, are of
    /// [`ColumnValues::Levels`], but for those named in `real`. Such a column has no density: what is fitted to it as real
    /// numbers draws numbers beside the values and has a likelihood without bound. A [`crate::Transform`] puts the place of
    /// each value among the others, as it does with whole numbers: with noise on its cell, and back exactly.
    ///
    /// Done before rows are withheld, so that all parts have the same levels. Images are as they were.
    ///
    /// # Errors
    /// When there is no column of a name in `real`, or the rows do not fit into the memory that is left.
    ///
    /// ```
    /// use data::{Column, ColumnValues, Dataset};
    /// use ndarray::Array2;
    /// let columns = vec![Column::float("hour"), Column::float("speed")];
    /// let rows = Array2::from_shape_fn((600, 2), |(k, j)| match j {
    ///     0 => 0.25 * (k % 4) as f64,
    ///     _ => k as f64 / 7.0,
    /// });
    /// let data = Dataset::table(columns, rows, "made up")?.with_levels(&[])?;
    /// let data::Kind::Table { columns } = data.kind() else { panic!("a table") };
    /// assert_eq!(columns[0].values, ColumnValues::Levels(vec![0.0, 0.25, 0.5, 0.75]));
    /// assert_eq!(columns[1].values, ColumnValues::Float);
    /// # Ok::<(), data::Error>(())
    /// ```
    pub fn with_levels(self, real: &[String]) -> Result<Self> {
        let columns = match self.kind() {
            Kind::Table { columns } => columns.as_slice(),
            _ => &[],
        };
        if let Some(name) = real.iter().find(|name| columns.iter().all(|c| c.name != **name)) {
            return Err(Error::data(format!("{}: no column `{name}`", self.source())));
        }
        if columns.is_empty() {
            return Ok(self);
        }
        let columns = (columns.iter().enumerate())
            .map(|(i, column)| {
                let found = match column.values {
                    ColumnValues::Float if !real.contains(&column.name) => self.distinct(i),
                    _ => None,
                };
                found.map_or_else(|| column.clone(), |of| Column::levels(&column.name, of))
            })
            .collect();
        let data = Self::table(columns, self.to_array()?, self.source())?;
        match self.labels() {
            None => Ok(data),
            Some(labels) => data.with_labels(labels.clone()),
        }
    }

    /// The values of a column in ascending order, where there are few.
    fn distinct(&self, column: usize) -> Option<Vec<f64>> {
        let mut row = vec![0.0; self.dim()];
        let mut found: Vec<f64> = Vec::new();
        for k in 0..self.len() {
            self.row(k, &mut row);
            // A minus of zero is the zero it equals.
            let value = row[column] + 0.0;
            let at = found.partition_point(|v| *v < value);
            if found.get(at) != Some(&value) {
                found.insert(at, value);
                if found.len() > MOST || found.len() * ROWS_EACH > self.len() {
                    return None;
                }
            }
        }
        (found.len() > 1).then_some(found)
    }
}
