//! Rows of one file as rows of what was made for another.

use std::path::Path;

use ndarray::Array2;

use crate::{
    Column, ColumnValues, Dataset, Error, Kind, Labels, OpenOptions, Pixels, Result, Values, open,
};

/// Opens a file as rows of a kind: those of a model, or of another file. Columns are found by their names and put in the
/// order of the kind, categories are those of the same name; of an array without names the columns count. What a picture
/// shows is taken back to the levels that [`crate::save`] stretched to it.
///
/// A column of the file that is not of the kind is taken for the classes if it is one of `class_columns` (`last` is the last
/// one), and refused otherwise.
///
/// # Errors
/// As [`open`]; for other columns or sizes, and with row and column for a value or a category that the kind does not have.
///
/// ```
/// use data::{Column, Kind, open_as};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("trees.csv");
/// let names = ["ash", "oak", "yew"].map(String::from).to_vec();
/// let kind = Kind::Table { columns: vec![Column::float("height"), Column::categories("tree", names)] };
/// std::fs::write(&path, "tree,height,label\nyew,2,old\nash,3,new\n")?;
/// let data = open_as(&path, &kind, &["label"])?;
/// assert_eq!((data.kind(), data.n_classes()), (&kind, 2));
/// assert_eq!(data.to_array()?, ndarray::array![[2.0, 2.0], [3.0, 0.0]]);
///
/// std::fs::write(&path, "tree,height\nyew,2\nelm,3\n")?;
/// let error = open_as(&path, &kind, &[]).unwrap_err().to_string();
/// assert!(error.ends_with("row 1, column tree: `elm` is none of the categories ash, oak, yew"), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open_as(path: &Path, kind: &Kind, class_columns: &[&str]) -> Result<Dataset> {
    let text = path.is_file() && !is_binary(path);
    let categorical = match kind {
        Kind::Table { columns } if text => {
            let named = |c: &&Column| matches!(c.values, ColumnValues::Categories(_));
            columns.iter().filter(named).map(|c| c.name.clone()).collect()
        }
        _ => Vec::new(),
    };
    let options = OpenOptions { categorical, ..OpenOptions::default() };
    let mut data = open(path, &options)?;
    if let Some(labels) = classes_among(data.kind(), kind, class_columns) {
        data = open(path, &OpenOptions { labels: Some(labels), ..options })?;
    }
    if is_picture(path) {
        data = data.unstretched(kind)?;
    }
    data.conform(kind)
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn is_binary(path: &Path) -> bool {
    ["npy", "npz", "png", "jpg", "jpeg", "bin"].contains(&ending(path).as_str())
}

fn is_picture(path: &Path) -> bool {
    path.is_dir() || ["png", "jpg", "jpeg"].contains(&ending(path).as_str())
}

/// The column of a table that holds the classes.
fn classes_among(found: &Kind, wanted: &Kind, candidates: &[&str]) -> Option<String> {
    let Kind::Table { columns } = found else { return None };
    let is_wanted = |name: &str| match wanted {
        Kind::Table { columns } => columns.iter().any(|c| c.name == name),
        Kind::Images { .. } => false,
    };
    let has = |name: &&&str| match **name {
        "last" => columns.len() == wanted.dim() + 1,
        name => columns.iter().any(|c| c.name == name) && !is_wanted(name),
    };
    candidates.iter().find(has).map(|name| (*name).to_owned())
}

/// Names that a file without names gets.
fn unnamed(columns: &[Column]) -> bool {
    columns.iter().enumerate().all(|(i, c)| c.name == format!("c{i}"))
}

impl Dataset {
    /// The same rows, with their classes, as rows of another kind; see [`open_as`].
    ///
    /// # Errors
    /// In one line with where the rows come from: other columns or sizes; with row and column, a value that the kind does
    /// not have.
    pub fn conform(&self, kind: &Kind) -> Result<Self> {
        let source = self.source().to_owned();
        let of = |e: Error| e.of(Path::new(&source));
        let values = match (self.kind(), kind) {
            (Kind::Table { columns: found }, Kind::Table { columns: wanted }) => {
                self.columns(found, wanted).map_err(of)?
            }
            (Kind::Images { .. }, Kind::Images { .. }) if size(self.kind()) == size(kind) => {
                self.values().clone()
            }
            // A table of pixels, as one of images is written.
            (Kind::Table { columns }, Kind::Images { .. })
                if columns.len() == kind.dim()
                    && !columns.iter().any(|c| matches!(c.values, ColumnValues::Categories(_))) =>
            {
                Values::Doubles(self.to_array()?)
            }
            (found, wanted) => {
                let (found, wanted) = (described(found), described(wanted));
                return Err(of(Error::data(format!("{found}, expected {wanted}"))));
            }
        };
        let data = Self::new(kind.clone(), values, self.source()).map_err(of)?;
        match self.labels() {
            None => Ok(data),
            Some(labels) => data.with_labels(labels.clone()),
        }
    }

    /// The values of the wanted columns in their order.
    fn columns(&self, found: &[Column], wanted: &[Column]) -> Result<Values> {
        let by_place = unnamed(found) && found.len() == wanted.len();
        let mut places = Vec::with_capacity(wanted.len());
        for (i, column) in wanted.iter().enumerate() {
            let by_name = || found.iter().position(|c| c.name == column.name);
            let place = if by_place { Some(i) } else { by_name() };
            places.push(place.ok_or_else(|| {
                let (name, has) = (&column.name, few(found.iter().map(|c| &c.name)));
                Error::data(format!("no column `{name}`: the columns are {has}"))
            })?);
        }
        if let Some(i) = (0..found.len()).find(|i| !places.contains(i)) {
            let (name, known) = (&found[i].name, few(wanted.iter().map(|c| &c.name)));
            return Err(Error::data(format!("column `{name}` is none of {known}")));
        }
        let n = self.len();
        let counts = [("rows", n as u64), ("columns", wanted.len() as u64)];
        sde_core::counts::in_memory(&counts, 8)?;
        let maps: Vec<Translation> =
            wanted.iter().zip(&places).map(|(w, i)| Translation::new(&found[*i], w)).collect();
        let (mut row, mut out) = (vec![0.0; found.len()], Array2::zeros((n, wanted.len())));
        for (k, mut out) in out.rows_mut().into_iter().enumerate() {
            self.row(k, &mut row);
            for (j, out) in out.iter_mut().enumerate() {
                let value = maps[j].of(row[places[j]]);
                *out = value.map_err(|why| Error::value(k, &wanted[j].name, why))?;
            }
        }
        Ok(Values::Doubles(out))
    }

    /// Levels that were stretched to those of a picture, or real pixels that were, as they were.
    fn unstretched(self, kind: &Kind) -> Result<Self> {
        let (
            Kind::Images { channels, height, width, pixels: Pixels::Levels(shown) },
            Kind::Images { pixels, .. },
        ) = (self.kind(), kind)
        else {
            return Ok(self);
        };
        let largest = f64::from(*shown) - 1.0;
        let (low, high) = match *pixels {
            Pixels::Levels(n) if n >= *shown => return Ok(self),
            Pixels::Levels(n) => (0.0, f64::from(n) - 1.0),
            Pixels::Real(low, high) => (low, high),
        };
        let whole = matches!(pixels, Pixels::Levels(_));
        let mut rows = self.to_array()?;
        for ((row, at), v) in rows.indexed_iter_mut() {
            let taken = low + *v / largest * (high - low);
            if whole && (taken.round() / high * largest).round() != *v {
                let why =
                    format!("{v} is none of {} levels stretched to 0 to {largest}", high + 1.0);
                let error = Error::value(row, kind.name_of(at), why);
                return Err(error.of(Path::new(self.source())));
            }
            *v = if whole { taken.round() } else { taken };
        }
        let kind =
            Kind::Images { channels: *channels, height: *height, width: *width, pixels: *pixels };
        let data = Self::new(kind, Values::Doubles(rows), self.source())?;
        match self.labels() {
            None => Ok(data),
            Some(labels) => data.with_labels(labels.clone()),
        }
    }
}

impl Labels {
    /// The same classes among others: each by its name.
    ///
    /// # Errors
    /// [`Error::Value`] with the row of the first class that is none of them.
    pub fn among(&self, classes: &[String]) -> Result<Self> {
        let place = |name: &String| classes.iter().position(|c| c == name);
        let places: Vec<Option<usize>> = self.classes.iter().map(place).collect();
        let of = self.of.iter().enumerate().map(|(row, label)| {
            let name = &self.classes[*label as usize];
            places[*label as usize].map(|k| k as u32).ok_or_else(|| {
                let why = format!("`{name}` is none of the classes {}", few(classes.iter()));
                Error::value(row, "of the classes", why)
            })
        });
        Ok(Self { of: of.collect::<Result<_>>()?, classes: classes.to_vec() })
    }
}

/// From the values of one column to those of another.
enum Translation {
    /// Numbers stay.
    Same,
    /// Numbers that are one of these but for the rounding of a file.
    Levels(Vec<f64>),
    /// The place of every name among the categories, or what is wrong with it.
    Names(Vec<Result<f64, String>>),
}

impl Translation {
    fn new(found: &Column, wanted: &Column) -> Self {
        let ColumnValues::Categories(names) = &found.values else {
            return match &wanted.values {
                ColumnValues::Levels(of) => Self::Levels(of.clone()),
                _ => Self::Same,
            };
        };
        let of = |name: &String| match &wanted.values {
            ColumnValues::Categories(known) => {
                let place = known.iter().position(|k| k == name);
                place.map(|k| k as f64).ok_or_else(|| {
                    format!("`{name}` is none of the categories {}", few(known.iter()))
                })
            }
            _ => Err(format!("`{name}` is no number")),
        };
        Self::Names(names.iter().map(of).collect())
    }

    fn of(&self, value: f64) -> Result<f64, String> {
        match self {
            Self::Same => Ok(value),
            Self::Levels(of) => Ok(of.iter().copied().find(|v| near(*v, value)).unwrap_or(value)),
            Self::Names(places) => places[value as usize].clone(),
        }
    }
}

/// Whether a number is another but for the rounding to single precision.
fn near(level: f64, value: f64) -> bool {
    (level - value).abs() <= f64::from(f32::EPSILON) * level.abs()
}

fn size(kind: &Kind) -> Option<[usize; 3]> {
    match kind {
        Kind::Images { channels, height, width, .. } => Some([*channels, *height, *width]),
        Kind::Table { .. } => None,
    }
}

/// What rows are, in words.
fn described(kind: &Kind) -> String {
    match kind {
        Kind::Images { channels, height, width, .. } => {
            let colour = if *channels == 1 { "grey" } else { "RGB" };
            format!("images of {height}x{width} {colour} pixels")
        }
        Kind::Table { columns } => {
            format!(
                "a table of {} columns: {}",
                columns.len(),
                few(columns.iter().map(|c| &c.name))
            )
        }
    }
}

/// The first names of many.
fn few<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = if names.len() > 20 { ", ..." } else { "" };
    format!("{}{more}", names.take(20).cloned().collect::<Vec<_>>().join(", "))
}
