//! Data in memory: rows, what they are, and their classes.

use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Rows with what they stand for, in the units of their file.
///
/// ```
/// use data::{Column, Dataset};
/// use ndarray::array;
/// let columns = vec![Column::float("height"), Column::integer("rings")];
/// let data = Dataset::table(columns, array![[0.1, 3.0], [0.2, 5.0]], "made up")?;
/// assert_eq!((data.len(), data.dim(), data.n_classes()), (2, 2, 0));
/// assert_eq!(data.to_array()?, array![[0.1, 3.0], [0.2, 5.0]]);
/// # Ok::<(), data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    kind: Kind,
    values: Values,
    labels: Option<Labels>,
    source: String,
}

/// What a row is; all that a writer needs beside the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// Columns, each of a type of its own.
    Table {
        /// The columns in order, one a coordinate.
        columns: Vec<Column>,
    },
    /// Images, flattened with the channels first: coordinate `(c * height + y) * width + x`.
    Images {
        /// 1 for grey, 3 for red, green and blue.
        channels: usize,
        /// Rows of pixels.
        height: usize,
        /// Columns of pixels.
        width: usize,
        /// The values that a pixel can have.
        pixels: Pixels,
    },
}

/// The values that a pixel can have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pixels {
    /// The whole numbers `0 ..= count - 1`: 256 for usual images.
    Levels(u32),
    /// Real numbers; those of the data are between the two.
    Real(f64, f64),
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in the file's header, or `c0`, `c1`, ...
    pub name: String,
    /// The values it can have.
    pub values: ColumnValues,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ColumnValues {
    /// Real numbers.
    Float,
    /// Real numbers, each one of these, which ascend: see [`Dataset::with_levels`].
    Levels(Vec<f64>),
    /// Whole numbers of at most 2^53 in size.
    Integer,
    /// Names; a row holds the index of its.
    Categories(Vec<String>),
}

/// The numbers of all rows, `[n, dim]`: bytes where bytes hold them.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Whole numbers up to 255: images take an eighth of the memory.
    Bytes(Array2<u8>),
    /// Any numbers.
    Doubles(Array2<f64>),
}

/// The class of every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// An index into `classes` for each row.
    pub of: Vec<u32>,
    /// The classes' names.
    pub classes: Vec<String>,
}

/// Beyond this, a double does not hold every whole number.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

impl Column {
    /// A column of real numbers.
    pub fn float(name: impl Into<String>) -> Self {
        Self { name: name.into(), values: ColumnValues::Float }
    }

    /// A column of real numbers that are each one of these, which ascend.
    pub fn levels(name: impl Into<String>, of: Vec<f64>) -> Self {
        Self { name: name.into(), values: ColumnValues::Levels(of) }
    }

    /// A column of whole numbers.
    pub fn integer(name: impl Into<String>) -> Self {
        Self { name: name.into(), values: ColumnValues::Integer }
    }

    /// A column of names.
    pub fn categories(name: impl Into<String>, of: Vec<String>) -> Self {
        Self { name: name.into(), values: ColumnValues::Categories(of) }
    }

    /// What is wrong with a value of this column.
    pub(crate) fn refuse(&self, value: f64) -> Option<String> {
        let whole = value.fract() == 0.0 && value.abs() <= MOST_EXACT;
        match &self.values {
            _ if !value.is_finite() => Some(format!("{value} is no finite number")),
            ColumnValues::Float => None,
            ColumnValues::Levels(of) => {
                let (k, n) = (of.partition_point(|v| *v < value), of.len());
                let between = match (k.checked_sub(1).map(|k| of[k]), of.get(k)) {
                    (_, Some(level)) if *level == value => return None,
                    (Some(low), Some(high)) => format!("; the nearest are {low} and {high}"),
                    (Some(nearest), None) | (None, Some(&nearest)) => {
                        format!("; the nearest is {nearest}")
                    }
                    (None, None) => String::new(),
                };
                Some(format!("{value} is none of the column's {n} values{between}"))
            }
            ColumnValues::Integer if whole => None,
            ColumnValues::Integer => Some(format!("{value} is no whole number below 2^53")),
            ColumnValues::Categories(of) if whole && value >= 0.0 && value < of.len() as f64 => {
                None
            }
            ColumnValues::Categories(of) => {
                Some(format!("{value} is no index of {} categories", of.len()))
            }
        }
    }
}

impl Kind {
    /// Coordinates of a row.
    pub fn dim(&self) -> usize {
        match self {
            Self::Table { columns } => columns.len(),
            Self::Images { channels, height, width, .. } => channels * height * width,
        }
    }

    /// What a coordinate is called: a column's name, or `channel 0, y 3, x 5`.
    pub fn name_of(&self, coordinate: usize) -> String {
        match self {
            Self::Table { columns } => {
                columns.get(coordinate).map_or_else(|| format!("c{coordinate}"), |c| c.name.clone())
            }
            Self::Images { height, width, .. } => {
                let (c, rest) = (coordinate / (height * width), coordinate % (height * width));
                format!("channel {c}, y {}, x {}", rest / width, rest % width)
            }
        }
    }

    /// What is wrong with a value of a coordinate.
    fn refuse(&self, coordinate: usize, value: f64) -> Option<String> {
        match self {
            Self::Table { columns } => columns[coordinate].refuse(value),
            Self::Images { pixels: Pixels::Levels(n), .. } => {
                let level = value.fract() == 0.0 && value >= 0.0 && value < f64::from(*n);
                (!level)
                    .then(|| format!("{value} is none of the levels 0 to {}", n.saturating_sub(1)))
            }
            Self::Images { .. } => {
                (!value.is_finite()).then(|| format!("{value} is no finite number"))
            }
        }
    }

    /// Checks rows of this kind.
    ///
    /// # Errors
    /// When they have another width; [`Error::Value`] for the first value that a coordinate cannot have.
    pub fn check(&self, rows: ArrayView2<'_, f64>) -> Result<()> {
        self.check_from(0, rows)
    }

    /// As [`Kind::check`], of rows that begin with this one.
    fn check_from(&self, first: usize, rows: ArrayView2<'_, f64>) -> Result<()> {
        if rows.ncols() != self.dim() {
            let (found, expected) = (rows.ncols(), self.dim());
            return Err(Error::data(format!("rows of {found} numbers, expected {expected}")));
        }
        for ((row, column), value) in rows.indexed_iter() {
            if let Some(reason) = self.refuse(column, *value) {
                return Err(Error::value(first + row, self.name_of(column), reason));
            }
        }
        Ok(())
    }
}

impl Values {
    /// Number of rows and of coordinates.
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Bytes(values) => values.dim(),
            Self::Doubles(values) => values.dim(),
        }
    }
}

impl Dataset {
    /// A table.
    ///
    /// # Errors
    /// When there is no row or no column, the columns and the rows do not fit, or a value is not of its column.
    pub fn table(
        columns: Vec<Column>,
        rows: Array2<f64>,
        source: impl Into<String>,
    ) -> Result<Self> {
        Self::new(Kind::Table { columns }, Values::Doubles(rows), source)
    }

    /// Rows of a kind.
    ///
    /// # Errors
    /// As [`Dataset::table`].
    pub fn new(kind: Kind, values: Values, source: impl Into<String>) -> Result<Self> {
        let (n, dim) = values.size();
        if n == 0 || dim == 0 {
            return Err(Error::data(format!("no data: {n} rows of {dim} numbers")));
        }
        match (&values, &kind) {
            (Values::Bytes(_), Kind::Images { pixels: Pixels::Levels(256..), .. })
                if dim == kind.dim() => {}
            (Values::Bytes(bytes), _) => {
                for (k, row) in bytes.axis_chunks_iter(Axis(0), 1).enumerate() {
                    kind.check_from(k, row.mapv(f64::from).view())?;
                }
            }
            (Values::Doubles(rows), _) => kind.check(rows.view())?,
        }
        Ok(Self { kind, values, labels: None, source: source.into() })
    }

    /// The same with a class for every row.
    ///
    /// # Errors
    /// When there is another number of labels than rows, or a label without a name.
    pub fn with_labels(mut self, labels: Labels) -> Result<Self> {
        let (n, classes) = (labels.of.len(), labels.classes.len());
        if n != self.len() {
            return Err(Error::data(format!("{n} labels for {} rows", self.len())));
        }
        if let Some((row, label)) =
            labels.of.iter().enumerate().find(|(_, l)| **l as usize >= classes)
        {
            return Err(Error::data(format!("row {row}: label {label} of {classes} classes")));
        }
        self.labels = Some(labels);
        Ok(self)
    }

    /// What a row is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The numbers as they are held.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The classes, where they are known.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    /// Where the data come from, in words.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Number of rows, at least one.
    #[expect(clippy::len_without_is_empty, reason = "there is always a row")]
    pub fn len(&self) -> usize {
        self.values.size().0
    }

    /// Coordinates of a row.
    pub fn dim(&self) -> usize {
        self.kind.dim()
    }

    /// Number of classes; 0 without labels.
    pub fn n_classes(&self) -> usize {
        self.labels.as_ref().map_or(0, |labels| labels.classes.len())
    }

    /// Writes one row.
    ///
    /// # Panics
    /// When there is no such row, or `out` has another length than [`Dataset::dim`].
    pub fn row(&self, row: usize, out: &mut [f64]) {
        assert_eq!(out.len(), self.dim(), "a row of another length");
        match &self.values {
            Values::Bytes(v) => {
                out.iter_mut().zip(v.row(row)).for_each(|(o, v)| *o = f64::from(*v))
            }
            Values::Doubles(v) => out.iter_mut().zip(v.row(row)).for_each(|(o, v)| *o = *v),
        }
    }

    /// All rows, `[n, dim]`.
    ///
    /// # Errors
    /// When they do not fit into the memory that is left.
    pub fn to_array(&self) -> Result<Array2<f64>> {
        self.rows(0, self.len())
    }

    /// `n` rows from `first`, `[n, dim]`; those beyond the last are left out.
    ///
    /// # Errors
    /// When they do not fit into the memory that is left.
    pub fn rows(&self, first: usize, n: usize) -> Result<Array2<f64>> {
        let first = first.min(self.len());
        let n = n.min(self.len() - first);
        sde_core::counts::in_memory(&[("rows", n as u64), ("columns", self.dim() as u64)], 8)?;
        let mut rows = Array2::zeros((n, self.dim()));
        for (k, mut row) in rows.outer_iter_mut().enumerate() {
            if let Some(row) = row.as_slice_mut() {
                self.row(first + k, row);
            }
        }
        Ok(rows)
    }

    /// The rows of these numbers, in this order.
    ///
    /// # Errors
    /// When there is no such row, or none is named.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        if let Some(row) = rows.iter().find(|row| **row >= self.len()) {
            return Err(Error::data(format!("row {row} of {}", self.len())));
        }
        if rows.is_empty() {
            return Err(Error::data("no rows are selected"));
        }
        let values = match &self.values {
            Values::Bytes(v) => Values::Bytes(v.select(Axis(0), rows)),
            Values::Doubles(v) => Values::Doubles(v.select(Axis(0), rows)),
        };
        let labels = self.labels.as_ref().map(|labels| Labels {
            of: rows.iter().map(|row| labels.of[*row]).collect(),
            classes: labels.classes.clone(),
        });
        Ok(Self { kind: self.kind.clone(), values, labels, source: self.source.clone() })
    }

    /// BLAKE3 hash of the content: kind, values and labels, whatever file they came from.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let kind = serde_json::to_vec(&self.kind).unwrap_or_default();
        hasher.update(&(kind.len() as u64).to_le_bytes()).update(&kind);
        let mut row = vec![0.0; self.dim()];
        let mut bytes = Vec::new();
        for k in 0..self.len() {
            self.row(k, &mut row);
            bytes.clear();
            bytes.extend(row.iter().flat_map(|v| v.to_le_bytes()));
            hasher.update(&bytes);
        }
        if let Some(labels) = &self.labels {
            for label in &labels.of {
                hasher.update(&label.to_le_bytes());
            }
            for name in &labels.classes {
                hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}
