//! Arrays that come from pipes, and headers that lie.

use ndarray::array;

use crate::support::{experiment, fails, folder, save_rows};

#[test]
#[cfg(unix)]
fn a_pipe_is_read_like_a_file() {
    let dir = folder();
    save_rows(&dir.path().join("a.npy"), &array![[0.0, 0.0], [3.0, 4.0]]);
    save_rows(&dir.path().join("b.npy"), &array![[3.0, 4.0], [3.0, 4.0]]);
    let whole = std::fs::read(dir.path().join("a.npy")).expect("a file");
    let words = ["metric", "w1", "/dev/stdin", "b.npy", "--json"];
    let mut command = experiment(&words);
    let output = command.current_dir(dir.path()).write_stdin(whole.clone()).output().expect("run");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    // One of two points has to go from the origin to (3, 4).
    assert_eq!(found["value"], 2.5);
    let words = ["metric", "w1", "/dev/stdin", "b.npy"];
    let cut = whole[..whole.len() - 3].to_vec();
    let output = experiment(&words).current_dir(dir.path()).write_stdin(cut).output().expect("run");
    assert!(String::from_utf8_lossy(&output.stderr).contains("truncated"));
    let header =
        format!("{{'descr': '<f8', 'fortran_order': False, 'shape': (0, {}, 4)}}\n", i64::MAX);
    let length = (header.len() as u16).to_le_bytes();
    let big = [&b"\x93NUMPY\x01\0"[..], &length, header.as_bytes()].concat();
    std::fs::write(dir.path().join("big.npy"), big).expect("a file");
    fails(dir.path(), &["metric", "w2", "big.npy", "a.npy"], &["big.npy", "too large"]);
}
