//! Files and folders of data.

mod arrays;
mod cifar;
mod folder;
mod idx;
mod picture;
mod resize;
mod table;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use crate::{Column, ColumnValues, Dataset, Error, Kind, Labels, Result, Values, npy};

/// What a file does not say about itself. By default nothing is said, and what cannot be told is an error that names what
/// to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// The array of an `.npz` archive that holds the data. Otherwise the only one beside the labels or, where all are rows of
    /// one width or images of one size, every one: a class of its name.
    pub array: Option<String>,
    /// The classes: a file of one column or, of pictures, with the columns `file` and `label`; or a column of a table (`last` is
    /// the last one), or an array of an archive. Otherwise those
    /// that belong to the format: subfolders, `labels.csv` among pictures, the labels file beside an IDX file, an array `labels`, `label` or `y`.
    pub labels: Option<String>,
    /// Whether the first line of a table names its columns. Otherwise it does when none of its fields is a number.
    pub header: Option<bool>,
    /// What is between the fields of a table. Otherwise the commonest of comma, tab and semicolon in the first line.
    pub delimiter: Option<u8>,
    /// Columns whose numbers are codes of categories.
    pub categorical: Vec<String>,
    /// Where the channels of an array of images are. Otherwise where 1 or 3 is.
    pub layout: Option<Layout>,
    /// Levels of the pixels of an array of whole numbers. Otherwise 256 for bytes, 65536 for 16 bits without sign, 2 for
    /// booleans, and one more than the largest for others.
    pub levels: Option<u32>,
    /// Height and width that pictures are cut to: the largest part of this shape about the middle, resized by the area
    /// that a pixel covers. Otherwise all must be of one size.
    pub size: Option<(usize, usize)>,
    /// The colours that pictures are turned into. Otherwise all must have the same.
    pub colour: Option<Colour>,
}

/// Where the channels of an array of images are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `[n, channels, height, width]`.
    ChannelsFirst,
    /// `[n, height, width, channels]`.
    ChannelsLast,
}

/// What pictures are turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// One channel: luma by ITU-R BT.709.
    Grey,
    /// Three channels.
    Rgb,
}

/// Opens a file or a folder; what it holds is told by its content.
///
/// | what | read as |
/// |---|---|
/// | `.csv`, `.tsv`, the same in gzip | a table: a column is of whole numbers, real numbers or, when its first entry is no number, names |
/// | `.npy`, or an array of `.npz` | `[n]` and `[n, d]` a table, `[n, h, w]` and `[n, c, h, w]` or `[n, h, w, c]` images |
/// | IDX (MNIST), the same in gzip | as an array |
/// | `.bin` of CIFAR-10, or a folder of its `data_batch_*.bin` | images `[3, 32, 32]` with labels |
/// | a folder of `.png`, `.jpg`, `.jpeg` | images; subfolders are classes, or a file `labels.csv` with the columns `file` and `label` in it |
/// | a PNG or JPEG file | one image |
///
/// A picture with a transparent part is laid on white, a palette is looked up, 1, 2 and 4 bits are stretched to 8, and 16
/// bits are kept: 65536 levels.
///
/// # Errors
/// In one line with the file, and row and column where there are some: a file that is none of these or is damaged, a
/// missing value, text among numbers, rows or pictures of different sizes, no rows, labels that do not match.
///
/// ```
/// use data::{Kind, OpenOptions};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("iris.csv");
/// std::fs::write(&path, "length,width,species\n5.1,3.5,setosa\n6.2,2.8,virginica\n")?;
/// let options = OpenOptions { labels: Some("species".into()), ..OpenOptions::default() };
/// let data = data::open(&path, &options)?;
/// assert_eq!((data.len(), data.dim(), data.n_classes()), (2, 2, 2));
///
/// std::fs::write(&path, "length,width\n5.1,3.5\n6.2,wide\n")?;
/// let error = data::open(&path, &OpenOptions::default()).unwrap_err().to_string();
/// assert!(error.ends_with("iris.csv: row 1 (line 3), column `width`: `wide` is no number"), "{error}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    let file = options.labels.as_deref().filter(|labels| Path::new(labels).is_file());
    let inside = options.labels.as_deref().filter(|_| file.is_none());
    let data = contents(path, options, inside)?;
    let Some(file) = file else { return Ok(data) };
    if path.is_dir()
        && let Some(labels) = folder::labels(path, Path::new(file))?
    {
        return data.with_labels(labels);
    }
    let labels = labels_of_file(Path::new(file))?;
    let (found, expected) = (labels.of.len(), data.len());
    if found != expected {
        let shown = path.display();
        let reason = format!("{found} labels for the {expected} rows of {shown}");
        return Err(Error::file(Path::new(file), reason));
    }
    data.with_labels(labels)
}

/// Opens several files of one kind, such as the batches of CIFAR-10: their rows one after the other.
///
/// # Errors
/// As [`open`]; when two files have different columns, sizes or classes, or none is named.
pub fn open_all(paths: &[PathBuf], options: &OpenOptions) -> Result<Dataset> {
    let Some((first, rest)) = paths.split_first() else {
        return Err(Error::data("no file is named"));
    };
    let mut all = open(first, options)?;
    for path in rest {
        let more = open(path, options)?;
        all = all.followed_by(&more).map_err(|e| {
            Error::file(path, format!("does not continue {}: {e}", first.display()))
        })?;
    }
    Ok(all)
}

fn contents(path: &Path, options: &OpenOptions, inside: Option<&str>) -> Result<Dataset> {
    let no_names = |what: &str| match inside {
        None => Ok(()),
        Some(name) => Err(Error::file(
            path,
            format!("labels `{name}`: no such file, and {what} has no names"),
        )),
    };
    if path.is_dir() {
        no_names("a folder")?;
        return folder::read(path, options);
    }
    let mut reader = stream(path)?;
    let start = peek(path, &mut *reader)?.to_vec();
    match &start[..] {
        [] => Err(Error::file(path, "an empty file")),
        [0x93, b'N', b'U', ..] => {
            no_names("an array")?;
            let array = npy::typed_from(reader, None).map_err(|e| e.of(path))?;
            arrays::dataset(array.into(), options, path.display().to_string())
                .map_err(|e| e.of(path))
        }
        [b'P', b'K', ..] => arrays::of_archive(path, options, inside),
        [0, 0, 8..=14, 1..=8, ..] => {
            no_names("an IDX file")?;
            idx::read(path, reader, options)
        }
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] => {
            no_names("a picture")?;
            folder::of_pictures(path, &[path.to_path_buf()], options)
        }
        _ if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("bin")) => {
            no_names("a file of CIFAR-10")?;
            cifar::read(path, reader)
        }
        text if text.contains(&0) => {
            Err(Error::file(path, "neither text nor .npy, .npz, IDX, CIFAR-10, PNG or JPEG"))
        }
        _ => table::read(path, reader, options, inside),
    }
}

/// A file, what gzip has made of it undone.
fn stream(path: &Path) -> Result<Box<dyn BufRead>> {
    let file = File::open(path).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    let mut file = BufReader::with_capacity(1 << 16, file);
    let packed = peek(path, &mut file)?.starts_with(&[0x1f, 0x8b]);
    Ok(if packed {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

fn peek<'a>(path: &Path, reader: &'a mut (impl BufRead + ?Sized)) -> Result<&'a [u8]> {
    reader.fill_buf().map_err(|e| Error::file(path, format!("cannot read: {e}")))
}

/// The classes in a file of one column, or of a vector of whole numbers.
fn labels_of_file(path: &Path) -> Result<Labels> {
    let data = contents(path, &OpenOptions::default(), None)?;
    match data.kind() {
        Kind::Table { columns } if columns.len() == 1 => {
            let values = data.to_array()?;
            labels_of(&columns[0], values.iter().copied()).map_err(|e| e.of(path))
        }
        kind => {
            let reason = format!("labels are one column, found rows of {} numbers", kind.dim());
            Err(Error::file(path, reason))
        }
    }
}

/// The classes that a column of whole numbers or names stands for.
fn labels_of(column: &Column, values: impl Iterator<Item = f64>) -> Result<Labels> {
    let values: Vec<i64> = match &column.values {
        ColumnValues::Float | ColumnValues::Levels(_) => {
            let name = &column.name;
            return Err(Error::data(format!("column `{name}` of real numbers cannot be labels")));
        }
        _ => values.map(|v| v as i64).collect(),
    };
    if let ColumnValues::Categories(classes) = &column.values {
        let of = values.into_iter().map(|v| v as u32).collect();
        return Ok(Labels { of, classes: classes.clone() });
    }
    let mut distinct = values.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let index = |v: &i64| distinct.partition_point(|d| d < v) as u32;
    let of = values.iter().map(index).collect();
    Ok(Labels { of, classes: distinct.iter().map(i64::to_string).collect() })
}

impl Dataset {
    /// These rows and then those of another of the same kind and classes.
    fn followed_by(&self, other: &Self) -> Result<Self> {
        if self.kind() != other.kind() {
            return Err(Error::data("other columns, categories, sizes or levels"));
        }
        let both = |a: &Self, b: &Self| -> Result<Values> {
            Ok(match (a.values(), b.values()) {
                (Values::Bytes(a), Values::Bytes(b)) => Values::Bytes(
                    ndarray::concatenate(ndarray::Axis(0), &[a.view(), b.view()])
                        .map_err(Error::data)?,
                ),
                _ => Values::Doubles(
                    ndarray::concatenate(
                        ndarray::Axis(0),
                        &[a.to_array()?.view(), b.to_array()?.view()],
                    )
                    .map_err(Error::data)?,
                ),
            })
        };
        let source = format!("{}, {}", self.source(), other.source());
        let data = Self::new(self.kind().clone(), both(self, other)?, source)?;
        match (self.labels(), other.labels()) {
            (None, None) => Ok(data),
            (Some(a), Some(b)) if a.classes == b.classes => data.with_labels(Labels {
                of: a.of.iter().chain(&b.of).copied().collect(),
                classes: a.classes.clone(),
            }),
            _ => Err(Error::data("other classes")),
        }
    }
}
