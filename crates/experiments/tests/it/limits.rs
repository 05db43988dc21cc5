//! Counts beyond any machine, settings beyond use, and cells that fail among others that do not.

use std::fs;
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

use crate::support::{fails, folder, json, run, save_rows, text};

/// A folder with points in it.
fn with_points() -> tempfile::TempDir {
    let dir = folder();
    let points = ndarray::array![[0.5, 0.0], [1.0, -1.0], [0.2, 0.3], [-0.4, 0.1]];
    save_rows(&dir.path().join("points.npy"), &points);
    dir
}

#[test]
fn counts_are_multiplied_before_they_are_allocated() {
    let dir = with_points();
    let sample = |flags: &[&'static str]| {
        let words = ["sample", "--model", "mixture.json", "--sde", "vp", "--method", "ddim"];
        [&words[..], &["--out", "o.npy"], flags].concat()
    };
    let metric = |name: &'static str, flags: &[&'static str]| {
        [&["metric", name, "points.npy", "points.npy"], flags].concat()
    };
    let logp = |flags: &[&'static str]| {
        let words = ["logp", "--model", "mixture.json", "--sde", "vp", "--points", "points.npy"];
        [&words[..], &["--out", "o.npy"], flags].concat()
    };
    let (most, half) = ("18446744073709551615", "9223372036854775807");
    let cases: Vec<(Vec<&str>, &[&str])> = vec![
        (metric("sliced", &["--projections", most]), &["projections", "1.8e19", "bytes"]),
        (metric("sliced", &["--projections", "4000000000000000"]), &["projections", "4.0e15"]),
        (metric("max-sliced", &["--projections", half]), &["projections", "9.2e18"]),
        (metric("tv", &["--grid", "3", "--nodes", "5000000000"]), &["nodes", "5.0e9", "bytes"]),
        (metric("tv", &["--grid", "3", "--nodes", "30000000"]), &["nodes", "3.0e7"]),
        (metric("w2", &["--grid", "3", "--nodes", "3000000"]), &["nodes", "3.0e6"]),
        (metric("w2", &["--bootstrap", most]), &["resamples", "1.8e19"]),
        (metric("energy", &["--floor", half]), &["halvings", "9.2e18"]),
        (metric("kid", &["--subset-size", "2", "--subsets", half]), &["subsets", "9.2e18"]),
        (sample(&["--steps", "3", "--n", most]), &["particles", "1.8e19", "no end in sight"]),
        (sample(&["--steps", "4294967295", "--n", "1000000000"]), &["4.3e9"]),
        (logp(&["--method", "identity", "--paths", "4294967295"]), &["paths", "4.3e9"]),
        (logp(&["--method", "flow-hutchinson", "--probes", "4294967295"]), &["probes", "4.3e9"]),
    ];
    for (words, needles) in cases {
        fails(dir.path(), &words, needles);
    }
}

/// What fits into the machine may still be more than the process is allowed.
#[test]
fn a_limit_on_memory_is_kept_to() {
    let dir = with_points();
    let refused = |words: &[&str], needle: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -v 4000000; exec \"$0\" \"$@\""]).arg(cargo_bin!("experiment"));
        let output = shell.args(words).current_dir(dir.path()).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.lines().count() == 1 && said.contains(needle), "{words:?}: {said}");
    };
    let sample = ["sample", "--model", "mixture.json", "--sde", "vp", "--method", "ddim"];
    let more = ["--steps", "1000000000", "--n", "1", "--out", "o.npy"];
    refused(&[&sample[..], &more].concat(), "steps = 1.0e9");
    let metric = ["metric", "tv", "points.npy", "points.npy", "--grid", "3", "--nodes", "20000"];
    refused(&metric, "nodes x nodes = 20000 x 20000");
    let run = ["run", "energy", "--preset", "smoke", "--set", "pixels=10000", "--out", "o"];
    refused(&run, "pixels x pixels = 10000 x 10000");
}

#[test]
fn settings_are_refused_before_any_work() {
    let dir = folder();
    let cases: [(&str, &str, &[&str]); 37] = [
        ("sde-vs-ode", "paths=9223372036854775807", &["paths", "9.2e18"]),
        ("sde-vs-ode", "truth=4611686018427387904", &["truth", "4.6e18"]),
        ("sde-vs-ode", "floors=9223372036854775807", &["floors"]),
        ("sde-vs-ode", "lengths=[0,50]", &["lengths", "0"]),
        ("sde-vs-ode", "wrong-std=inf", &["wrong-std", "inf"]),
        ("eta-sweep", "window.nodes=4611686018427387904", &["window.nodes", "4.6e18"]),
        ("eta-sweep", "t-end=0.0", &["grid", "log-snr", "t_end"]),
        ("eta-sweep", "steps=[4611686018427387904]", &["steps", "4.6e18"]),
        ("eta-sweep", "etas=[nan]", &["etas", "NaN"]),
        ("eta-sweep", "tilt=1e300", &["tilt", "1e300"]),
        ("solvers", "particles=4611686018427387904", &["particles", "4.6e18"]),
        ("solvers", "budgets=[4611686018427387904]", &["budgets", "4.6e18"]),
        ("solvers", "tolerances=[1e-300]", &["tolerances", "1e-300"]),
        ("solvers", "noise.floors=9223372036854775807", &["noise.floors"]),
        ("energy", "step=100", &["step", "100"]),
        ("energy", "hottest=100.0", &["hottest", "100"]),
        ("energy", "window.half-width=1e200", &["window.half-width", "1e200"]),
        ("energy", "snapshots=[1,4611686018427387904]", &["snapshots", "4.6e18"]),
        ("energy", "pixels=4611686018427387904", &["pixels", "4.6e18"]),
        ("energy", "training.batch=4611686018427387904", &["training.batch", "4.6e18"]),
        ("encode", "temperatures=[1e300]", &["temperatures", "1e300"]),
        ("encode", "points=-1", &["points", "-1"]),
        ("identifiability", "t-end=100", &["t-end", "100"]),
        ("likelihood", "probes=[4611686018427387904]", &["probes", "4.6e18"]),
        ("likelihood", "paths=4611686018427387904", &["paths", "4.6e18"]),
        ("time-sampling", "rows=4611686018427387904", &["rows", "4.6e18"]),
        ("time-sampling", "network.width=4611686018427387904", &["network.width", "4.6e18"]),
        ("time-sampling", "sdes=[\"rectified\"]", &["sdes, t-min: rectified", "log-SNR"]),
        ("time-sampling", "t-min=0.0", &["t-min", "0.0"]),
        ("ode-sde-gap", "sampling.n=1", &["sampling.n", "1"]),
        ("ode-sde-gap", "network.activation.beta=0", &["network.activation.beta"]),
        ("ode-sde-gap", "network.time.floor=0", &["network.time.floor"]),
        (
            "ode-sde-gap",
            "training.proposal.law.shift=-1",
            &["training.proposal.distribution.shift", "-1"],
        ),
        ("ode-sde-gap", "training.optimiser.beta1=1", &["training.optimiser.beta1", "1"]),
        ("ode-sde-gap", "training.batch=9223372036854775807", &["training.batch", "9.2e18"]),
        ("ode-sde-gap", "network.hidden=[4611686018427387904]", &["network.hidden", "4.6e18"]),
        ("ode-sde-gap", "measuring.half-width=1e-3", &["measuring.half-width", "0.001", "blob"]),
    ];
    for (experiment, set, needles) in cases {
        let words = ["run", experiment, "--preset", "smoke", "--set", set, "--out", "o"];
        fails(dir.path(), &words, needles);
    }
}

/// Threads beyond use are not started: with all of these it would take minutes, or fail.
#[test]
fn threads_are_bounded() {
    for n in ["2000", "65535"] {
        assert!(run(&["--threads", n, "list", "sdes"]).status.success(), "{n}");
    }
    let dir = folder();
    for n in ["0", "1000000000000000000", "-1", "1e3"] {
        fails(dir.path(), &["list", "sdes", &format!("--threads={n}")], &[n]);
    }
}

/// A network that diverges is a row with its reason; the figures of the others are as without it.
#[test]
fn a_network_that_diverges_leaves_the_others_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let (both, one) = (dir.path().join("both"), dir.path().join("one"));
    let words = |out, weights| {
        let set = ["--set", "data-sets=blob", "--set", weights, "--set", "sampling.n=300"];
        [&["run", "ode-sde-gap", "--preset", "smoke", "--out", out], &set[..]].concat()
    };
    let results = |dir: &std::path::Path| -> Value {
        serde_json::from_slice(&fs::read(dir.join("results.json")).expect("results")).expect("json")
    };
    let outcome = json(&words(text(&both), "weights=[0.0,1e30]"));
    assert_eq!(outcome["status"], "finished");
    let failed = outcome["failed"][0].as_str().expect("a line");
    assert!(
        failed.starts_with("blob, w_R = 1e30: training") && failed.contains("gradient"),
        "{failed}"
    );
    let page = fs::read_to_string(both.join("report.html")).expect("a page");
    assert!(page.contains("no figures: training blob_w1e30"), "the page does not mark the network");
    let found = results(&both);
    assert_eq!(found["failed"][0]["w_r"], 1e30);
    json(&words(text(&one), "weights=[0.0]"));
    let (a, b) = (&found["rows"][0], &results(&one)["rows"][0]);
    assert_eq!((&a["ode_truth"], &a["sde_truth"]), (&b["ode_truth"], &b["sde_truth"]));
    assert!(found["rows"].as_array().is_some_and(|rows| rows.len() == 1));
    // It is finished, and its page can be made again.
    assert_eq!(json(&words(text(&both), "weights=[0.0,1e30]"))["status"], "already-finished");
    assert_eq!(json(&["report", text(&both)])["status"], "finished");

    // Where no network has figures the run is an error, and the page says why.
    let none = dir.path().join("none");
    let output = run(&words(text(&none), "weights=[1e30]"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no network gave figures: blob, w_R = 1e30"), "{said}");
    assert!(none.join("report.html").is_file() && none.join("results.json").is_file());
}

/// Samplers that leave the window, from a wrong start or on the way from wide noise, have no distance;
/// the study goes on and says so.
#[test]
fn samples_outside_the_window_are_rows_without_a_value() {
    let dir = tempfile::tempdir().expect("a folder");
    let last = |name: &str, set: &[&str], start: &str| -> Value {
        let out = dir.path().join(name);
        let words = ["run", "sde-vs-ode", "--preset", "smoke", "--out", text(&out)];
        let sets = set.iter().flat_map(|s| ["--set", s]).collect::<Vec<_>>();
        json(&[&words[..], &["--set", "n=300", "--set", "truth=3000"], &sets[..]].concat());
        let bytes = fs::read(out.join("results.json")).expect("results");
        let found: Value = serde_json::from_slice(&bytes).expect("json");
        found[start].as_array().expect("looks").clone().into()
    };
    let floors = |snapshot: &Value| snapshot["floor"]["values"].as_array().map_or(0, Vec::len);
    // The wrong law is twenty away from a window of 4.5, and the flow keeps it there.
    let found = last("mean", &["wrong-mean=20.0"], "wrong");
    assert!(found[0]["ode"].is_null() && found[0]["sde-split"].is_null(), "{found}");
    assert!(floors(&found[0]) > 0, "{found}");
    // The truth itself begins far outside, and ends inside.
    let found = last("ve", &["sde=ve:sigma-max=1000", "t-end=1e-5"], "right");
    let end = &found[found.as_array().expect("snapshots").len() - 1];
    for key in ["ode", "ode-sde"] {
        assert!(found[0][key].is_null(), "{key}: {}", found[0]);
    }
    assert_eq!(floors(&found[0]), 0, "{}", found[0]);
    assert!(floors(end) > 0 && end["ode"]["value"].is_number(), "{end}");
}
