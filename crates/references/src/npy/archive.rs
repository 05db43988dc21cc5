//! `.npz` archives: a zip of `.npy` files.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use ndarray::{Array2, ArrayD};
use zip::ZipArchive;

use super::{as_rows, read_from};

/// An open `.npz` archive, its arrays read one by one.
pub struct Npz {
    archive: ZipArchive<BufReader<File>>,
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
        let archive = ZipArchive::new(BufReader::new(file)).with_context(|| shown.clone())?;
        let mut names = Vec::new();
        for name in archive.file_names() {
            let name = name.with_context(|| shown.clone())?;
            names.push(name.strip_suffix(".npy").unwrap_or(&name).to_owned());
        }
        names.sort();
        Ok(Self { archive, names, shown })
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
        let shown = &self.shown;
        ensure!(self.names.iter().any(|n| n == name), "{shown}: no array `{name}`");
        let within = || format!("{shown}: array `{name}`");
        let file = format!("{name}.npy");
        let file = if self.archive.index_for_name(&file).is_some() { &file } else { name };
        let member = self.archive.by_name(file).with_context(within)?;
        // The size that the archive gives is not yet checked against anything.
        read_from(member, None).with_context(within)
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
