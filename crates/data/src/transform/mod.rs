//! From the units of the data to those of a model and back, with the density carried along.

mod fit;
mod map;

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use sde_core::Key;
use serde::{Deserialize, Serialize};

use crate::{Error, Kind, Result};
pub use fit::{Categories, ImageScale, TransformOptions};
use map::{ColumnMap, place};

/// An invertible map from rows in the units of their file to what a model is trained on.
///
/// Every coordinate is mapped by `z = (x + u - shift) / scale`. `u` is 0 for real numbers; for whole ones it is uniform on
/// (0, 1), so that the model has a density to learn, and the way back is `floor`: the values come back exactly. A column of
/// `k` categories becomes `k` coordinates, `1 + u` for the one that it is and `u` for the others (or its index, as whole
/// numbers are), and the way back is the largest. A real number of a column of levels is its place among them, whole, with noise
/// as whole numbers have it. A constant column is kept aside and put back.
///
/// With noise on the cells, which have volume 1, the log-density of the data is
/// `log p(x) = log p_model(z) + log_abs_det`; its mean over `u` is at most the log-probability of the whole numbers.
///
/// # Reference
/// Theis, van den Oord, Bethge 2016, arXiv 1511.01844, section 3.1; Uria, Murray, Larochelle 2013, arXiv 1306.0186.
///
/// ```
/// use data::{Column, Dataset, Transform, TransformOptions};
/// use ndarray::array;
/// use sde_core::Key;
/// let columns = vec![Column::float("height"), Column::integer("rings"), Column::float("unit")];
/// let rows = array![[0.1, 3.0, 7.0], [0.2, 5.0, 7.0], [0.4, 4.0, 7.0]];
/// let data = Dataset::table(columns, rows.clone(), "made up")?;
/// let transform = Transform::fit(&data, &TransformOptions::default())?;
/// // The third column is the same everywhere: no model sees it.
/// assert_eq!((transform.data_dim(), transform.model_dim()), (3, 2));
/// assert_eq!(transform.constants(), [("unit".to_owned(), 7.0)]);
/// let z = transform.to_model(rows.view(), Key::root(1), 0)?;
/// let back = transform.from_model(z.view())?;
/// assert_eq!(back.column(1), rows.column(1));
/// assert!((&back - &rows).iter().all(|d| d.abs() < 1e-15));
/// # Ok::<(), data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transform {
    kind: Kind,
    /// A map for every column of a table, for every channel of images.
    maps: Vec<ColumnMap>,
    classes: Vec<String>,
    fitted_to: FittedTo,
}

/// The data whose statistics a transform holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FittedTo {
    /// [`crate::Dataset::source`].
    pub source: String,
    /// [`crate::Dataset::hash`].
    pub hash: String,
    /// Number of rows.
    pub rows: usize,
}

/// Where a coordinate of the data is in a row of the model, and how it gets there: `z = (x + u - shift) / scale`, for each of
/// `range`, with `x` one for the category of a row and zero for the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinates {
    /// Coordinates of the model: none of a constant column, one for each category.
    pub range: Range<usize>,
    /// The shift.
    pub shift: f64,
    /// The scale.
    pub scale: f64,
    /// Whether noise `u` is added.
    pub dequantised: bool,
    /// Whether they stand for categories.
    pub one_hot: bool,
    /// The levels whose places `x` counts; none where `x` is the number itself.
    pub levels: Option<Vec<f64>>,
}

impl Coordinates {
    /// A number of the column as a coordinate, `(v - shift) / scale`; a whole number `v` by the middle of its cell, `v + 1/2`, and
    /// one of levels by that of its place, linear between them.
    pub fn middle(&self, value: f64) -> f64 {
        let value = self.levels.as_ref().map_or(value, |of| place(of, value));
        let half = if self.dequantised { 0.5 } else { 0.0 };
        (value + half - self.shift) / self.scale
    }

    /// The standard deviation of a coordinate about [`Coordinates::middle`] whose number has noise of deviation `noise`,
    /// `sqrt(noise^2 + 1/12) / scale` with the uniform noise of a cell, `noise / scale` without. Of levels `noise` is in units of
    /// their mean distance.
    ///
    /// ```
    /// use data::{Transform, TransformOptions};
    /// let digits = data::digits();
    /// let pixel = Transform::fit(&digits, &TransformOptions::default())?.coordinates(20);
    /// // 17 levels from -1 to 1: those next to each other are a cell apart.
    /// let cell = pixel.middle(4.0) - pixel.middle(3.0);
    /// assert!((pixel.deviation(0.0) - cell / 12.0_f64.sqrt()).abs() < 1e-15);
    /// # Ok::<(), data::Error>(())
    /// ```
    pub fn deviation(&self, noise: f64) -> f64 {
        let noise = match self.levels.as_deref() {
            Some(of @ [first, .., last]) => noise * (of.len() - 1) as f64 / (last - first),
            _ => noise,
        };
        let cell = if self.dequantised { 1.0 / 12.0 } else { 0.0 };
        (noise * noise + cell).sqrt() / self.scale
    }
}

impl Transform {
    /// What a row of data is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Names of the classes; empty for data without labels.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The data that it was fitted to.
    pub fn fitted_to(&self) -> &FittedTo {
        &self.fitted_to
    }

    /// Coordinates of a row of data.
    pub fn data_dim(&self) -> usize {
        self.kind.dim()
    }

    /// Coordinates of a row of the model, which are `[channels, height, width]` for images.
    pub fn model_dim(&self) -> usize {
        self.maps.iter().map(ColumnMap::width).sum::<usize>() * self.repeats()
    }

    /// Name and value of every constant column, which no model sees.
    pub fn constants(&self) -> Vec<(String, f64)> {
        let constant = |(i, map): (usize, &ColumnMap)| match map {
            ColumnMap::Constant(value) => Some((self.kind.name_of(i), *value)),
            _ => None,
        };
        self.maps.iter().enumerate().filter_map(constant).collect()
    }

    /// Where coordinate `i` of the data is in a row of the model.
    ///
    /// # Panics
    /// When there is no such coordinate.
    pub fn coordinates(&self, i: usize) -> Coordinates {
        assert!(i < self.data_dim(), "coordinate {i} of {}", self.data_dim());
        let repeats = self.repeats();
        let (map, before) = (&self.maps[i / repeats], &self.maps[..i / repeats]);
        let width = map.width();
        let first =
            before.iter().map(ColumnMap::width).sum::<usize>() * repeats + i % repeats * width;
        let (shift, scale) = map.affine();
        Coordinates {
            range: first..first + width,
            shift,
            scale,
            dequantised: map.dequantised(),
            one_hot: matches!(map, ColumnMap::OneHot { .. }),
            levels: match map {
                ColumnMap::Levels { of, .. } => Some(of.clone()),
                _ => None,
            },
        }
    }

    /// Coordinates that share one map.
    fn repeats(&self) -> usize {
        match &self.kind {
            Kind::Images { height, width, .. } => height * width,
            Kind::Table { .. } => 1,
        }
    }

    /// Coordinates of the data that vary.
    fn varying(&self) -> usize {
        let constant = |map: &&ColumnMap| !matches!(map, ColumnMap::Constant(_));
        self.maps.iter().filter(constant).count() * self.repeats()
    }

    /// Rows of data as the model has them, `[n, model_dim]`. The noise of row `r` is that of row `first_row + r` of `key`,
    /// so that rows may be cut anywhere.
    ///
    /// # Errors
    /// [`Error::Value`] when a value is none of its column, or another than that of a constant one; when the rows have
    /// another width or too many numbers for this machine.
    pub fn to_model(
        &self,
        rows: ArrayView2<'_, f64>,
        key: Key,
        first_row: u64,
    ) -> Result<Array2<f64>> {
        self.kind.check(rows)?;
        let mut out = zeros(rows.nrows(), self.model_dim())?;
        let mut row = vec![0.0; self.data_dim()];
        for (k, (x, mut z)) in rows.outer_iter().zip(out.outer_iter_mut()).enumerate() {
            row.iter_mut().zip(x).for_each(|(row, x)| *row = *x);
            let z = z.as_slice_mut().expect("rows of a new array are in one piece");
            self.row_to_model(&row, key, first_row + k as u64, z).map_err(|e| match e {
                Error::Value { column, reason, .. } => Error::Value { row: k, column, reason },
                other => other,
            })?;
        }
        Ok(out)
    }

    /// One row of data, which must be of its kind, as the model has it. The noise is that of row `row` of `key`.
    ///
    /// # Errors
    /// [`Error::Value`] for a value of a constant column that is another.
    ///
    /// # Panics
    /// When `x` has another length than [`Transform::data_dim`] or `out` than [`Transform::model_dim`].
    pub fn row_to_model(&self, x: &[f64], key: Key, row: u64, out: &mut [f64]) -> Result<()> {
        assert_eq!((x.len(), out.len()), (self.data_dim(), self.model_dim()), "a row's length");
        key.fill_uniforms(row.wrapping_mul(out.len() as u64), out);
        let (repeats, mut rest) = (self.repeats(), out);
        for (i, x) in x.iter().enumerate() {
            let map = &self.maps[i / repeats];
            let (z, after) = rest.split_at_mut(map.width());
            rest = after;
            map.put(*x, z).map_err(|why| {
                let row = usize::try_from(row).unwrap_or(usize::MAX);
                Error::value(row, self.kind.name_of(i), why)
            })?;
        }
        Ok(())
    }

    /// Rows of the model in the units of the data: whole numbers and categories are ones again, levels of images lie
    /// between their ends.
    ///
    /// # Errors
    /// When the rows have another width; [`Error::Value`] for a number that is not finite.
    pub fn from_model(&self, rows: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        let (found, expected) = (rows.ncols(), self.model_dim());
        if found != expected {
            return Err(Error::data(format!("rows of {found} numbers, the model has {expected}")));
        }
        let mut out = zeros(rows.nrows(), self.data_dim())?;
        let repeats = self.repeats();
        let mut row = vec![0.0; expected];
        for (k, (z, mut x)) in rows.outer_iter().zip(out.outer_iter_mut()).enumerate() {
            row.iter_mut().zip(z).for_each(|(row, z)| *row = *z);
            let mut rest = row.as_slice();
            for (i, x) in x.iter_mut().enumerate() {
                let map = &self.maps[i / repeats];
                let (z, after) = rest.split_at(map.width());
                rest = after;
                *x = map.take(z);
                if z.iter().any(|z| !z.is_finite()) || !x.is_finite() {
                    let why = format!("{z:?} of the model is no finite value");
                    return Err(Error::value(k, self.kind.name_of(i), why));
                }
            }
        }
        Ok(out)
    }

    /// `log |det dz/dx|`, the same for every row: the log-density of data is that of the model plus this.
    pub fn log_abs_det(&self) -> f64 {
        self.maps.iter().map(ColumnMap::log_abs_det).sum::<f64>() * self.repeats() as f64
    }

    /// Bits a dimension that varies, `-(log p_model + log_abs_det) / (D log 2)`, of a log-density of the model (natural
    /// logarithm): for dequantised levels an upper bound of `-log2 P / D`.
    ///
    /// ```
    /// use data::{Transform, TransformOptions};
    /// let digits = data::digits();
    /// let transform = Transform::fit(&digits, &TransformOptions::default())?;
    /// // A density that is uniform on [-1, 1]^64 takes every one of 17 levels alike.
    /// let uniform = -64.0 * 2.0_f64.ln();
    /// assert!((transform.bits_per_dim(uniform) - 17.0_f64.log2()).abs() < 1e-12);
    /// # Ok::<(), data::Error>(())
    /// ```
    pub fn bits_per_dim(&self, log_density: f64) -> f64 {
        let dim = self.varying().max(1) as f64;
        self.bits_offset() - log_density / (dim * std::f64::consts::LN_2)
    }

    /// What [`Transform::bits_per_dim`] adds to the model's own bits a dimension: `log2 256 = 8` for 256 levels on [0, 1],
    /// 7 for [-1, 1].
    pub fn bits_offset(&self) -> f64 {
        -self.log_abs_det() / (self.varying().max(1) as f64 * std::f64::consts::LN_2)
    }
}

fn zeros(n: usize, width: usize) -> Result<Array2<f64>> {
    sde_core::counts::in_memory(&[("rows", n as u64), ("columns", width as u64)], 8)?;
    Ok(Array2::zeros((n, width)))
}
