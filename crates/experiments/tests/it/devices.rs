//! `--device` and `--dtype`, and what a device computes against the CPU.

use std::path::Path;

use ndarray::{Array2, array};
use score_nets::{Backend, NetConfig, ScoreNet};
use sde_core::Key;
use serde_json::Value;

use crate::support::{fails, folder, json, load, run, save_rows, text};

/// The published network with fresh weights, in a file of a scratch folder.
fn network(dir: &Path) -> String {
    let backend = Backend::default();
    let net =
        ScoreNet::new(NetConfig::published(), Key::root(1), backend.dtype(), backend.device());
    let path = dir.join("net.safetensors");
    net.expect("a network").save(&path).expect("a file");
    text(&path).to_owned()
}

#[test]
fn devices_and_types_that_are_not_there_get_one_line() {
    let dir = folder();
    network(dir.path());
    save_rows(&dir.path().join("points.npy"), &array![[0.5, 0.1, 0.2]]);
    save_rows(&dir.path().join("data.npy"), &array![[0.1, 0.2]]);
    let sample = ["sample", "--method", "euler", "--steps", "2", "--n", "3", "--out", "out.npy"];
    let residual = ["residual", "--points", "points.npy", "--out", "out.npy"];
    let logp = ["logp", "--points", "points.npy", "--out", "out.npy"];
    let encode = ["encode", "--points", "data.npy", "--out", "out.npy"];
    let decode = ["decode", "--latents", "data.npy", "--out", "out.npy"];
    let cuda = if cfg!(feature = "cuda") { "this machine" } else { "without the feature cuda" };
    let refusals: [(&[&str], &[&str]); 5] = [
        (&["--device", "cuda:9999"], &["device = cuda:9999", cuda]),
        (&["--device", "gpu"], &["device = gpu", "cpu", "cuda:N"]),
        (&["--device", "cuda:x"], &["device = cuda:x", "cuda:N"]),
        (&["--dtype", "bf16"], &["dtype = bf16", "CPU"]),
        (&["--dtype", "f16"], &["dtype = f16", "f32, f64 or bf16"]),
    ];
    for (flags, needles) in refusals {
        let with_model: [&[&str]; 5] = [&sample, &residual, &logp, &encode, &decode];
        for words in with_model {
            let words = [words, &["--model", "net.safetensors"], flags].concat();
            fails(dir.path(), &words, needles);
        }
        let run = ["run", "ode-sde-gap", "--preset", "smoke", "--out", "run"];
        fails(dir.path(), &[&run[..], flags].concat(), needles);
        fails(dir.path(), &[&["device-check"][..], flags].concat(), needles);
    }
    let study = ["run", "energy", "--preset", "smoke", "--out", "run", "--device", "cuda:0"];
    fails(dir.path(), &study, &["--device cuda:0", "energy", "does not have that choice"]);
}

/// Nothing said is the CPU with the type that a command has always taken.
#[test]
fn the_device_and_the_type_are_said_and_change_nothing_where_they_are_the_usual() {
    let dir = folder();
    let model = network(dir.path());
    let points = dir.path().join("points.npy");
    save_rows(&points, &array![[0.5, 0.1, 0.2], [3.0, -1.0, 0.4]]);
    let out = |name: &str| dir.path().join(name);
    let commands: [(&[&str], &str); 2] = [
        (&["sample", "--method", "euler", "--steps", "5", "--n", "9"], "f32"),
        (&["residual", "--points", text(&points)], "f64"),
    ];
    for (words, usual) in commands {
        let go = |name: &str, more: &[&str]| -> (Value, Array2<f64>) {
            let path = out(name);
            let words = [words, &["--model", &model, "--out", text(&path)], more].concat();
            (json(&words), load(&path))
        };
        let (plain, expected) = go("plain.npy", &[]);
        let (said, same) = go("said.npy", &["--device", "cpu", "--dtype", usual]);
        for value in [&plain, &said] {
            assert_eq!((&value["device"], &value["dtype"]), (&"cpu".into(), &usual.into()));
        }
        assert_eq!(expected, same);
        let other = if usual == "f32" { "f64" } else { "f32" };
        let (value, found) = go("other.npy", &["--dtype", other]);
        assert_eq!(value["dtype"], other);
        assert_ne!(found, expected);
    }
    let (mixture, path) = (out("mixture.json"), out("closed.npy"));
    let words = ["sample", "--model", text(&mixture), "--sde", "vp", "--method", "euler"];
    let more = ["--steps", "5", "--n", "9", "--out", text(&path)];
    let value = json(&[&words[..], &more[..]].concat());
    assert_eq!((&value["device"], &value["dtype"]), (&"cpu".into(), &"f64".into()));
}

/// A run that names the usual device is the run that names none; another type is another run.
#[test]
fn a_run_in_double_precision_is_another_run() {
    let dir = folder();
    let train = |name: &str, more: &[&str]| {
        let path = dir.path().join(name);
        let file = dir.path().join("short.toml");
        let short = "preset = \"smoke\"\n[training]\nbatch = 32\n\
                     schedule = { kind = \"phases\", phases = [{ steps = 3, lr = 1e-3 }] }\n";
        std::fs::write(&file, short).expect("a file");
        let value = json(&[&["train", text(&file), "--out", text(&path)], more].concat());
        (value["hash"].clone(), value["device"].clone())
    };
    let (plain, device) = train("plain", &[]);
    assert_eq!(device, "cpu");
    assert_eq!(train("said", &["--device", "cpu", "--dtype", "f32"]).0, plain);
    assert_ne!(train("double", &["--dtype", "f64"]).0, plain);
    let config = std::fs::read_to_string(dir.path().join("double/config.toml")).expect("a file");
    assert!(config.contains("dtype = \"f64\""), "{config}");
    // What a finished run was trained in is read back as it is.
    let nets = dir.path().join("double/checkpoints");
    let net = std::fs::read_dir(nets).expect("a folder").find_map(|entry| {
        let path = entry.ok()?.path();
        let own = !text(&path).contains("training") && text(&path).ends_with("safetensors");
        own.then(|| ScoreNet::open(&path).expect("a network"))
    });
    assert_eq!(net.expect("a checkpoint").dtype(), candle_core::DType::F64);
}

#[test]
fn what_the_cpu_computes_is_held_against_tensor_operations() {
    let value = json(&["device-check", "--device", "cpu"]);
    assert_eq!((&value["device"], &value["failed"]), (&"cpu".into(), &0.into()));
    let rows = value["rows"].as_array().expect("rows");
    let of = |check: &str, dtype: &str| {
        rows.iter().filter(|r| r["check"] == check && r["dtype"] == dtype).count()
    };
    for check in ["state", "noise"] {
        assert!(of(check, "f32") > 0 && of(check, "f64") == of(check, "f32"), "{check}");
    }
    for check in ["score", "score matching", "residual", "training", "sampling", "log-density"] {
        assert!(of(check, "f32") > 0 && of(check, "f64") == 0, "{check}");
    }
    // Fused kernels are other code than tensor operations: their last bits differ.
    let differs = |r: &Value| r["difference"].as_f64().is_some_and(|d| d > 0.0);
    assert!(rows.iter().any(|r| r["check"] == "score" && differs(r)));

    let output = run(&["device-check", "--dtype", "f32"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}");
    assert!(table.lines().count() > rows.len() / 2 && !table.contains("FAILS"), "{table}");
    assert!(table.contains("quantities hold on cpu"), "{table}");
}
