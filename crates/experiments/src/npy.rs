//! NumPy arrays on disk: `f64` in memory whatever the file holds, `f64` out.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ndarray::{Array1, Array2, ArrayD, ArrayView2, Ix1, Ix2, IxDyn, OwnedRepr};
use ndarray_npy::npy::header::{Header, Layout};
use ndarray_npy::{
    NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement, WritableElement,
};

use crate::atomic::AtomicFile;

/// Reads a `.npy` file of `f64` or `f32` (either byte order, C or Fortran order, any version).
///
/// # Errors
/// When the file is missing, truncated, no `.npy`, or holds another type.
pub fn read(path: &Path) -> Result<ArrayD<f64>> {
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let bytes = file.metadata().with_context(|| format!("cannot read {name}"))?.len();
    read_from(BufReader::new(file), bytes).with_context(|| name)
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

/// An open `.npz` archive, its arrays read one by one.
pub struct Npz {
    reader: NpzReader<BufReader<File>>,
    names: Vec<String>,
    shown: String,
}

impl Npz {
    /// Opens an archive.
    ///
    /// # Errors
    /// When the file cannot be read or is no zip archive.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
        let mut reader =
            NpzReader::new(BufReader::new(file)).map_err(|e| anyhow!("{shown}: {e}"))?;
        let mut names = reader.names().map_err(|e| anyhow!("{shown}: {e}"))?;
        names.sort();
        Ok(Self { reader, names, shown })
    }

    /// The arrays' names, without `.npy`, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether there is an array of that name.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }

    /// One array.
    ///
    /// # Errors
    /// When there is none of that name, or it is damaged or no array of floats.
    pub fn get(&mut self, name: &str) -> Result<ArrayD<f64>> {
        let shown = &self.shown;
        ensure!(self.names.iter().any(|n| n == name), "{shown}: no array `{name}`");
        match self.reader.by_name::<OwnedRepr<f64>, IxDyn>(name) {
            Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => {}
            other => return other.map_err(|e| anyhow!("{shown}: array `{name}`: {e}")),
        }
        let single = self.reader.by_name::<OwnedRepr<f32>, IxDyn>(name);
        Ok(single.map_err(|e| anyhow!("{shown}: array `{name}`: {e}"))?.mapv(f64::from))
    }

    /// One array of two dimensions; of one dimension, as a single column.
    ///
    /// # Errors
    /// As [`Npz::get`]; when it has another number of dimensions.
    pub fn rows(&mut self, name: &str) -> Result<Array2<f64>> {
        as_rows(self.get(name)?).map_err(|shape| {
            anyhow!("{}: array `{name}`: expected [n, d], found {shape:?}", self.shown)
        })
    }

    /// One array, flattened in C order.
    ///
    /// # Errors
    /// As [`Npz::get`].
    pub fn flat(&mut self, name: &str) -> Result<Vec<f64>> {
        Ok(self.get(name)?.iter().copied().collect())
    }
}

impl std::fmt::Debug for Npz {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Npz").field("path", &self.shown).field("names", &self.names).finish()
    }
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

/// An `[n, d]` array of `f64` written row by row: nothing is held in memory, and the file appears
/// only once all `n` rows are there.
#[derive(Debug)]
pub struct RowWriter {
    file: AtomicFile,
    shown: String,
    columns: usize,
    missing: usize,
    buffer: Vec<u8>,
}

impl RowWriter {
    /// Opens the file and writes its header.
    ///
    /// # Errors
    /// As [`AtomicFile::create`]; when the device is full.
    pub fn create(path: &Path, rows: usize, columns: usize) -> Result<Self> {
        let shown = path.display().to_string();
        let mut file = AtomicFile::create(path)?;
        let header = Header {
            type_descriptor: f64::type_descriptor(),
            layout: Layout::Standard,
            shape: vec![rows, columns],
        };
        header.write(&mut file).with_context(|| format!("cannot write {shown}"))?;
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
        self.file.commit()
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

/// Reads one array; `bytes` is the length of the whole stream.
fn read_from<R: Read + Seek>(mut reader: R, bytes: u64) -> Result<ArrayD<f64>> {
    let header = Header::from_reader(&mut reader).map_err(|e| anyhow!("not a .npy file: {e}"))?;
    let item: u64 = match header.type_descriptor.to_string().as_str() {
        "'<f8'" | "'>f8'" | "'=f8'" => 8,
        "'<f4'" | "'>f4'" | "'=f4'" => 4,
        other => bail!("dtype {other}: expected float64 ('<f8') or float32 ('<f4')"),
    };
    // Held against the length first: a header that promises more than there is must not be
    // believed with an allocation.
    let promised = header
        .shape
        .iter()
        .try_fold(item, |n, &s| n.checked_mul(s as u64))
        .with_context(|| format!("shape {:?} is too large", header.shape))?;
    let found = bytes.saturating_sub(reader.stream_position()?);
    ensure!(
        promised == found,
        "shape {:?} needs {promised} bytes of data, found {found}: {}",
        header.shape,
        if found < promised { "the file is truncated" } else { "the file is too long" }
    );
    reader.seek(SeekFrom::Start(0))?;
    if item == 8 { typed::<f64, R>(reader) } else { Ok(typed::<f32, R>(reader)?.mapv(f64::from)) }
}

fn typed<T: ReadableElement, R: Read>(reader: R) -> Result<ArrayD<T>> {
    ArrayD::<T>::read_npy(reader).map_err(|e| anyhow!("not a .npy file: {e}"))
}
