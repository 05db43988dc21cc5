//! Running the binary, and what holds for every error.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use ndarray::{Array2, ArrayD};

/// The binary under test, with words as on a shell.
pub(crate) fn experiment(words: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("experiment"));
    command.args(words);
    command
}

/// Runs to the end and hands back what was printed, whatever the exit code.
pub(crate) fn run(words: &[&str]) -> Output {
    experiment(words).output().expect("the binary starts")
}

/// Runs with `--json`, which must succeed, and parses the one object on standard output.
pub(crate) fn json(words: &[&str]) -> serde_json::Value {
    let output = experiment(words).arg("--json").output().expect("the binary starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {errors}");
    parse_one(&output.stdout)
}

/// Standard output holds one JSON object and nothing else.
pub(crate) fn parse_one(stdout: &[u8]) -> serde_json::Value {
    let text = std::str::from_utf8(stdout).expect("utf-8");
    let value: serde_json::Value = serde_json::from_str(text).expect("one JSON value");
    assert!(value.is_object(), "{text}");
    value
}

/// The words must end in one line of error that mentions every needle, a non-zero exit, nothing on
/// standard output, and a scratch folder that looks as before.
pub(crate) fn fails(folder: &Path, words: &[&str], needles: &[&str]) {
    let before = listing(folder);
    let output = experiment(words).current_dir(folder).output().expect("the binary starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{words:?} succeeded");
    assert!(output.status.code().is_some(), "{words:?} was killed: {stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{words:?}: expected one line, found {stderr}");
    assert!(lines[0].starts_with("error: "), "{words:?}: {stderr}");
    for needle in needles {
        assert!(lines[0].contains(needle), "{words:?}: no `{needle}` in {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(output.stdout.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(listing(folder), before, "{words:?} left something behind");
}

fn listing(folder: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).expect("a folder").map(|e| e.expect("an entry")) {
            if entry.path().is_dir() {
                open.push(entry.path());
            }
            all.insert(entry.path());
        }
    }
    all
}

/// The folder with the weights of arXiv 2311.15996: only for tests that are ignored where it is not there.
pub(crate) fn shared() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("SHARED_DIR").map_or_else(beside, PathBuf::from)
}

/// A scratch folder with a mixture of two Gaussians in it, `mixture.json`.
pub(crate) fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(
        dir.path().join("mixture.json"),
        r#"{"kind": "gaussian-mixture", "weights": [0.3, 0.7], "means": [[-1, 0.5], [1, 0]],
            "covs": [[[0.2, 0.05], [0.05, 0.1]], [[0.3, 0], [0, 0.3]]]}"#,
    )
    .expect("a file");
    dir
}

/// Writes an array of any element type.
pub(crate) fn save<T: ndarray_npy::WritableElement>(path: &Path, array: &ArrayD<T>) {
    ndarray_npy::write_npy(path, array).expect("a .npy file");
}

/// Writes rows of doubles.
pub(crate) fn save_rows(path: &Path, rows: &Array2<f64>) {
    ndarray_npy::write_npy(path, rows).expect("a .npy file");
}

/// Reads an array that must be doubles.
pub(crate) fn load(path: &Path) -> Array2<f64> {
    ndarray_npy::read_npy(path).expect("an array [n, d] of doubles")
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("utf-8")
}
