//! Random command lines, with the memory that a small machine has: each is refused in one line, or works.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use sde_core::Key;

use crate::fuzz::Draw;
use crate::support::{folder, save_rows};

/// Values of flags: small ones work, of large ones none may run for long.
const FLAG_VALUES: [&str; 22] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "1e300",
    "1e-300",
    "5e-324",
    "-0.0",
    "0.5",
    "inf",
    "-inf",
    "nan",
    "",
    "x",
    "ou:horizon=1e300",
    "log-snr",
    "heun",
];

/// Commands with their flags; the last of them may be given any value.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (
        &[
            "sample",
            "--model",
            "mixture.json",
            "--sde",
            "vp",
            "--method",
            "euler-maruyama",
            "--out",
            "o.npy",
        ],
        &[
            "--steps",
            "--n",
            "--eta",
            "--t-start",
            "--t-end",
            "--seed",
            "--block-rows",
            "--grid",
            "--end",
            "--sde",
            "--method",
        ],
    ),
    (
        &[
            "sample",
            "--model",
            "mixture.json",
            "--sde",
            "vp",
            "--method",
            "heun",
            "--n",
            "2",
            "--out",
            "o.npy",
        ],
        &["--rtol", "--atol", "--eta", "--t-start", "--t-end", "--sde"],
    ),
    (
        &[
            "encode",
            "--model",
            "mixture.json",
            "--sde",
            "vp",
            "--points",
            "points.npy",
            "--out",
            "o.npy",
        ],
        &["--rtol", "--steps", "--t-end", "--grid", "--method", "--sde"],
    ),
    (
        &[
            "decode",
            "--model",
            "mixture.json",
            "--sde",
            "vp",
            "--latents",
            "points.npy",
            "--out",
            "o.npy",
        ],
        &["--rtol", "--steps", "--t-end", "--temperature", "--method"],
    ),
    (
        &[
            "logp",
            "--model",
            "mixture.json",
            "--sde",
            "vp",
            "--method",
            "flow-hutchinson",
            "--points",
            "points.npy",
            "--out",
            "o.npy",
        ],
        &["--probes", "--rtol", "--steps", "--t-end", "--seed"],
    ),
    (
        &[
            "logp",
            "--model",
            "mixture.json",
            "--sde",
            "vp",
            "--method",
            "identity",
            "--points",
            "points.npy",
            "--out",
            "o.npy",
        ],
        &["--paths", "--eta", "--steps", "--t-end", "--seed"],
    ),
    (
        &["metric", "sliced", "points.npy", "points.npy"],
        &["--projections", "--p", "--bootstrap", "--floor", "--seed", "--level"],
    ),
    (&["metric", "max-sliced", "points.npy", "points.npy"], &["--projections", "--p"]),
    (
        &["metric", "tv", "points.npy", "points.npy"],
        &["--grid", "--nodes", "--samples-a", "--bootstrap", "--floor"],
    ),
    (
        &["metric", "w2", "points.npy", "points.npy"],
        &["--grid", "--nodes", "--bootstrap", "--floor"],
    ),
    (&["metric", "kid", "points.npy", "points.npy"], &["--subsets", "--subset-size"]),
    (&["metric", "mmd-polynomial", "points.npy", "points.npy"], &["--degree", "--offset"]),
    (&["metric", "precision", "points.npy", "points.npy"], &["--k"]),
    (&["metric", "c2st-nearest", "points.npy", "points.npy"], &["--k", "--bootstrap"]),
    (&["metric", "sinkhorn", "points.npy", "points.npy"], &["--epsilon"]),
    (&["list", "methods"], &["--threads", "--isa"]),
];

fn commands(seed: u64, count: usize) {
    let (dir, mut draw) = (folder(), Draw::new(seed));
    let mut points = ndarray::Array2::zeros((12, 2));
    Key::root(5).fill_normals(0, points.as_slice_mut().expect("in one piece"));
    save_rows(&dir.path().join("points.npy"), &points);
    for _ in 0..count {
        let (words, flags) = draw.pick(COMMANDS);
        let mut words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        for _ in 0..1 + draw.below(3) {
            // A flag given twice is a mistake that is known.
            let flag = *draw.pick(flags);
            let value = *draw.pick(&FLAG_VALUES);
            words.retain(|w| !w.starts_with(&format!("{flag}=")));
            words.push(format!("{flag}={value}"));
        }
        one_command(dir.path(), &words);
    }
}

/// Runs a command with the memory that a small machine has, to its end.
fn one_command(dir: &Path, words: &[String]) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 8000000; exec \"$0\" \"$@\""]).arg(cargo_bin!("experiment"));
    shell.args(words).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = shell.spawn().expect("a shell");
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if begin.elapsed() > Duration::from_secs(120) {
            let _ = child.kill();
            panic!("{words:?} has no end in sight");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().expect("piped"), &mut said)
        .expect("text");
    let code = status.code();
    assert!(matches!(code, Some(0..=2)), "{words:?}: {code:?} {said}");
    if code != Some(0) {
        assert!(said.starts_with("error: ") && said.lines().count() == 1, "{words:?}: {said}");
    }
}

#[test]
fn extreme_flags_are_refused_in_one_line_or_work() {
    commands(3, 60);
}

#[test]
#[ignore = "slow"]
fn slow_extreme_flags_are_refused_in_one_line_or_work() {
    commands(4, 1500);
}
