//! Bad input gets one clear line, a non-zero exit, and leaves nothing behind.

use std::path::Path;

use ndarray::{Array1, Array2, ArrayD, IxDyn, array};

use crate::support::{experiment, fails, folder, run, save, save_rows, shared};

/// `sample` of the mixture with some words changed or added.
fn sample<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["sample"];
    let defaults = [
        ("--model", "mixture.json"),
        ("--sde", "vp"),
        ("--method", "euler"),
        ("--steps", "5"),
        ("--out", "out.npy"),
    ];
    for (key, value) in defaults {
        if !extra.contains(&key) {
            words.extend([key, value]);
        }
    }
    if !extra.contains(&"--x0") && !extra.contains(&"--n") {
        words.extend(["--n", "4"]);
    }
    words.extend(extra);
    words
}

#[test]
fn unknown_names_list_the_known_ones() {
    let dir = folder();
    let cases: [(&[&str], &[&str]); 11] = [
        (&["--method", "runge"], &["runge", "dopri5"]),
        (&["--method", "edm-churn:curn=1"], &["edm-churn", "curn", "churn, lowest"]),
        (&["--method", "edm-churn:churn=-1"], &["churn = -1", "not negative"]),
        (&["--method", "heun:order=2"], &["heun: order = 2", "no constants"]),
        (&["--sde", "rectified:beta=2"], &["beta = 2", "no constants"]),
        (&["--sde", "flow-matching"], &["flow-matching", "sub-vp", "ou"]),
        (&["--sde", "vp:beta2=1"], &["beta2", "beta0"]),
        (&["--grid", "cubic"], &["cubic", "karras", "uniform"]),
        (&["--model", "absent.json"], &["absent.json"]),
        (&["--kernels", "cuda"], &["cuda", "auto"]),
        (&["--isa", "sse9"], &["sse9", "amx, avx512, avx2, portable"]),
    ];
    for (extra, needles) in cases {
        fails(dir.path(), &sample(extra), needles);
    }
    fails(dir.path(), &["sampel"], &["sampel"]);
    fails(dir.path(), &["list", "colours"], &["colours", "methods"]);
    fails(dir.path(), &["metric", "w3", "a.npy", "b.npy"], &["w3", "w2"]);
    fails(dir.path(), &["run", "no-such"], &["no-such", "ode-sde-gap"]);
    fails(dir.path(), &[], &["--help"]);
    fails(dir.path(), &["verify", "refs", "."], &["schedules"]);
    fails(dir.path(), &["verify", "refs", "absent"], &["absent"]);
}

#[test]
fn counts_and_times_out_of_range() {
    let dir = folder();
    let cases: [(&[&str], &[&str]); 10] = [
        (&["--n", "0"], &["n", "0"]),
        (&["--n", "-3"], &["-3"]),
        (&["--steps", "0"], &["0"]),
        (&["--t-start", "1.5"], &["1.5", "[0, 1]"]),
        (&["--t-start", "nan"], &["NaN"]),
        (&["--t-end", "-0.1"], &["-0.1", "[0, 1]"]),
        (&["--t-start", "0.2", "--t-end", "0.3"], &["0.2", "0.3"]),
        (&["--eta", "-1"], &["eta", "-1"]),
        (&["--threads", "0"], &["0"]),
        (&["--block-rows", "0"], &["0"]),
    ];
    for (extra, needles) in cases {
        fails(dir.path(), &sample(extra), needles);
    }
}

#[test]
fn arrays_of_the_wrong_kind() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    save_rows(&at("three.npy"), &Array2::zeros((4, 3)));
    save(&at("cube.npy"), &ArrayD::<f64>::zeros(IxDyn(&[2, 2, 2])));
    save_rows(&at("none.npy"), &Array2::zeros((0, 2)));
    save_rows(&at("nan.npy"), &array![[0.0, 1.0], [2.0, f64::NAN]]);
    save_rows(&at("good.npy"), &array![[0.0, 1.0], [2.0, 3.0]]);
    std::fs::write(at("text.npy"), "no array").expect("a file");
    std::fs::write(at("empty.npy"), "").expect("a file");
    let whole = std::fs::read(at("good.npy")).expect("a file");
    std::fs::write(at("short.npy"), &whole[..whole.len() - 5]).expect("a file");
    let mut complex = whole.clone();
    let at_type = whole.windows(3).position(|w| w == b"<f8").expect("a type");
    complex[at_type + 1] = b'c';
    std::fs::write(at("complex.npy"), complex).expect("a file");
    // A header may promise more than any memory holds.
    let huge = String::from_utf8_lossy(&whole[..128]).replace("(2, 2)", "(99999999999, 2)");
    let huge = huge.replacen("             ", "   ", 1);
    std::fs::write(at("huge.npy"), huge.as_bytes()).expect("a file");

    let cases: [(&str, &[&str]); 9] = [
        ("complex.npy", &["complex.npy", "complex numbers", "<f8"]),
        ("three.npy", &["3", "2"]),
        ("cube.npy", &["cube.npy", "[2, 2, 2]"]),
        ("none.npy", &["none.npy", "[0, 2]"]),
        ("nan.npy", &["nan.npy", "row 1", "NaN"]),
        ("text.npy", &["text.npy", "not a .npy"]),
        ("empty.npy", &["empty.npy", "not a .npy"]),
        ("short.npy", &["short.npy", "truncated"]),
        ("absent.npy", &["absent.npy"]),
    ];
    for (file, needles) in cases {
        fails(dir.path(), &sample(&["--x0", file]), needles);
        fails(dir.path(), &["metric", "w2", file, "good.npy"], needles);
        let points = ["residual", "--model", "mixture.json", "--sde", "vp", "--out", "out.npy"];
        // Points have a time in front: three columns are right there.
        if file != "three.npy" {
            fails(dir.path(), &[&points[..], &["--points", file]].concat(), &needles[..1]);
        }
    }
    fails(dir.path(), &["metric", "mmd", "huge.npy", "good.npy"], &["huge.npy"]);
}

#[test]
fn points_outside_the_time_interval() {
    let dir = folder();
    let points = dir.path().join("points.npy");
    for t in [-0.01, 1.01, f64::INFINITY] {
        save_rows(&points, &array![[0.5, 0.0, 0.0], [t, 0.0, 0.0]]);
        for command in ["residual", "logp"] {
            let words =
                [command, "--model", "mixture.json", "--sde", "vp", "--points", "points.npy"];
            let needle = if t.is_finite() { format!("{t}") } else { "inf".into() };
            fails(dir.path(), &[&words[..], &["--out", "o.npy"]].concat(), &[&needle, "row 1"]);
        }
    }
}

#[test]
fn models_that_are_none() {
    let dir = folder();
    let cases: [(&str, &[&str]); 11] = [
        ("{", &["model.json"]),
        ("[]", &["model.json"]),
        (r#"{"kind": "forest"}"#, &["forest", "gaussian-mixture"]),
        (r#"{"kind": "dataset", "name": "moons"}"#, &["moons", "blob"]),
        (r#"{"kind": "dataset", "name": "circles2"}"#, &["circles2", "closed form"]),
        (
            r#"{"kind": "gaussian-mixture", "weights": [1], "means": [[0]], "covs": [[[1]]], "n": 1}"#,
            &["`n`", "weights"],
        ),
        (
            r#"{"kind": "gaussian-mixture", "weights": [1, 2], "means": [[0]], "covs": [[[1]]]}"#,
            &["2", "1"],
        ),
        (
            r#"{"kind": "gaussian-mixture", "weights": [1], "means": [[0, 0]], "covs": [[[1]]]}"#,
            &["2", "1"],
        ),
        (
            r#"{"kind": "gaussian-mixture", "weights": [-1], "means": [[0]], "covs": [[[1]]]}"#,
            &["-1"],
        ),
        (
            r#"{"kind": "gaussian-mixture", "weights": [1], "means": [[0]], "covs": [[[-2]]]}"#,
            &["-2"],
        ),
        (
            r#"{"kind": "gaussian-mixture", "weights": [1], "means": [[0, 1], [2]], "covs": [[[1]]]}"#,
            &["means"],
        ),
    ];
    for (model, needles) in cases {
        std::fs::write(dir.path().join("model.json"), model).expect("a file");
        fails(dir.path(), &sample(&["--model", "model.json"]), needles);
    }
}

#[test]
#[cfg_attr(not(paper), ignore = "the weights of arXiv 2311.15996 are not in ../shared")]
fn checkpoints_that_are_damaged() {
    let shared = shared();
    let dir = folder();
    let whole = std::fs::read(shared.join("odesdegap/blob_w0.0.safetensors")).expect("a file");
    let header = u64::from_le_bytes(whole[..8].try_into().expect("eight bytes")) as usize;
    let mut nan = whole.clone();
    let last = nan.len() - 4;
    nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    let reshaped = String::from_utf8_lossy(&whole[8..8 + header]).replace("[80,3]", "[3,80]");
    let reshaped = [&whole[..8], reshaped.as_bytes(), &whole[8 + header..]].concat();
    let renamed = String::from_utf8_lossy(&whole[8..8 + header]).replace("hidden1", "hiddenX");
    let renamed = [&whole[..8], renamed.as_bytes(), &whole[8 + header..]].concat();
    let torch = shared.join("odesdegap/raw/blob_net__FP_weight_0.0__iteration_100000");
    let torch = std::fs::read(torch).expect("a file");
    let cases: [(&[u8], &str); 7] = [
        (&whole[..whole.len() / 2], ""),
        (&whole[..20], ""),
        (&nan, "NaN"),
        (&reshaped, "of another shape"),
        (&renamed, ""),
        (&torch[..torch.len() - 2000], ""),
        (b"", ""),
    ];
    for (bytes, needle) in cases {
        std::fs::write(dir.path().join("net.safetensors"), bytes).expect("a file");
        let words =
            sample(&["--model", "net.safetensors", "--architecture", "ode-sde-gap", "--sde", "ou"]);
        fails(dir.path(), &words, &["net.safetensors", needle]);
    }
    std::fs::write(dir.path().join("net.safetensors"), &whole).expect("a file");
    // The network is the potential of an OU process, and of two variables.
    let words =
        sample(&["--model", "net.safetensors", "--architecture", "ode-sde-gap", "--sde", "vp"]);
    fails(dir.path(), &words, &["vp", "ou"]);
    save_rows(&dir.path().join("three.npy"), &Array2::zeros((4, 3)));
    let words = ["--model", "net.safetensors", "--architecture", "ode-sde-gap", "--sde", "ou"];
    fails(dir.path(), &sample(&[&words[..], &["--x0", "three.npy"]].concat()), &["3", "2"]);
    // Weights alone are never guessed at.
    let words = sample(&["--model", "net.safetensors", "--sde", "ou"]);
    fails(dir.path(), &words, &["net.safetensors", "does not say which network", "--architecture"]);
    let words =
        sample(&["--model", "mixture.json", "--architecture", "ode-sde-gap", "--sde", "ou"]);
    fails(dir.path(), &words, &["mixture.json", "--architecture"]);
}

#[test]
fn masses_and_weights() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    save_rows(&at("a.npy"), &array![[0.0, 1.0], [2.0, 3.0]]);
    save_rows(&at("b.npy"), &array![[0.0, 1.0], [2.0, 3.0], [1.0, 1.0]]);
    save_rows(&at("c.npy"), &array![[0.0], [2.0]]);
    let weights = |name: &str, w: &[f64]| save(&at(name), &Array1::from(w.to_vec()).into_dyn());
    weights("one.npy", &[0.5, 0.5]);
    weights("two.npy", &[0.5, 1.5]);
    weights("negative.npy", &[1.5, -0.5]);
    weights("nan.npy", &[1.0, f64::NAN]);
    weights("zero.npy", &[0.0, 0.0]);
    weights("grid.npy", &[0.25; 16]);
    weights("heavy.npy", &[0.5; 16]);
    let unit = ["--weights-a", "one.npy", "--weights-b"];
    let w2 =
        |extra: &[&'static str]| [&["metric", "w2", "a.npy", "a.npy"], &unit[..], extra].concat();
    fails(dir.path(), &w2(&["two.npy"]), &["1", "2", "mass"]);
    fails(dir.path(), &w2(&["negative.npy"]), &["negative.npy", "entry 1", "-0.5"]);
    fails(dir.path(), &w2(&["nan.npy"]), &["nan.npy", "NaN"]);
    fails(dir.path(), &w2(&["zero.npy"]), &["zero.npy", "add up to 0"]);
    fails(dir.path(), &w2(&["grid.npy"]), &["grid.npy", "a.npy", "16", "2"]);
    fails(dir.path(), &["metric", "w2", "a.npy", "c.npy"], &["2", "1"]);
    fails(dir.path(), &["metric", "w2", "grid.npy", "heavy.npy", "--grid", "3.5"], &["4", "8"]);
    fails(dir.path(), &["metric", "tv", "grid.npy", "heavy.npy", "--grid", "3.5"], &["4", "8"]);
    fails(dir.path(), &["metric", "tv", "a.npy", "b.npy"], &["--grid"]);
    fails(dir.path(), &["metric", "mmd", "a.npy", "b.npy", "--bandwidth", "-1"], &["-1"]);
    fails(dir.path(), &["metric", "mmd", "a.npy", "b.npy", "--bandwidth", "wide"], &["wide"]);
    fails(dir.path(), &["metric", "w2", "grid.npy", "grid.npy", "--grid", "0"], &["0"]);
    // Nothing is left where all lies outside.
    let words = ["metric", "tv", "b.npy", "a.npy", "--grid", "0.5"];
    fails(dir.path(), &words, &["b.npy", "none of its 3 samples", "0.5"]);
    // Too few rows for the neighbours: of the sample that has too few.
    let words = ["metric", "precision", "a.npy", "b.npy", "--k", "2"];
    fails(dir.path(), &words, &["first cloud has 2 rows", "3"]);
    // What does not go together is named.
    let ab = |words: &[&'static str]| [&["metric"], words].concat();
    let cases: [(&[&'static str], &[&str]); 13] = [
        (&["w2", "a.npy"], &["w2", "B.npy"]),
        (&["w2", "a.npy", "b.npy", "--bandwidth", "1"], &["--bandwidth", "w2", "--plan"]),
        (&["mmd", "a.npy", "b.npy", "--plan", "p.npy"], &["--plan", "mmd", "--bandwidth"]),
        (&["mmd", "a.npy", "b.npy", "--grid", "3"], &["--grid", "mmd"]),
        (&["mmd", "a.npy", "b.npy", "--weights-b", "one.npy"], &["--weights-b", "mmd"]),
        (&["w2", "a.npy", "b.npy", "--seed", "1"], &["--seed", "w2"]),
        (&["w2", "a.npy", "b.npy", "--level", "0.9"], &["--bootstrap"]),
        (&["w2", "a.npy", "b.npy", "--bootstrap", "9", "--level", "1.5"], &["1.5", "0 and 1"]),
        (&["w2", "a.npy", "b.npy", "--bootstrap", "1"], &["--bootstrap 1", "2"]),
        (&["w2", "a.npy", "b.npy", "--floor", "0"], &["--floor 0"]),
        (&["sliced", "a.npy", "b.npy", "--p", "0.5"], &["p", "0.5"]),
        (&["sliced", "a.npy", "b.npy", "--projections", "0"], &["0"]),
        (&["tv", "grid.npy", "grid.npy", "--grid", "3", "--bootstrap", "9"], &["samples"]),
    ];
    for (words, needles) in cases {
        fails(dir.path(), &ab(words), needles);
    }
    let both = ["metric", "w2", "a.npy", "b.npy", "--weights-a", "one.npy", "--grid", "3"];
    fails(dir.path(), &both, &["--weights-a", "--grid"]);
    weights("odd.npy", &[0.25; 15]);
    fails(dir.path(), &["metric", "w2", "odd.npy", "odd.npy", "--grid", "3.5"], &["15"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let dir = folder();
    save_rows(&dir.path().join("points.npy"), &array![[0.5, 0.0, 0.0]]);
    std::fs::write(dir.path().join("file"), "").expect("a file");
    std::fs::create_dir(dir.path().join("folder")).expect("a folder");
    let mut outs = vec!["file/out.npy", "absent/out.npy", "folder"];
    if Path::new("/dev/full").exists() {
        outs.push("/dev/full");
    }
    if Path::new("/proc/self").exists() {
        outs.push("/proc/out.npy");
    }
    for out in outs {
        fails(dir.path(), &sample(&["--out", out]), &[out]);
        let plan = ["metric", "w1", "points.npy", "points.npy", "--plan", out];
        fails(dir.path(), &plan, &[out]);
        for command in ["residual", "logp"] {
            let words =
                [command, "--model", "mixture.json", "--sde", "vp", "--points", "points.npy"];
            fails(dir.path(), &[&words[..], &["--out", out]].concat(), &[out]);
        }
    }
}

#[test]
fn a_full_standard_output_is_an_error() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a device");
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("experiment"));
    let output = command.args(["list", "--json"]).stdout(full).output().expect("it starts");
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.starts_with("error: ") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn help_has_an_example_everywhere() {
    let commands: [&[&str]; 14] = [
        &[],
        &["list"],
        &["run"],
        &["report"],
        &["train"],
        &["sample"],
        &["residual"],
        &["logp"],
        &["show"],
        &["forward"],
        &["metric"],
        &["verify"],
        &["verify", "refs"],
        &["sample", "--json"],
    ];
    for words in commands {
        let output = run(&[words, &["--help"]].concat());
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{words:?}");
        assert!(stdout.contains("Example"), "{words:?}: {stdout}");
        assert!(stdout.contains("experiment "), "{words:?}: {stdout}");
    }
}

#[test]
fn an_existing_output_survives_a_failure() {
    let dir = folder();
    let out = dir.path().join("out.npy");
    std::fs::write(&out, "precious").expect("a file");
    // The square of these overflows: the solve must stop rather than write NaN.
    save_rows(&dir.path().join("far.npy"), &array![[1e300, 1e300]]);
    fails(dir.path(), &sample(&["--x0", "far.npy"]), &["t ="]);
    assert_eq!(std::fs::read(&out).expect("a file"), b"precious");
    fails(dir.path(), &sample(&["--method", "runge"]), &["runge"]);
    assert_eq!(std::fs::read(&out).expect("a file"), b"precious");
}

/// A step too long for a method in discrete time is refused with its numbers, said once.
#[test]
fn a_step_that_leaves_no_signal_is_refused_in_one_line() {
    let dir = folder();
    for (method, steps, end) in [("ancestral", "19", "1e-3"), ("reverse-diffusion", "20", "0")] {
        let sample = ["sample", "--model", "mixture.json", "--sde", "vp", "--method", method];
        let rest = ["--steps", steps, "--t-end", end, "--n", "4", "--out", "out.npy"];
        let words = [&sample[..], &rest[..]].concat();
        fails(dir.path(), &words, &["beta(t) = 20 at t = 1", "leaves no signal"]);
        let output = experiment(&words).current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.matches("leaves no signal").count(), 1, "{said}");
    }
}
