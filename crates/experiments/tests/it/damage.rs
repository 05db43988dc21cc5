//! Files of a run that are damaged, or of another run: one line that says which and what to do, or the
//! right result.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{experiment, json, text};

/// A run of a second or two: one data set, two weights.
fn words(out: &Path) -> Vec<String> {
    let set = [
        "data-sets=blob",
        "training.schedule.steps=20",
        "training.schedule.warmup=2",
        "sampling.n=200",
        "sampling.steps=105",
        "measuring.truth=1000",
        "measuring.cloud=20",
        "measuring.dsm-points=50",
        "measuring.residual-points=50",
    ];
    let mut words: Vec<String> =
        ["run", "ode-sde-gap", "--preset", "smoke", "--out", text(out)].map(String::from).to_vec();
    words.extend(set.iter().flat_map(|s| ["--set".to_string(), (*s).to_string()]));
    words
}

fn run(out: &Path) -> std::process::Output {
    let words = words(out);
    experiment(&words.iter().map(String::as_str).collect::<Vec<_>>()).output().expect("it starts")
}

/// One line of error on standard error, with these words in it.
#[track_caller]
fn refuses(out: &Path, needles: &[&str]) {
    let output = run(out);
    let said = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = said.lines().filter(|l| l.starts_with("error: ")).collect();
    assert!(!output.status.success() && errors.len() == 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for needle in needles {
        assert!(errors[0].contains(needle), "no {needle:?} in {said}");
    }
    for needle in needles.iter().filter(|n| n.contains('/')) {
        assert_eq!(errors[0].matches(needle).count(), 1, "said twice: {said}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
    }
    found.sort();
    found
}

/// Back to where the networks are trained and nothing is measured.
fn unfinish(out: &Path) {
    for name in ["record.json", "results.json", "report.html"] {
        fs::remove_file(out.join(name)).expect("a file");
    }
    fs::remove_dir_all(out.join("samples")).expect("a folder");
}

#[test]
fn a_checkpoint_of_another_cell_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    assert!(run(&out).status.success());
    let before = fs::read(out.join("results.json")).expect("results");
    unfinish(&out);
    let at = |name: &str| out.join("checkpoints").join(name);
    let (own, other) = (at("blob_w0.0.safetensors"), at("blob_w1.0.safetensors"));
    let whole = fs::read(&own).expect("a checkpoint");
    fs::copy(&other, &own).expect("copied");
    refuses(&out, &["/blob_w0.0.safetensors", "another weight", "delete"]);
    fs::write(&own, &whole[..whole.len() / 2]).expect("written");
    refuses(&out, &["/blob_w0.0.safetensors", "not a complete safetensors file", "delete"]);
    // As far as training had come, of the other weight.
    fs::remove_file(&own).expect("removed");
    let (own_state, other_state) =
        (at("blob_w0.0.training.safetensors"), at("blob_w1.0.training.safetensors"));
    fs::copy(&other_state, &own_state).expect("copied");
    refuses(&out, &["/blob_w0.0.training.safetensors", "another weight", "delete"]);
    // Deleted, as the message says, it is trained again to the same bytes.
    fs::remove_file(&own_state).expect("removed");
    assert!(run(&out).status.success());
    assert_eq!(fs::read(&own).expect("a checkpoint"), whole);
    let figures = |bytes: &[u8]| {
        let results: serde_json::Value = serde_json::from_slice(bytes).expect("json");
        let rows = results["rows"].as_array().expect("rows").clone();
        rows.iter().map(|r| r["ode_sde"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(figures(&fs::read(out.join("results.json")).expect("results")), figures(&before));
}

/// Cut short and with single bits flipped, over every kind of file that is read again: no panic, and an
/// error of one line. What is a sound file of other numbers is read as such.
#[test]
fn damage_is_at_most_an_error_of_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    assert!(run(&out).status.success());
    let mut tried = 0;
    for path in files(&out) {
        let name = path.strip_prefix(&out).expect("inside").display().to_string();
        // What is only written, and the second network's files, which are read as the first's.
        let written = name.starts_with("plots") || name == "report.html" || name == ".lock";
        if written || name.contains("w1.0") || name.contains("state.json") {
            continue;
        }
        let whole = fs::read(&path).expect("a file");
        let cuts = [0, whole.len() / 3, whole.len() - 1];
        let flips = (0..2).map(|k| (k * 7919 + 13) % (8 * whole.len()));
        let cut = cuts.map(|n| whole[..n].to_vec()).into_iter();
        let damaged = cut.chain(flips.map(|bit| {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        }));
        for bytes in damaged {
            fs::write(&path, bytes).expect("written");
            tried += 1;
            // Only what fails before figures are drawn is quick; both ends are fine.
            if let Err(error) = experiments::run::Registry::default().report(&out) {
                let said = format!("{error:#}");
                assert!(!said.trim().is_empty() && said.lines().count() == 1, "{name}: {said}");
            }
        }
        fs::write(&path, whole).expect("written");
    }
    assert!(tried > 25, "{tried}");
    assert_eq!(json(&["report", text(&out)])["status"], "finished");
}

/// The folder of a run whose configuration was changed under it.
#[test]
fn a_configuration_changed_under_a_run_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    assert!(run(&out).status.success());
    unfinish_report(&out);
    let path = out.join("config.toml");
    let changed = fs::read_to_string(&path).expect("text").replace("n = 200", "n = 201");
    fs::write(&path, changed).expect("written");
    let output = experiment(&["run", text(&path), "--out", text(&out), "--resume"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("began as another run"), "{said}");
}

fn unfinish_report(out: &Path) {
    fs::remove_file(out.join("report.html")).expect("a file");
}
