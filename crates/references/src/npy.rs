//! NumPy arrays on disk: `f64` in memory whatever the file holds, `f64` out.

mod archive;
mod header;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ndarray::{Array1, Array2, ArrayD, ArrayView2, Ix1, Ix2, IxDyn, ShapeBuilder};

pub use archive::Npz;
use header::{Header, fill};
use score_nets::atomic::AtomicFile;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;

/// Reads a `.npy` file or pipe: floats of 16, 32 or 64 bits, integers (beyond 2^53 rounded to the
/// nearest double) or booleans, either byte order, C or Fortran order, any version.
///
/// # Errors
/// When the file is missing, truncated, no `.npy`, or holds another type.
pub fn read(path: &Path) -> Result<ArrayD<f64>> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let meta = file.metadata().with_context(|| format!("cannot read {name}"))?;
    read_from(file, meta.is_file().then_some(meta.len())).with_context(|| name)
}

/// Reads a finite array of two dimensions.
///
/// # Shapes
/// `[n, d]` with `n >= 1` rows; a one-dimensional array is read as `[n, 1]`.
///
/// # Errors
/// As [`read`]; when there are no rows, or a row holds NaN or an infinity (named by its index).
pub fn read_rows(path: &Path) -> Result<Array2<f64>> {
    let shown = path.display();
    let rows = as_rows(read(path)?)
        .map_err(|shape| anyhow!("{shown}: expected an array [n, d], found {shape:?}"))?;
    ensure!(!rows.is_empty(), "{shown}: expected at least one row, found {:?}", rows.shape());
    check_finite(rows.view()).with_context(|| path.display().to_string())?;
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
        .map_err(|_| anyhow!("{}: expected an array [n], found {shape:?}", path.display()))?;
    if let Some((i, v)) = vector.iter().enumerate().find(|(_, v)| !v.is_finite()) {
        bail!("{}: entry {i} is {v}", path.display());
    }
    Ok(vector)
}

fn as_rows(array: ArrayD<f64>) -> Result<Array2<f64>, Vec<usize>> {
    let shape = array.shape().to_vec();
    let n = array.len();
    let two = if shape.len() == 1 {
        Array2::from_shape_vec((n, 1), array.iter().copied().collect())
    } else {
        array.into_dimensionality::<Ix2>()
    };
    two.map_err(|_| shape)
}

/// Checks that every entry is a finite number.
///
/// # Errors
/// Names the first row and column that are not.
pub fn check_finite(rows: ArrayView2<'_, f64>) -> Result<()> {
    match rows.indexed_iter().find(|(_, v)| !v.is_finite()) {
        Some(((row, column), v)) => bail!("row {row}, column {column} is {v}"),
        None => Ok(()),
    }
}

/// An array of `f64` written row by row: nothing is held in memory, and the file appears only once all rows
/// are there.
#[derive(Debug)]
pub struct RowWriter {
    file: AtomicFile,
    shown: String,
    columns: usize,
    missing: usize,
    buffer: Vec<u8>,
}

impl RowWriter {
    /// Opens the file of an `[n, d]` array and writes its header.
    ///
    /// # Errors
    /// As [`AtomicFile::create`]; when the device is full.
    pub fn create(path: &Path, rows: usize, columns: usize) -> Result<Self> {
        Self::create_as(path, rows, &[columns])
    }

    /// As [`RowWriter::create`], for rows of any shape; they are pushed flattened in C order.
    ///
    /// # Errors
    /// As [`RowWriter::create`].
    pub fn create_as(path: &Path, rows: usize, row: &[usize]) -> Result<Self> {
        let shown = path.display().to_string();
        let mut file = AtomicFile::create(path)?;
        file.write_all(&header_bytes(rows, row))
            .with_context(|| format!("cannot write {shown}"))?;
        let columns = row.iter().product();
        Ok(Self { file, shown, columns, missing: rows, buffer: Vec::new() })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// When the device is full.
    ///
    /// # Panics
    /// When the rows have another width, or there are more than the file was created for.
    pub fn push(&mut self, rows: ArrayView2<'_, f64>) -> Result<()> {
        assert_eq!(rows.ncols(), self.columns, "a row of another width");
        assert!(rows.nrows() <= self.missing, "{} rows too many", rows.nrows() - self.missing);
        self.missing -= rows.nrows();
        self.buffer.clear();
        self.buffer.extend(rows.iter().flat_map(|v| v.to_ne_bytes()));
        self.file.write_all(&self.buffer).with_context(|| format!("cannot write {}", self.shown))
    }

    /// Puts the finished file in its place.
    ///
    /// # Errors
    /// As [`AtomicFile::commit`].
    ///
    /// # Panics
    /// When rows are missing.
    pub fn finish(self) -> Result<()> {
        assert_eq!(self.missing, 0, "rows are missing");
        Ok(self.file.commit()?)
    }
}

/// Writes an `[n, d]` array, whole or not at all.
///
/// # Errors
/// As [`RowWriter::create`] and [`RowWriter::finish`].
pub fn write(path: &Path, rows: ArrayView2<'_, f64>) -> Result<()> {
    let mut writer = RowWriter::create(path, rows.nrows(), rows.ncols())?;
    writer.push(rows)?;
    writer.finish()
}

/// Reads one array from a stream of `length` bytes, where that is known.
///
/// What the header promises is never believed with an allocation: it is held against the length,
/// and where there is none memory grows with what is read.
///
/// # Errors
/// When the stream is no `.npy` file, holds too little or too much, or another type.
pub fn read_from(mut reader: impl Read, length: Option<u64>) -> Result<ArrayD<f64>> {
    let mut counted = Counted { reader: &mut reader, n: 0 };
    let header = Header::read(&mut counted)?;
    let start = counted.n;
    let Header { dtype, fortran, shape } = &header;
    let (n, promised) = header.sizes().with_context(|| format!("shape {shape:?} is too large"))?;
    let fits = |found: u64, more: &str| {
        let wrong = if found < promised as u64 { "truncated" } else { "too long" };
        ensure!(
            promised as u64 == found,
            "shape {shape:?} needs {promised} bytes of data, found {found}{more}: the file is {wrong}"
        );
        Ok(())
    };
    let mut values = Vec::new();
    if let Some(length) = length {
        fits(length.saturating_sub(start), "")?;
        values.try_reserve_exact(n).with_context(|| format!("shape {shape:?}"))?;
    }
    // A whole number of elements of any type.
    let mut piece = vec![0; PIECE.min(promised)];
    let mut read = 0;
    while read < promised {
        let piece = &mut piece[..PIECE.min(promised - read)];
        let found = fill(&mut reader, piece)?;
        if found < piece.len() {
            fits((read + found) as u64, "")?;
        }
        values.try_reserve(found / dtype.bytes()).with_context(|| format!("shape {shape:?}"))?;
        dtype.decode(piece, &mut values);
        read += found;
    }
    if fill(&mut reader, &mut [0])? > 0 {
        fits(read as u64 + 1, " and more")?;
    }
    let shape = IxDyn(shape).set_f(*fortran);
    ArrayD::from_shape_vec(shape, values).context("its shape")
}

/// A reader that says how far it is.
struct Counted<'a, R> {
    reader: &'a mut R,
    n: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.n += n as u64;
        Ok(n)
    }
}

/// The header of an array of native `f64`, padded to a multiple of 64 bytes.
fn header_bytes(rows: usize, row: &[usize]) -> Vec<u8> {
    let order = if cfg!(target_endian = "big") { '>' } else { '<' };
    // A tuple of one has a comma, too.
    let row = if row.is_empty() { String::new() } else { format!("{row:?}").replace('[', " ") };
    let row = row.trim_end_matches(']');
    let mut text =
        format!("{{'descr': '{order}f8', 'fortran_order': False, 'shape': ({rows},{row})}}");
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}
