//! One row among many that cannot be solved: it is named, or NaN beside the others.

use std::path::Path;

use ndarray::{Array2, array, s};

use crate::support::{experiment, fails, folder, load, parse_one, save_rows};

const BAD: [usize; 2] = [700, 777];
const N: usize = 900;

/// Rows with two that overflow; the first column is a time where a command wants one.
fn rows(time: bool, bad: bool) -> Array2<f64> {
    let width = if time { 3 } else { 2 };
    let mut x = Array2::from_shape_fn((N, width), |(i, j)| match j {
        0 if time => 0.5,
        j => ((i * (7 + 4 * j) % 41) as f64 - 20.0) / 10.0,
    });
    for row in BAD {
        x[[row, width - 1]] = if bad { 1.5e308 } else { 0.25 };
    }
    x
}

/// Runs with --keep-going and --json: standard output, standard error, the array.
fn kept(dir: &Path, words: &[&str]) -> (serde_json::Value, String, Array2<f64>) {
    let all = [words, &["--keep-going", "--json"]].concat();
    let output = experiment(&all).current_dir(dir).output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {errors}");
    (parse_one(&output.stdout), errors, load(&dir.join("out.npy")))
}

#[test]
fn bad_rows_are_named_or_left_out() {
    let dir = folder();
    let dir = dir.path();
    save_rows(&dir.join("x.npy"), &rows(false, true));
    save_rows(&dir.join("fine-x.npy"), &rows(false, false));
    save_rows(&dir.join("tx.npy"), &rows(true, true));
    save_rows(&dir.join("fine-tx.npy"), &rows(true, false));
    let cases: [&[&str]; 12] = [
        &["sample", "--x0", "x.npy", "--method", "heun", "--eta", "0", "--steps", "8"],
        &["sample", "--x0", "x.npy", "--method", "euler-maruyama", "--steps", "30"],
        &["sample", "--x0", "x.npy", "--method", "heun", "--eta", "1", "--rtol", "0.1"],
        &["encode", "--points", "x.npy", "--rtol", "1e-2"],
        &["encode", "--points", "x.npy", "--method", "heun", "--steps", "8"],
        &["decode", "--latents", "x.npy", "--rtol", "1e-2", "--temperature", "0.9"],
        &["logp", "--points", "tx.npy"],
        &["logp", "--points", "x.npy", "--method", "flow-exact", "--rtol", "1e-2"],
        &["logp", "--points", "x.npy", "--method", "flow-hutchinson", "--steps", "8"],
        &["logp", "--points", "x.npy", "--method", "identity", "--paths", "12", "--steps", "8"],
        &["logp", "--points", "x.npy", "--method", "flow-exact", "--rtol", "0.1", "--extrapolate"],
        &["residual", "--points", "tx.npy"],
    ];
    for case in cases {
        let common = ["--model", "mixture.json", "--sde", "vp", "--out", "out.npy"];
        let words = [case, &common].concat();
        let file = if words.contains(&"tx.npy") { "tx.npy" } else { "x.npy" };
        // Of a latent, as it is tempered.
        let value = if words.contains(&"--temperature") { "1.35e308" } else { "1.5e308" };
        fails(dir, &words, &[file, "row 700", value]);
        let (report, errors, found) = kept(dir, &words);
        assert_eq!(report["lost"], 2, "{case:?}");
        let line = errors.lines().next().unwrap_or_default();
        assert!(line.starts_with("2 of 900 rows are NaN, the first is row 700: "), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        std::fs::remove_file(dir.join("out.npy")).expect("it is there");
        // The others are what they are among rows that are all sound.
        let fine = words.iter().map(|w| match *w {
            "x.npy" => "fine-x.npy",
            "tx.npy" => "fine-tx.npy",
            other => other,
        });
        let (report, errors, expected) = kept(dir, &fine.collect::<Vec<_>>());
        assert_eq!((&report["lost"], errors.as_str()), (&0.into(), ""), "{case:?}");
        for row in 0..N {
            if BAD.contains(&row) {
                assert!(found.row(row).iter().all(|v| v.is_nan()), "{case:?} {row}");
            } else {
                assert_eq!(found.row(row), expected.row(row), "{case:?} {row}");
            }
        }
        std::fs::remove_file(dir.join("out.npy")).expect("it is there");
    }
}

/// Rows of the input may be NaN then, or at a time there is none; a file of bad rows only is an error.
#[test]
fn rows_that_are_none_are_bad_rows() {
    let dir = folder();
    let dir = dir.path();
    let common = ["--model", "mixture.json", "--sde", "vp", "--out", "out.npy"];
    let words = |more: &[&'static str]| [more, &common].concat();
    save_rows(&dir.join("x.npy"), &array![[0.1, 0.2], [f64::NAN, 0.0], [0.3, f64::INFINITY]]);
    let encode = words(&["encode", "--points", "x.npy", "--rtol", "1e-3"]);
    fails(dir, &encode, &["x.npy", "row 1", "NaN"]);
    let (report, errors, found) = kept(dir, &encode);
    assert_eq!(report["lost"], 2);
    assert!(errors.contains("row 1"), "{errors}");
    assert!(found.row(0).iter().all(|v| v.is_finite()));
    assert!(found.slice(s![1.., ..]).iter().all(|v| v.is_nan()));
    save_rows(&dir.join("tx.npy"), &array![[0.5, 0.1, 0.2], [7.0, 0.0, 0.0], [0.5, 0.3, 0.1]]);
    let residual = words(&["residual", "--points", "tx.npy"]);
    std::fs::remove_file(dir.join("out.npy")).expect("it is there");
    fails(dir, &residual, &["tx.npy", "row 1", "[7.0, 0.0, 0.0]", "outside"]);
    let (report, errors, found) = kept(dir, &residual);
    assert_eq!(report["lost"], 1);
    assert!(errors.contains("1 of 3 rows are NaN, the first is row 1: time t = 7"), "{errors}");
    assert!(found[[0, 0]].is_finite() && found[[1, 0]].is_nan() && found[[2, 0]].is_finite());
    save_rows(&dir.join("x.npy"), &array![[f64::NAN, 0.0], [0.3, f64::INFINITY]]);
    std::fs::remove_file(dir.join("out.npy")).expect("it is there");
    let all = [&encode[..], &["--keep-going"]].concat();
    fails(dir, &all, &["none of the 2 rows can be solved", "row 0"]);
}
