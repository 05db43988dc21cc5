//! Archives of arrays, written whole.

use std::io::{Cursor, Write};
use std::path::Path;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::Element;
use super::writer::header;
use crate::{Error, Result};

/// An array by its name: its shape, and its values in C order.
pub type Named<'a> = (&'a str, &'a [usize], &'a [f64]);

/// Writes an `.npz` archive of arrays of `f64`, compressed, whole or not at all.
///
/// # Errors
/// When the device is full, as [`atomic_file::write`].
///
/// # Panics
/// When an array has no axis, or another number of values than its shape says.
///
/// ```
/// use data::npy::{Npz, write_archive};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("two.npz");
/// write_archive(&path, &[("a", &[2, 2], &[1.0, 2.0, 3.0, 4.0]), ("b", &[1], &[0.5])])?;
/// let mut archive = Npz::open(&path)?;
/// assert_eq!(archive.names(), ["a", "b"]);
/// assert_eq!(archive.get("a")?[[1, 0]], 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_archive(path: &Path, arrays: &[Named<'_>]) -> Result<()> {
    let failed = |e: zip::result::ZipError| Error::file(path, format!("cannot write: {e}"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, shape, values) in arrays {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}: shape {shape:?}");
        let mut bytes = header(shape[0], &shape[1..], Element::F64);
        values.iter().for_each(|v| Element::F64.encode(*v, &mut bytes));
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).map_err(failed)?;
        zip.write_all(&bytes).map_err(|e| Error::file(path, format!("cannot write: {e}")))?;
    }
    let bytes = zip.finish().map_err(failed)?.into_inner();
    Ok(atomic_file::write(path, &bytes)?)
}
