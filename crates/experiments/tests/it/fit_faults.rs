//! What befalls a fit: it is told to end, killed, runs out of space, meets itself in its folder.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;

use crate::fit::{fit, table, words};
use crate::support::{folder, json, text};

/// Starts a fit, and hands back the process when it has written a checkpoint.
fn started(words: &[&str], out: &Path) -> Child {
    let checkpoint = out.join("checkpoints/model.training.safetensors");
    let written = || fs::metadata(&checkpoint).and_then(|m| m.modified()).ok();
    let before = written();
    let mut child = Command::new(cargo_bin!("experiment"))
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let begin = Instant::now();
    while written() == before {
        assert!(child.try_wait().expect("a child").is_none(), "it ended before a checkpoint");
        assert!(begin.elapsed() < Duration::from_secs(120), "nothing happened");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn tell(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
}

/// The model and the samples of two runs are the same bits.
#[track_caller]
fn same(a: &Path, b: &Path) {
    for name in ["checkpoints/model.safetensors", "samples/ode.npy", "samples/sde.npy"] {
        let [a, b] = [a, b].map(|run| fs::read(run.join(name)).expect(name));
        assert!(a == b, "{name}");
    }
}

/// Long enough that a signal meets the training.
fn longer<'a>(data: &'a Path, out: &'a Path) -> Vec<&'a str> {
    [&words(data, out)[..], &["--set", "training.steps=4000"]].concat()
}

/// Images with dropout: what a step draws is a function of the step, whoever takes it.
#[test]
fn a_killed_fit_of_images_goes_on_to_the_same_bits() {
    let dir = folder();
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    let preset = ["run", "digits", "--preset", "smoke", "--set", "network.dropout=0.2", "--set"];
    let plain = [&preset[..], &["training.steps=40", "--out", text(&whole)]].concat();
    let cut_short = [&preset[..], &["training.steps=40", "--out", text(&cut)]].concat();
    json(&plain);
    let mut child = started(&cut_short, &cut);
    child.kill().expect("killed");
    child.wait().expect("a child");
    assert!(!cut.join("results.json").exists(), "it was done before it was killed");
    json(&[&cut_short[..], &["--resume"]].concat());
    same(&whole, &cut);
}

/// A second process in the folder of a run ends with one line, and the first one goes on; told to end, that one writes a
/// checkpoint, and a third goes on from it to the bits of a run that nothing befell.
#[test]
fn a_folder_has_one_writer_and_a_signal_is_no_loss() {
    let dir = folder();
    let data = dir.path().join("trees.csv");
    table(&data);
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    json(&longer(&data, &whole));
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let first = started(&longer(&data, &cut), &cut);
        tell(&first, "-USR1");
        let second = Command::new(cargo_bin!("experiment")).args(longer(&data, &cut)).output();
        let second = second.expect("the binary starts");
        refused(&second, &["cut", "another run", &first.id().to_string()]);
        tell(&first, signal);
        let ended = first.wait_with_output().expect("a child");
        assert_eq!(ended.status.code(), Some(code), "{}", String::from_utf8_lossy(&ended.stderr));
        assert!(!cut.join("results.json").exists());
    }
    json(&longer(&data, &cut));
    same(&whole, &cut);
}

fn refused(output: &Output, needles: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: ") && !said.contains("panicked"), "{said}");
    for needle in needles {
        assert!(last.contains(needle), "no {needle:?} in {last}");
    }
}

/// Where no file may grow beyond some size, as on a disk that is full, a fit ends with one line that names a file; nothing
/// half-written stays, and with room again it goes on to the bits of a run that never lacked any.
#[test]
fn without_space_nothing_is_lost() {
    let dir = folder();
    let data = dir.path().join("trees.csv");
    table(&data);
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    fit(&data, &whole);
    let size = |name: &str| fs::metadata(whole.join(name)).expect(name).len();
    let state = size("checkpoints/model.training.safetensors");
    // In blocks of 512 bytes: none at all, less than the first checkpoint, less than the pictures.
    for blocks in [0, 1, state / 1024, state / 512 + 2] {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &limited]).arg(cargo_bin!("experiment")).args(words(&data, &cut));
        let output = shell.output().expect("a shell");
        if !output.status.success() {
            refused(&output, &["cut"]);
        }
        assert_eq!(temporary(&cut), Vec::<String>::new(), "{blocks} blocks");
    }
    fit(&data, &cut);
    same(&whole, &cut);
}

/// Temporary files anywhere in a folder.
fn temporary(root: &Path) -> Vec<String> {
    let (mut open, mut found) = (vec![root.to_path_buf()], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            match entry.path().is_dir() {
                true => open.push(entry.path()),
                false if name.ends_with(".tmp") => found.push(name),
                false => {}
            }
        }
    }
    found
}
