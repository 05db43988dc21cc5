//! NumPy arrays on disk: `f64` in memory whatever the file holds.
//!
//! The reader is our own. `npyz` 0.9 and `ndarray-npy` 0.10 allocate what a header promises, which ends the process (4 GiB of header
//! text, 8 TB of numbers); the first panics where a shape overflows; both read one element type, chosen when the program is
//! compiled, and refuse what NumPy itself reads (`=f8`, the long integers of Python 2). The header is a Python dictionary;
//! written as JSON, it is serde's.

mod archive;
mod bundle;
mod element;
mod writer;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ndarray::{Array1, Array2, ArrayD, ArrayView2, Ix1, Ix2, IxDyn, ShapeBuilder};
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};
pub use archive::Npz;
pub use bundle::{Named, write_archive};
pub use element::Element;
pub use writer::{RowWriter, write};

/// Bytes that are read at a time: a whole number of elements of any type.
const PIECE: usize = 1 << 20;

/// Longer headers are those of structured arrays, or damaged.
const LONGEST: u32 = 1 << 16;

/// An array and the type of its elements in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Typed {
    /// The numbers, each the nearest double.
    pub values: ArrayD<f64>,
    /// What the file holds.
    pub element: Element,
}

/// What is said about an array before its numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    descr: Value,
    fortran_order: bool,
    shape: Vec<usize>,
}

/// Reads a `.npy` file or pipe: floats of 16, 32 or 64 bits, integers (beyond 2^53 rounded to the
/// nearest double) or booleans, either byte order, C or Fortran order, any version.
///
/// # Errors
/// When the file is missing, truncated, no `.npy`, or holds another type.
pub fn read(path: &Path) -> Result<ArrayD<f64>> {
    Ok(read_typed(path)?.values)
}

/// As [`read`], with the type of the elements.
///
/// # Errors
/// As [`read`].
pub fn read_typed(path: &Path) -> Result<Typed> {
    let refuse = |e: std::io::Error| Error::file(path, format!("cannot read: {e}"));
    let file = File::open(path).map_err(refuse)?;
    let meta = file.metadata().map_err(refuse)?;
    let length = meta.is_file().then_some(meta.len());
    typed_from(file, length).map_err(|e| e.of(path))
}

/// Reads a finite array of two dimensions.
///
/// # Shapes
/// `[n, d]` with `n >= 1` rows; a one-dimensional array is read as `[n, 1]`.
///
/// # Errors
/// As [`read`]; when there are no rows, or a row holds NaN or an infinity (named by its index).
pub fn read_rows(path: &Path) -> Result<Array2<f64>> {
    let rows = as_rows(read(path)?).map_err(|e| e.of(path))?;
    if rows.is_empty() {
        let shape = rows.shape();
        return Err(Error::file(path, format!("expected at least one row, found {shape:?}")));
    }
    check_finite(rows.view()).map_err(|e| e.of(path))?;
    Ok(rows)
}

/// Reads a finite array of one dimension.
///
/// # Errors
/// As [`read_rows`]; when the array has another number of dimensions.
pub fn read_vector(path: &Path) -> Result<Array1<f64>> {
    let array = read(path)?;
    let shape = array.shape().to_vec();
    let vector = array
        .into_dimensionality::<Ix1>()
        .map_err(|_| Error::file(path, format!("expected an array [n], found {shape:?}")))?;
    match vector.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        Some((i, v)) => Err(Error::file(path, format!("entry {i} is {v}"))),
        None => Ok(vector),
    }
}

fn as_rows(array: ArrayD<f64>) -> Result<Array2<f64>> {
    let shape = array.shape().to_vec();
    let n = array.len();
    let two = if shape.len() == 1 {
        Array2::from_shape_vec((n, 1), array.into_iter().collect())
    } else {
        array.into_dimensionality::<Ix2>()
    };
    two.map_err(|_| Error::data(format!("expected an array [n, d], found {shape:?}")))
}

/// Checks that every entry is a finite number.
///
/// # Errors
/// Names the first row and column that are not.
pub fn check_finite(rows: ArrayView2<'_, f64>) -> Result<()> {
    match rows.indexed_iter().find(|(_, v)| !v.is_finite()) {
        Some(((row, column), v)) => Err(Error::data(format!("row {row}, column {column} is {v}"))),
        None => Ok(()),
    }
}

/// Reads one array from a stream of `length` bytes, where that is known.
///
/// What the header promises is never believed with an allocation: it is held against the length,
/// and where there is none memory grows with what is read.
///
/// # Errors
/// When the stream is no `.npy` file, holds too little or too much, or another type.
pub fn read_from(reader: impl Read, length: Option<u64>) -> Result<ArrayD<f64>> {
    Ok(typed_from(reader, length)?.values)
}

/// As [`read_from`], with the type of the elements.
///
/// # Errors
/// As [`read_from`].
pub fn typed_from(mut reader: impl Read, length: Option<u64>) -> Result<Typed> {
    let (header, start) = Header::read(&mut reader)?;
    let (element, big_endian) = header.element()?;
    let shape = &header.shape;
    let too_large = || Error::data(format!("shape {shape:?} is too large"));
    let (n, promised) = sizes(shape, element.bytes()).ok_or_else(too_large)?;
    let fits = |found: u64, more: &str| {
        let wrong = if found < promised as u64 { "truncated" } else { "too long" };
        if promised as u64 == found {
            return Ok(());
        }
        Err(Error::data(format!(
            "shape {shape:?} needs {promised} bytes of data, found {found}{more}: the file is {wrong}"
        )))
    };
    let mut values = Vec::new();
    if let Some(length) = length {
        fits(length.saturating_sub(start), "")?;
        values.try_reserve_exact(n).map_err(|_| too_large())?;
    }
    let mut read = 0;
    while read < promised {
        let piece = take(&mut reader, PIECE.min(promised - read))?;
        read += piece.len();
        values.try_reserve(piece.len() / element.bytes()).map_err(|_| too_large())?;
        element.decode(&piece, big_endian, &mut values);
        if piece.len() < PIECE {
            fits(read as u64, "")?;
        }
    }
    if !take(&mut reader, 1)?.is_empty() {
        fits(read as u64 + 1, " and more")?;
    }
    let values = ArrayD::from_shape_vec(IxDyn(shape).set_f(header.fortran_order), values)
        .map_err(|_| too_large())?;
    Ok(Typed { values, element })
}

/// Up to `n` bytes, fewer where the stream ends.
fn take(reader: &mut impl Read, n: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = reader.take(n as u64).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|e| Error::data(format!("cannot read: {e}")))
}

/// Numbers in an array, and their bytes; `None` when a `usize` cannot hold them, or could not
/// if the lengths that are 0 were 1: no array has such a shape.
fn sizes(shape: &[usize], bytes: usize) -> Option<(usize, usize)> {
    let most = shape.iter().filter(|&&n| n > 0);
    most.copied().chain([bytes]).try_fold(1_usize, usize::checked_mul)?;
    let n = shape.iter().product();
    Some((n, n * bytes))
}

impl Header {
    /// Reads a header and says how long it was; `reader` is left at the first number.
    ///
    /// # Reference
    /// NumPy enhancement proposal 1, `numpy.lib.format`: versions 1 (length in two bytes), 2 (in four) and 3 (text in UTF-8).
    fn read(reader: &mut impl Read) -> Result<(Self, u64)> {
        let ends = || Error::data("not a .npy file: it ends in its header");
        let start = take(reader, 8)?;
        if start.len() < 6 || start[..6] != *b"\x93NUMPY" {
            return Err(Error::data("not a .npy file: it does not begin as one"));
        }
        let wide = match start[6..] {
            [1, _] => 2,
            [2 | 3, _] => 4,
            [major, minor] => {
                return Err(Error::data(format!("version {major}.{minor} of .npy is not known")));
            }
            _ => return Err(ends()),
        };
        let mut length = take(reader, wide)?;
        if length.len() < wide {
            return Err(ends());
        }
        length.resize(4, 0);
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        if length > LONGEST {
            let most = format!("a header of {length} bytes, expected at most {LONGEST}");
            return Err(Error::data(most));
        }
        let text = take(reader, length as usize)?;
        if text.len() < length as usize {
            return Err(ends());
        }
        let text = String::from_utf8_lossy(&text);
        let header = serde_json::from_str(&json(&text)).map_err(|e| {
            Error::data(format!("not a .npy file: header {:?}: {e}", text.trim_end()))
        })?;
        Ok((header, 8 + wide as u64 + u64::from(length)))
    }

    /// The element type and whether its bytes are in the order of big-endian machines.
    fn element(&self) -> Result<(Element, bool)> {
        match &self.descr {
            Value::String(descr) => Element::parse(descr),
            other => Err(Error::data(format!(
                "a structured dtype, {other}: expected numbers of one kind, such as '<f8'"
            ))),
        }
    }
}

/// A Python literal of dictionaries, tuples, texts, numbers and truth values as JSON.
fn json(python: &str) -> String {
    let (mut out, mut quoted) = (String::with_capacity(python.len()), false);
    for c in python.chars() {
        match c {
            '\'' | '"' => {
                quoted = !quoted;
                out.push('"');
            }
            _ if quoted => out.push(c),
            // Python 2 wrote long integers as `3L`.
            'L' if out.ends_with(|c: char| c.is_ascii_digit()) => {}
            '(' => out.push('['),
            ')' | '}' | ']' => {
                out.truncate(out.trim_end().len());
                if out.ends_with(',') {
                    out.pop();
                }
                out.push(if c == ')' { ']' } else { c });
            }
            _ => out.push(c),
        }
    }
    out.replace("True", "true").replace("False", "false")
}
