//! The smallest run of the main experiment: everything it leaves behind.

use std::fs;
use std::path::Path;

use experiments::ode_sde_gap::config::Config;
use serde_json::Value;

use crate::support::{json, run, text};

#[test]
fn smoke_runs_end_to_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let words = ["run", "ode-sde-gap", "--preset", "smoke", "--seed", "3", "--out", text(&out)];
    let outcome = json(&words);
    assert_eq!(outcome["status"], "finished");
    assert_eq!(outcome["report"], text(&out.join("report.html")));
    for file in [
        "config.toml",
        "record.json",
        "metrics.jsonl",
        "results.json",
        "report.html",
        "plots/gap.svg",
        "plots/gap.png",
        "plots/densities-checker.png",
        "plots/losses.svg",
        "plots/trajectories-blob.svg",
        "checkpoints/blob_w1.0.safetensors",
        "samples/checker_w0.0_ode_counts.npy",
        "samples/blob_truth_counts.npy",
    ] {
        assert!(out.join(file).is_file(), "{file}");
    }
    smoke_figures(&out);
    // Everything is written out: the folder's own configuration is the run.
    let config = Config::from_toml(&fs::read_to_string(out.join("config.toml")).expect("config"))
        .expect("config");
    assert_eq!(config, Config { seed: 3, ..Config::preset("smoke").expect("smoke") });

    // The same command again does nothing, and says where the report is.
    let written =
        || fs::metadata(out.join("report.html")).expect("report").modified().expect("time");
    let before = written();
    let again = json(&words);
    assert_eq!(
        (&again["status"], &again["report"]),
        (&Value::from("already-finished"), &outcome["report"])
    );
    assert_eq!(written(), before);
    smoke_references(&out);
    smoke_networks_are_given_ones(&out);

    // The page can be rebuilt from the files, and is the same.
    let page = fs::read(out.join("report.html")).expect("report");
    fs::remove_file(out.join("report.html")).expect("removed");
    assert_eq!(json(&["report", text(&out)])["report"], outcome["report"]);
    assert!(fs::read(out.join("report.html")).expect("report") == page);
}

/// A JSON file of a run.
fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file of the run")).expect("json")
}

/// What `results.json` and `record.json` hold.
fn smoke_figures(out: &Path) {
    let raw = read(&out.join("results.json"));
    let rows = raw["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert!(row["dataset"].is_string());
        for distance in ["w2", "tv", "cloud_w2", "mmd"] {
            for pair in ["ode_truth", "sde_truth", "ode_sde"] {
                let found = &row[distance][pair];
                assert!(found["value"].is_f64() && found["standard_error"].is_f64(), "{found}");
            }
        }
        for key in [
            "w_r",
            "n",
            "discarded_ode",
            "discarded_sde",
            "residual",
            "dsm_loss",
            "train_seconds",
            "sample_seconds",
        ] {
            assert!(row[key].as_f64().is_some_and(f64::is_finite), "{key}: {}", row[key]);
        }
        assert!(
            row["w2"]["ode_sde"]["value"].as_f64() > Some(0.0)
                && row["residual"].as_f64() > Some(0.0)
        );
        assert_eq!(row["n"], 1000);
    }
    assert!(raw["total_seconds"].as_f64() > Some(0.0));
    let record = read(&out.join("record.json"));
    assert_eq!(record["status"], "finished");
    let sessions = record["sessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 1);
    for key in ["started", "revision", "lock-hash", "version", "device", "host", "isa"] {
        assert!(sessions[0][key].as_str().is_some_and(|s| !s.is_empty()), "{key}");
    }
    assert_eq!((&rows[0]["nfe_ode"], &rows[0]["nfe_sde"]), (&Value::from(150), &Value::from(150)));
}

/// The works it rests on, from its folder.
fn smoke_references(out: &Path) {
    let cited = json(&["cite", text(out)]);
    let keys: Vec<&str> = cited["references"]
        .as_array()
        .expect("references")
        .iter()
        .map(|r| r["key"].as_str().expect("a key"))
        .collect();
    for key in ["deveney2025", "song2021", "vincent2011", "vyas2024", "kloeden1992", "peyre2019"] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    let bib = run(&["cite", text(out)]).stdout;
    assert_eq!(String::from_utf8_lossy(&bib).matches("\n@").count() + 1, keys.len());
}

/// Its networks are given ones; the states of their trainings beside them are none.
fn smoke_networks_are_given_ones(out: &Path) {
    let sweep = out.with_file_name("sweep");
    let models = out.join("checkpoints");
    let words =
        ["run", "eta-sweep", "--preset", "smoke", "--models", text(&models), "--out", text(&sweep)];
    json(&[&words[..], &["--set", "n=200", "--set", "truth=2000", "--set", "steps=30"]].concat());
    let swept = read(&sweep.join("results.json"));
    let scores: Vec<&str> = swept["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|r| r["score"].as_str().expect("a name"))
        .collect();
    assert_eq!(scores, ["blob_w0.0", "blob_w1.0", "checker_w0.0", "checker_w1.0"]);
}
