//! `sample`: what it draws, and that only the seed decides it.

use std::path::Path;

use experiments::model::{Model, Precision};
use ndarray::{Array2, Axis};
use sde_core::Score;

use crate::support::{experiment, folder, json, load, save_rows, shared, text};

/// `sample` of the mixture into `out`, with more words.
fn sample(dir: &Path, out: &str, words: &[&str]) -> Vec<u8> {
    let out = dir.join(out);
    let model = dir.join("mixture.json");
    let mut all = vec!["sample", "--out", text(&out)];
    if !words.contains(&"--model") {
        all.extend(["--model", text(&model)]);
    }
    all.extend(words);
    experiment(&all).assert().success();
    std::fs::read(out).expect("a file")
}

#[test]
fn only_the_seed_decides() {
    let dir = folder();
    for method in [
        &["--sde", "vp", "--method", "euler-maruyama", "--steps", "20"][..],
        &["--sde", "sub-vp", "--method", "heun", "--steps", "10"],
        &["--sde", "vp", "--method", "dpmpp-2m", "--steps", "10", "--grid", "log-snr"],
        &["--sde", "ou", "--method", "dormand-prince", "--rtol", "1e-6"],
    ] {
        let words = [method, &["--n", "103", "--seed", "5"]].concat();
        let reference = sample(dir.path(), "a.npy", &words);
        for other in [
            &["--threads", "1"][..],
            &["--block-rows", "1"],
            &["--block-rows", "7", "--threads", "2"],
            &["--block-rows", "1000", "--threads", "3"],
        ] {
            let bytes = sample(dir.path(), "b.npy", &[&words[..], other].concat());
            assert!(bytes == reference, "{method:?} {other:?}");
        }
        let seed = [method, &["--n", "103", "--seed", "6"]].concat();
        assert!(sample(dir.path(), "b.npy", &seed) != reference, "{method:?}: the seed is unused");
        // The first particles do not know how many follow.
        let fewer = [method, &["--n", "3", "--seed", "5"]].concat();
        sample(dir.path(), "b.npy", &fewer);
        let (all, three) = (load(&dir.path().join("a.npy")), load(&dir.path().join("b.npy")));
        assert_eq!(all.slice(ndarray::s![..3, ..]), three, "{method:?}");
    }
}

#[test]
fn a_file_that_is_replaced_is_said() {
    let dir = folder();
    let words = ["sample", "--model", "mixture.json", "--sde", "vp", "--method", "heun"];
    let words = [&words[..], &["--steps", "4", "--n", "3", "--out", "o.npy"]].concat();
    let said = || {
        let output = experiment(&words).current_dir(dir.path()).output().expect("it starts");
        assert!(output.status.success());
        String::from_utf8(output.stderr).expect("text")
    };
    assert_eq!((said().as_str(), said().as_str()), ("", "o.npy is replaced\n"));
}

#[test]
#[cfg_attr(not(paper), ignore = "the weights of arXiv 2311.15996 are not in ../shared")]
fn networks_too() {
    let shared = shared();
    let dir = folder();
    let net = shared.join("odesdegap/blob_w1.0.safetensors");
    for kernels in ["auto", "composite"] {
        let words = [
            "--model",
            text(&net),
            "--architecture",
            "ode-sde-gap",
            "--sde",
            "ou",
            "--method",
            "euler-maruyama",
        ];
        let words = [&words[..], &["--steps", "12", "--n", "150", "--kernels", kernels]].concat();
        let reference = sample(dir.path(), "a.npy", &words);
        for other in [["--threads", "1"], ["--block-rows", "64"], ["--block-rows", "13"]] {
            let bytes = sample(dir.path(), "b.npy", &[&words[..], &other].concat());
            assert!(bytes == reference, "{kernels} {other:?}");
        }
    }
}

#[test]
fn draws_the_target() {
    let dir = folder();
    let words = ["--sde", "vp", "--method", "euler-maruyama", "--steps", "200", "--n", "20000"];
    sample(dir.path(), "a.npy", &words);
    let x = load(&dir.path().join("a.npy"));
    assert_eq!(x.dim(), (20_000, 2));
    // Mean 0.4, 0.15; the standard error is 0.008 at most, the step's bias smaller.
    let mean = x.mean_axis(Axis(0)).expect("rows");
    assert!((mean[0] - 0.4).abs() < 0.05 && (mean[1] - 0.15).abs() < 0.05, "{mean}");
    // The second component has 70 % of the mass.
    let right = x.column(0).iter().filter(|v| **v > 0.0).count() as f64 / 20_000.0;
    assert!((0.6..0.75).contains(&right), "{right}");
}

#[test]
fn starts_from_given_points() {
    let dir = folder();
    let start = Array2::from_shape_fn((5, 2), |(i, j)| 0.3 * i as f64 - 0.2 * j as f64);
    save_rows(&dir.path().join("x0.npy"), &start);
    let x0 = dir.path().join("x0.npy");
    let words = ["--sde", "vp", "--method", "dormand-prince", "--rtol", "1e-10", "--atol", "1e-10"];
    // There and back again along the flow.
    let there = ["--x0", text(&x0), "--t-start", "0.01", "--t-end", "0.6"];
    sample(dir.path(), "there.npy", &[&words[..], &there].concat());
    let from = dir.path().join("there.npy");
    let back = ["--x0", text(&from), "--t-start", "0.6", "--t-end", "0.01"];
    sample(dir.path(), "back.npy", &[&words[..], &back].concat());
    let end = load(&dir.path().join("back.npy"));
    let off = (&end - &start).iter().fold(0.0, |m: f64, d| m.max(d.abs()));
    assert!(off < 1e-7, "{off}");
}

#[test]
fn denoising_is_one_more_prediction() {
    let dir = folder();
    let words =
        ["--sde", "vp", "--method", "euler", "--steps", "30", "--t-end", "0.1", "--n", "50"];
    sample(dir.path(), "noisy.npy", &words);
    sample(dir.path(), "clean.npy", &[&words[..], &["--denoise"]].concat());
    let (noisy, clean) = (load(&dir.path().join("noisy.npy")), load(&dir.path().join("clean.npy")));
    let model = Model::open(&dir.path().join("mixture.json"), &Precision::default());
    let Model::Analytic(target) = model.expect("a model") else { panic!("no closed form") };
    let sde = sde_core::sde::parse("vp").expect("an SDE");
    let model = target.under(sde.as_ref()).expect("a score");
    let m = sde.marginal(0.1);
    let score = model.score(&noisy, 0.1).expect("a score");
    let expected = (&noisy + &(score * (m.sigma * m.sigma))) / m.alpha;
    let off = (&clean - &expected).iter().fold(0.0, |m: f64, d| m.max(d.abs()));
    assert!(off < 1e-12, "{off}");
}

#[test]
fn reports_what_it_did() {
    let dir = folder();
    let (model, out) = (dir.path().join("mixture.json"), dir.path().join("out.npy"));
    let words = ["sample", "--model", text(&model), "--sde", "ve", "--method", "heun"];
    let words = [&words[..], &["--steps", "9", "--n", "11", "--out", text(&out)]].concat();
    let report = json(&words);
    assert_eq!(report["n"], 11);
    assert_eq!(report["dim"], 2);
    assert_eq!(report["nfe"], 18);
    assert_eq!(report["method"], "heun");
    assert!(report["seconds"].as_f64() > Some(0.0), "{report}");
    assert_eq!(report["sde"], "ve:sigma-min=0.01,sigma-max=50");
}

/// Constants of a method reach it, and its name in the report.
#[test]
fn constants_of_methods() {
    let dir = folder();
    let draw = |method: &str| {
        let words = ["--sde", "ve:sigma-max=20", "--method", method, "--steps", "12", "--n", "20"];
        sample(dir.path(), "a.npy", &words)
    };
    // Without churn it is the deterministic sampler.
    assert!(draw("edm-churn:churn=0") == draw("edm-heun"));
    assert!(draw("edm-churn:churn=2") != draw("edm-heun"));
    assert!(draw("edm:second-stage=0.5") != draw("edm"));
    assert!(draw("edm:second-stage=1") == draw("edm"));
    let (out, model) = (dir.path().join("b.npy"), dir.path().join("mixture.json"));
    let restart = "restart:high=2,repeats=3";
    let words = ["sample", "--out", text(&out), "--model", text(&model), "--sde", "ve", "--n", "3"];
    let report = json(&[&words[..], &["--method", restart, "--steps", "12"]].concat());
    assert_eq!(report["method"], restart);
    assert_eq!(report["nfe"], 2 * 12 + 2 * 3 * 3);
}

/// Processes that end without signal, from there.
#[test]
fn processes_without_signal() {
    let dir = folder();
    for sde in ["rectified", "cosine"] {
        for method in ["euler", "dpmpp-2m", "exponential-euler-maruyama", "dormand-prince"] {
            let words = ["--sde", sde, "--method", method, "--n", "2000"];
            let steps =
                if method == "dormand-prince" { ["--rtol", "1e-6"] } else { ["--steps", "100"] };
            sample(dir.path(), "a.npy", &[&words[..], &steps].concat());
            let mean = load(&dir.path().join("a.npy")).mean_axis(Axis(0)).expect("rows");
            // The standard error is 0.025 at most.
            assert!(
                (mean[0] - 0.4).abs() < 0.15 && (mean[1] - 0.15).abs() < 0.15,
                "{sde} {method} {mean}"
            );
        }
    }
}

#[test]
fn lists_are_generated_from_the_registries() {
    for (what, some) in [
        ("methods", &["euler-maruyama", "dopri5", "heun"][..]),
        ("sdes", &["ou", "vp", "sub-vp", "ve", "rectified", "cosine"]),
        ("data-sets", &["blob", "checker", "circles2"]),
        ("networks", &["edm", "residual-mlp"]),
        ("grids", &["uniform", "karras", "ode-sde-gap"]),
        ("metrics", &["w2", "mmd", "tv"]),
        ("experiments", &["ode-sde-gap"]),
    ] {
        let report = json(&["list", what]);
        let rows = report[what].as_array().expect("a list");
        for name in some {
            assert!(rows.iter().any(|r| r["name"] == *name), "{what}: no {name} in {rows:?}");
        }
    }
    let all = json(&["list"]);
    assert_eq!(all.as_object().map(serde_json::Map::len), Some(7));
}

/// Peak memory of a finished process, in MiB, as the kernel counts it.
#[cfg(target_os = "linux")]
fn peak_mib(words: &[&str]) -> f64 {
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("experiment"))
        .args(words)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        if let Some(kib) = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok()) {
            peak = kib / 1024.0;
        }
        if let Some(exit) = child.try_wait().expect("a child") {
            assert!(exit.success());
            return peak;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
#[cfg(target_os = "linux")]
#[ignore = "slow"]
fn slow_memory_does_not_grow_with_the_particles() {
    let shared = shared();
    let dir = folder();
    let (net, out) = (shared.join("odesdegap/blob_w0.0.safetensors"), dir.path().join("out.npy"));
    let mixture = dir.path().join("mixture.json");
    let said = ["--architecture", "ode-sde-gap"];
    for (model, more) in [(&net, &said[..]), (&mixture, &[])] {
        let words = ["sample", "--model", text(model), "--sde", "ou", "--method", "euler-maruyama"];
        let words = [&words[..], more, &["--steps", "2", "--out", text(&out), "--n"]].concat();
        let few = peak_mib(&[&words[..], &["100000"]].concat());
        let many = peak_mib(&[&words[..], &["3000000"]].concat());
        assert!(many < 1024.0, "{many} MiB");
        // The samples alone are 46 MiB.
        assert!(many < few + 100.0, "{few} MiB for 100 000, {many} MiB for 3 000 000");
        assert_eq!(std::fs::metadata(&out).expect("a file").len(), 128 + 3_000_000 * 16);
    }
}
