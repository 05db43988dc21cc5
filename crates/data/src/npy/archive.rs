use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayD};
use zip::ZipArchive;

use super::{Typed, as_rows, typed_from};
use crate::{Error, Result};

/// An open `.npz` archive, a zip of `.npy` files, its arrays read one by one.
pub struct Npz {
    archive: ZipArchive<BufReader<File>>,
    names: Vec<String>,
    path: PathBuf,
}

impl Npz {
    /// Opens an archive.
    ///
    /// # Errors
    /// When the file cannot be read or is no zip archive.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| Error::file(path, e))?;
        let mut names = Vec::new();
        for name in archive.file_names() {
            let name = name.map_err(|e| Error::file(path, e))?;
            names.push(name.strip_suffix(".npy").unwrap_or(&name).to_owned());
        }
        names.sort();
        Ok(Self { archive, names, path: path.to_path_buf() })
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
    /// When there is none of that name, or it is damaged or no array of numbers.
    pub fn get(&mut self, name: &str) -> Result<ArrayD<f64>> {
        Ok(self.typed(name)?.values)
    }

    /// One array and the type of its elements.
    ///
    /// # Errors
    /// As [`Npz::get`].
    pub fn typed(&mut self, name: &str) -> Result<Typed> {
        if !self.has(name) {
            let names = self.names.join(", ");
            return Err(Error::file(&self.path, format!("no array `{name}`: it has {names}")));
        }
        let file = format!("{name}.npy");
        let file = if self.archive.index_for_name(&file).is_some() { &file } else { name };
        // The size that the archive gives is not yet checked against anything.
        let found =
            self.archive.by_name(file).map_err(Error::data).and_then(|m| typed_from(m, None));
        found.map_err(|e| Error::file(&self.path, format!("array `{name}`: {e}")))
    }

    /// One array of two dimensions; of one dimension, as a single column.
    ///
    /// # Errors
    /// As [`Npz::get`]; when it has another number of dimensions.
    pub fn rows(&mut self, name: &str) -> Result<Array2<f64>> {
        as_rows(self.get(name)?)
            .map_err(|e| Error::file(&self.path, format!("array `{name}`: {e}")))
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
        f.debug_struct("Npz").field("path", &self.path).field("names", &self.names).finish()
    }
}
