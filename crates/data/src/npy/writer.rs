use std::io::Write;
use std::path::{Path, PathBuf};

use atomic_file::AtomicFile;
use ndarray::ArrayView2;

use super::Element;
use crate::{Error, Result};

/// An array written row by row: nothing is held in memory, and the file appears only once all rows are there.
#[derive(Debug)]
pub struct RowWriter {
    file: AtomicFile,
    path: PathBuf,
    element: Element,
    columns: usize,
    missing: usize,
    buffer: Vec<u8>,
}

impl RowWriter {
    /// Opens the file of an `[n, d]` array of `f64` and writes its header.
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
        Self::create_typed(path, rows, row, Element::F64)
    }

    /// As [`RowWriter::create_as`], of another type on disk.
    ///
    /// # Errors
    /// As [`RowWriter::create`].
    pub fn create_typed(path: &Path, rows: usize, row: &[usize], element: Element) -> Result<Self> {
        let file = AtomicFile::create(path)?;
        let (columns, path) = (row.iter().product(), path.to_path_buf());
        let buffer = header(rows, row, element);
        let mut writer = Self { file, path, element, columns, missing: rows, buffer };
        writer.flush()?;
        Ok(writer)
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
        for row in rows.outer_iter() {
            row.iter().for_each(|v| self.element.encode(*v, &mut self.buffer));
            if self.buffer.len() > super::PIECE {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|e| Error::file(&self.path, format!("cannot write: {e}")))
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

/// The header of an array, padded to a multiple of 64 bytes.
pub(super) fn header(rows: usize, row: &[usize], element: Element) -> Vec<u8> {
    let order = if element.bytes() == 1 { '|' } else { '<' };
    let code = element.code();
    // A tuple of one has a comma, too.
    let row: String = row.iter().map(|n| format!(" {n},")).collect();
    let row = row.strip_suffix(',').unwrap_or(&row);
    let mut text =
        format!("{{'descr': '{order}{code}', 'fortran_order': False, 'shape': ({rows},{row})}}");
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}
