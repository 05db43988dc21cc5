//! A copy of a family that may be changed.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, NpzWriter};
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

    pub(crate) fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.file(name)).expect("a file")).expect("JSON")
    }

    pub(crate) fn set_json(&self, name: &str, value: &Value) {
        fs::write(self.file(name), value.to_string()).expect("a file");
    }

    /// The arrays of an archive, whatever their numbers, as doubles.
    pub(crate) fn arrays(&self, name: &str) -> Vec<(String, ArrayD<f64>)> {
        let open = fs::File::open(self.file(name)).expect("a file");
        let mut reader = NpzReader::new(open).expect("an archive");
        let names = reader.names().expect("names");
        let mut read = |n: String| {
            let array = reader
                .by_name::<OwnedRepr<f64>, IxDyn>(&n)
                .or_else(|_| reader.by_name::<OwnedRepr<f32>, IxDyn>(&n).map(|a| a.mapv(f64::from)))
                .or_else(|_| reader.by_name::<OwnedRepr<u8>, IxDyn>(&n).map(|a| a.mapv(f64::from)))
                .or_else(|_| {
                    reader.by_name::<OwnedRepr<i64>, IxDyn>(&n).map(|a| a.mapv(|v| v as f64))
                });
            (n.trim_end_matches(".npy").to_owned(), array.expect("an array of numbers"))
        };
        names.into_iter().map(&mut read).collect()
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
