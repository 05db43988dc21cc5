//! Arrays as tables or images.

use std::path::Path;

use ndarray::{Array2, ArrayD};

use super::{Layout, OpenOptions, labels_of};
use crate::npy::{Element, Npz, Typed};
use crate::{Column, ColumnValues, Dataset, Error, Kind, Labels, Pixels, Result, Values};

/// An array of numbers and the type that they had.
pub(super) struct Numbers {
    pub(super) values: Held,
    pub(super) element: Element,
}

pub(super) enum Held {
    Bytes(ArrayD<u8>),
    Doubles(ArrayD<f64>),
}

impl From<Typed> for Numbers {
    fn from(array: Typed) -> Self {
        Self { values: Held::Doubles(array.values), element: array.element }
    }
}

impl Held {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Bytes(v) => v.shape(),
            Self::Doubles(v) => v.shape(),
        }
    }

    fn largest(&self) -> f64 {
        match self {
            Self::Bytes(v) => v.iter().copied().max().unwrap_or(0).into(),
            Self::Doubles(v) => v.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    fn smallest(&self) -> f64 {
        match self {
            Self::Bytes(v) => v.iter().copied().min().unwrap_or(0).into(),
            Self::Doubles(v) => v.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }
}

/// Names under which labels are usually stored.
const LABELS: [&str; 4] = ["labels", "label", "y", "arr_1"];

pub(super) fn of_archive(
    path: &Path,
    options: &OpenOptions,
    labels: Option<&str>,
) -> Result<Dataset> {
    let mut npz = Npz::open(path)?;
    let names = npz.names().to_vec();
    let labels = match labels {
        Some(name) if npz.has(name) => Some(name.to_owned()),
        Some(name) => {
            let names = names.join(", ");
            let reason = format!("labels `{name}`: no such file, and no such array of {names}");
            return Err(Error::file(path, reason));
        }
        None if options.labels.is_some() => None,
        None => names
            .iter()
            .find(|n| LABELS.contains(&n.as_str()) && options.array.as_ref() != Some(*n))
            .filter(|n| *n != "arr_1" || npz.has("arr_0"))
            .cloned(),
    };
    let others: Vec<&String> = names.iter().filter(|n| Some(*n) != labels.as_ref()).collect();
    let name = match (&options.array, &others[..]) {
        (Some(name), _) => name.clone(),
        (None, [name]) => (*name).clone(),
        (None, _) => match labels {
            None => return as_classes(path, &mut npz, options),
            Some(_) => return Err(which(path, &names)),
        },
    };
    let array = npz.typed(&name)?;
    let source = format!("{}, array `{name}`", path.display());
    let within = |e: Error| Error::file(path, format!("array `{name}`: {e}"));
    let data = dataset(array.into(), options, source).map_err(within)?;
    let Some(labels) = labels else { return Ok(data) };
    let array = npz.typed(&labels)?;
    let within = |e: Error| Error::file(path, format!("array `{labels}`: {e}"));
    let column = Column {
        name: labels.clone(),
        values: if array.element.is_float() { ColumnValues::Float } else { ColumnValues::Integer },
    };
    let found = labels_of(&column, array.values.iter().copied()).map_err(within)?;
    data.with_labels(found).map_err(within)
}

fn which(path: &Path, names: &[String]) -> Error {
    Error::file(path, format!("which array? It has {}", names.join(", ")))
}

/// Arrays of rows of one width, or of images of one size, one after the other: each is a class of its name, as a subfolder
/// of pictures is.
fn as_classes(path: &Path, npz: &mut Npz, options: &OpenOptions) -> Result<Dataset> {
    let names = npz.names().to_vec();
    let mut all: Option<Dataset> = None;
    for (class, name) in (0..).zip(&names) {
        let array = npz.typed(name)?;
        // Arrays of numbers, such as labels and moments, are no classes.
        if array.values.ndim() < 2 {
            return Err(which(path, &names));
        }
        let source = match class {
            0 => format!("{}, arrays {name}", path.display()),
            _ => name.clone(),
        };
        let data = dataset(array.into(), options, source)
            .and_then(|data| {
                let labels = Labels { of: vec![class; data.len()], classes: names.clone() };
                data.with_labels(labels)
            })
            .map_err(|e| Error::file(path, format!("array `{name}`: {e}")))?;
        all = Some(match all {
            None => data,
            Some(before) => before.followed_by(&data).map_err(|_| which(path, &names))?,
        });
    }
    all.ok_or_else(|| which(path, &names))
}

/// A table from one or two dimensions, images from three or four.
pub(super) fn dataset(array: Numbers, options: &OpenOptions, source: String) -> Result<Dataset> {
    let shape = array.values.shape().to_vec();
    match shape[..] {
        [] => Err(Error::data("one number, expected an array")),
        [n] => table(array, n, 1, source),
        [n, d] => table(array, n, d, source),
        [n, height, width] => images(array, [n, 1, height, width], false, options, source),
        [n, a, b, c] => {
            let last = match options.layout {
                Some(layout) => layout == Layout::ChannelsLast,
                None => match ([1, 3].contains(&a), [1, 3].contains(&c)) {
                    (true, false) => false,
                    (false, true) => true,
                    (first, _) => {
                        let why = if first { "first and last" } else { "neither first nor last" };
                        return Err(Error::data(format!(
                            "images {shape:?}: 1 or 3 channels are {why}; say which layout it is"
                        )));
                    }
                },
            };
            let dims = if last { [n, c, a, b] } else { [n, a, b, c] };
            images(array, dims, last, options, source)
        }
        _ => Err(Error::data(format!("an array {shape:?}: expected 1 to 4 dimensions"))),
    }
}

fn table(array: Numbers, n: usize, d: usize, source: String) -> Result<Dataset> {
    let float = array.element.is_float();
    let column = |i| {
        let name = format!("c{i}");
        if float { Column::float(name) } else { Column::integer(name) }
    };
    let rows = match array.values {
        Held::Bytes(v) => rows(&v, n, d, false)?.mapv(f64::from),
        Held::Doubles(v) => rows(&v, n, d, false)?,
    };
    Dataset::table((0..d).map(column).collect(), rows, source)
}

fn images(
    array: Numbers,
    [n, channels, height, width]: [usize; 4],
    channels_last: bool,
    options: &OpenOptions,
    source: String,
) -> Result<Dataset> {
    if array.values.shape().contains(&0) {
        return Err(Error::data(format!("no pixels in an array {:?}", array.values.shape())));
    }
    let (low, high) = (array.values.smallest(), array.values.largest());
    let pixels = match array.element {
        element if element.is_float() => Pixels::Real(low, high),
        _ if low < 0.0 || high > f64::from(u16::MAX) => {
            return Err(Error::data(format!("pixels from {low} to {high}: expected 0 to 65535")));
        }
        Element::U8 => Pixels::Levels(options.levels.unwrap_or(256)),
        Element::U16 => Pixels::Levels(options.levels.unwrap_or(1 << 16)),
        _ => Pixels::Levels(options.levels.unwrap_or(high as u32 + 1).max(2)),
    };
    if let Pixels::Levels(n @ 0..2) = pixels {
        return Err(Error::data(format!("{n} levels of a pixel: expected at least 2")));
    }
    let d = channels * height * width;
    let bytes = matches!(pixels, Pixels::Levels(..=256)) && high < 256.0;
    let values = match array.values {
        Held::Bytes(v) => Values::Bytes(rows(&v, n, d, channels_last)?),
        Held::Doubles(v) if bytes => {
            Values::Bytes(rows(&v.mapv(|v| v as u8), n, d, channels_last)?)
        }
        Held::Doubles(v) => Values::Doubles(rows(&v, n, d, channels_last)?),
    };
    Dataset::new(Kind::Images { channels, height, width, pixels }, values, source)
}

/// Rows in C order, with the channels first.
fn rows<T: Copy>(array: &ArrayD<T>, n: usize, d: usize, channels_last: bool) -> Result<Array2<T>> {
    let view = array.view();
    let view = if channels_last { view.permuted_axes(vec![0, 3, 1, 2]) } else { view };
    Array2::from_shape_vec((n, d), view.iter().copied().collect()).map_err(Error::data)
}
