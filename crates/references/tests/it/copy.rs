//! A copy of a family that may be changed.

use std::fs;
use std::path::{Path, PathBuf};

use data::npy::Npz;
use ndarray::ArrayD;
use ndarray_npy::NpzWriter;
use serde_json::Value;

pub(crate) struct Copy {
    root: tempfile::TempDir,
    family: &'static str,
}

impl Copy {
    /// Of the repository.
    pub(crate) fn of(family: &'static str) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        for folder in [family, "common"] {
            copy(&references::repository().join(folder), &root.path().join("refs").join(folder));
        }
        Self { root, family }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("refs")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(self.family).join(name)
    }

    /// Puts another value in the place of one in a JSON file.
    pub(crate) fn change(&self, name: &str, pointer: &str, value: impl FnOnce(&Value) -> Value) {
        let read = fs::read(self.file(name)).expect("a file");
        let mut whole: Value = serde_json::from_slice(&read).expect("JSON");
        let place = whole.pointer_mut(pointer).expect("such a member");
        *place = value(place);
        fs::write(self.file(name), whole.to_string()).expect("a file");
    }

    /// The arrays of an archive, whatever their numbers, as doubles.
    pub(crate) fn arrays(&self, name: &str) -> Vec<(String, ArrayD<f64>)> {
        let mut npz = Npz::open(&self.file(name)).expect("an archive");
        let names = npz.names().to_vec();
        let mut read = |name: &String| npz.get(name).expect("an array of numbers");
        names.iter().map(|name| (name.clone(), read(name))).collect()
    }

    pub(crate) fn set_arrays(&self, name: &str, arrays: &[(String, ArrayD<f64>)]) {
        let mut writer = NpzWriter::new(fs::File::create(self.file(name)).expect("a file"));
        for (n, array) in arrays {
            writer.add_array(n.as_str(), array).expect("an array");
        }
        writer.finish().expect("an archive");
    }

    /// What fails now, as `case: reason`.
    pub(crate) fn failures(&self) -> Vec<String> {
        let family = references::family(&self.path(), self.family).expect("the family");
        family.failures.into_iter().map(|f| format!("{}: {}", f.case, f.reason)).collect()
    }

    /// Keeps the first half of every file of the family.
    pub(crate) fn cut_all_in_half(&self) {
        for entry in fs::read_dir(self.file("")).expect("a folder").map(|e| e.expect("an entry")) {
            if entry.path().is_file() {
                let whole = fs::read(entry.path()).expect("a file");
                fs::write(entry.path(), &whole[..whole.len() / 2]).expect("a file");
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|e| e.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::write(target, fs::read(entry.path()).expect("a file")).expect("a file");
        }
    }
}
