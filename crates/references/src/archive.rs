//! An archive whose arrays are recomputed, a case each.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use ndarray::{Array2, ArrayD};

use crate::case::{By, Check, Family, check};
use crate::flow::Rows;
use crate::npy::Npz;

/// An archive, the cases that its arrays become, and what is allowed for them.
pub(crate) struct Archive<'a> {
    npz: Npz,
    pub(crate) family: &'a mut Family,
    /// What stands before and after the name of an array in that of its case.
    pub(crate) around: [String; 2],
    pub(crate) tolerance: f64,
    known: BTreeSet<String>,
}

impl<'a> Archive<'a> {
    pub(crate) fn new(npz: Npz, prefix: &str, tolerance: f64, family: &'a mut Family) -> Self {
        let around = [prefix.to_owned(), String::new()];
        Self { npz, family, around, tolerance, known: BTreeSet::new() }
    }

    pub(crate) fn has(&self, array: &str) -> bool {
        self.npz.has(array)
    }

    /// An array.
    pub(crate) fn get(&mut self, array: &str) -> Result<ArrayD<f64>> {
        self.known.insert(array.into());
        Ok(self.npz.get(array)?)
    }

    /// The numbers of an array.
    pub(crate) fn flat(&mut self, array: &str) -> Result<Vec<f64>> {
        Ok(self.get(array)?.iter().copied().collect())
    }

    /// An array of two dimensions.
    pub(crate) fn rows(&mut self, array: &str) -> Result<Rows> {
        self.known.insert(array.into());
        Ok(self.npz.rows(array)?)
    }

    /// An array of samples of any shape, a row each.
    pub(crate) fn samples(&mut self, array: &str) -> Result<Rows> {
        let values = self.get(array)?;
        let n = values.shape().first().copied().unwrap_or(0);
        ensure!(n > 0, "{array}: expected samples, found shape {:?}", values.shape());
        let width = values.len() / n;
        Ok(Array2::from_shape_vec((n, width), values.iter().copied().collect())?)
    }

    /// What stands between `prefix` and `suffix` in the names of arrays.
    pub(crate) fn named(&self, prefix: &str, suffix: &str) -> Vec<String> {
        let names = self.npz.names().iter();
        let middle = |n: &String| Some(n.strip_prefix(prefix)?.strip_suffix(suffix)?.to_owned());
        names.filter_map(middle).collect()
    }

    /// A case under the name of an array.
    pub(crate) fn add(&mut self, array: &str, compare: impl FnOnce() -> Result<Check>) {
        self.family.add(self.around.join(array), compare);
    }

    /// A case of an array, if it is there.
    pub(crate) fn check(
        &mut self,
        array: &str,
        found: impl IntoIterator<Item: Borrow<f64>>,
        by: By<'_>,
    ) {
        self.check_to(array, found, by, self.tolerance);
    }

    /// The same with a tolerance of its own.
    pub(crate) fn check_to(
        &mut self,
        array: &str,
        found: impl IntoIterator<Item: Borrow<f64>>,
        by: By<'_>,
        tolerance: f64,
    ) {
        if self.has(array) {
            let expected = self.flat(array);
            self.add(array, || check(found, expected?, by, tolerance));
        }
    }

    /// Cases that share something: when that fails, it is a case under `name`.
    pub(crate) fn group(&mut self, name: &str, run: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(error) = run(self) {
            self.add(name, || Err(error));
        }
    }

    /// Arrays that are there and need not be compared.
    pub(crate) fn know<'n>(&mut self, arrays: impl IntoIterator<Item = &'n str>) {
        self.known.extend(arrays.into_iter().map(String::from));
    }

    /// Says which arrays nothing was compared with.
    pub(crate) fn skip_unknown(self) {
        for array in self.npz.names().iter().filter(|name| !self.known.contains(*name)) {
            self.family.skip(format!("nothing here knows the array `{array}`"));
        }
    }
}
