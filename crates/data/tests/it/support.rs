//! Small files.

use std::io::Write;
use std::path::{Path, PathBuf};

use data::{Dataset, OpenOptions, Result};
use flate2::{Compression, write::GzEncoder};

pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, bytes).expect("a file");
        path
    }
}

pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn open(path: &Path) -> Result<Dataset> {
    data::open(path, &OpenOptions::default())
}

/// That something is refused in one line with these words.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(found: Result<T>, needles: &[&str]) {
    let error = found.expect_err("refused").to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.len() < 2000, "{error}");
    for needle in needles {
        assert!(error.contains(needle), "no {needle:?} in {error}");
    }
}
