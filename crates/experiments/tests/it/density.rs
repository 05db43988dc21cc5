//! `logp --method`, `encode` and `decode`.

use std::path::Path;

use ndarray::{Array2, array, s};

use crate::support::{experiment, fails, folder, json, load, run, save_rows, shared, text};

fn points() -> Array2<f64> {
    array![[0.9, 0.1], [-1.1, 0.6], [0.0, 0.0], [2.0, -1.0]]
}

/// A command on the mixture under vp; `in` holds the points.
fn words<'a>(command: &'a str, from: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let option = if command == "decode" { "--latents" } else { "--points" };
    let mut words = vec![command, "--model", "mixture.json", "--sde", "vp"];
    words.extend([option, from, "--out", out]);
    words.extend(more);
    words
}

fn done(dir: &Path, words: &[&str]) -> serde_json::Value {
    let output = experiment(words).arg("--json").current_dir(dir).output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {errors}");
    crate::support::parse_one(&output.stdout)
}

/// The closed form at time `t`, by the command without --method.
fn closed_form(dir: &Path, t: f64) -> Vec<f64> {
    let x = points();
    let rows =
        Array2::from_shape_fn((x.nrows(), 3), |(i, j)| if j == 0 { t } else { x[[i, j - 1]] });
    save_rows(&dir.join("rows.npy"), &rows);
    done(dir, &words("logp", "rows.npy", "closed.npy", &[]));
    load(&dir.join("closed.npy")).column(0).to_vec()
}

#[test]
fn every_way_finds_the_density_of_a_mixture() {
    let dir = folder();
    save_rows(&dir.path().join("x.npy"), &points());
    let exact = closed_form(dir.path(), 1e-3);
    let at_zero = closed_form(dir.path(), 0.0);
    // Exact priors: what is left is the error of the steps, of the estimate, of the extrapolation.
    let cases: [(&[&str], &[f64], f64); 6] = [
        (&["flow-exact", "--rtol", "1e-10"], &exact, 1e-8),
        (&["flow-exact", "--rtol", "1e-10", "--t-end", "0"], &at_zero, 1e-8),
        (&["flow-exact", "--rtol", "1e-10", "--extrapolate"], &at_zero, 1e-2),
        (&["flow-exact", "--steps", "400", "--grid", "log-snr"], &exact, 1e-6),
        (&["identity", "--eta", "0", "--rtol", "1e-10"], &exact, 1e-8),
        (&["identity", "--eta", "1.5", "--paths", "10"], &exact, 1e-8),
    ];
    for (more, expected, tolerance) in cases {
        let all = [&["--prior", "exact", "--method"], more].concat();
        let report = done(dir.path(), &words("logp", "x.npy", "out.npy", &all));
        assert_eq!((&report["rows"], &report["method"]), (&4.into(), &more[0].into()));
        assert!(report["nfe"].as_u64() > Some(0), "{report}");
        let found = load(&dir.path().join("out.npy"));
        for (f, e) in found.column(0).iter().zip(expected) {
            assert!((f - e).abs() < tolerance, "{more:?}: {f} against {e}");
        }
    }
    let more = ["--prior", "exact", "--method", "flow-hutchinson", "--probes", "60", "--seed", "3"];
    let report = done(dir.path(), &words("logp", "x.npy", "out.npy", &more));
    assert_eq!(report["columns"], serde_json::json!(["log_density", "std_error"]));
    for (row, e) in load(&dir.path().join("out.npy")).rows().into_iter().zip(&exact) {
        assert!((row[0] - e).abs() < 4.0 * row[1] && row[1] < 0.5, "{row} against {e}");
    }
    let single = ["--method", "flow-hutchinson", "--probes", "1", "--probe-law", "gaussian"];
    let report = done(dir.path(), &words("logp", "x.npy", "out.npy", &single));
    assert_eq!(report["columns"], serde_json::json!(["log_density"]));
}

/// The standard prior is what samplers start from: the flow and the identity agree on what that gives,
/// and the SDE has forgotten it.
#[test]
fn the_prior_matters_to_the_flow() {
    let dir = folder();
    save_rows(&dir.path().join("x.npy"), &points());
    let column = |more: &[&str]| {
        let vp = "vp:beta0=0.1,beta1=4";
        let mut all = words("logp", "x.npy", "out.npy", more);
        all[4] = vp;
        done(dir.path(), &all);
        load(&dir.path().join("out.npy"))
    };
    let flow = column(&["--method", "flow-exact", "--rtol", "1e-10"]);
    let line = column(&["--method", "identity", "--eta", "0", "--rtol", "1e-10"]);
    let exact = column(&["--method", "flow-exact", "--rtol", "1e-10", "--prior", "exact"]);
    for ((f, l), e) in flow.iter().zip(&line).zip(&exact) {
        assert!((f - l).abs() < 1e-7 && (f - e).abs() > 1e-4, "{f}, {l} and {e}");
    }
    let wide = column(&["--method", "identity", "--seed", "1", "--paths", "200"]);
    assert_eq!(wide.ncols(), 3);
    assert!(wide.column(1).iter().all(|e| *e > 0.0 && *e < 0.1), "{wide}");
    assert!(wide.column(2).iter().all(|n| *n > 100.0 && *n <= 200.0), "{wide}");
    let other = column(&["--method", "identity", "--seed", "2", "--paths", "200"]);
    assert!(wide.column(0) != other.column(0), "the seed is unused");
}

#[test]
fn bits_and_levels() {
    let dir = folder();
    save_rows(&dir.path().join("x.npy"), &array![[0.0, 0.25], [0.5, 1.0], [0.9, 0.1]]);
    for (range, more) in [("0..1", 8.0), ("-1..1", 7.0)] {
        let all = ["--method", "flow-exact", "--bits-per-dim", range];
        let report = done(dir.path(), &words("logp", "x.npy", "out.npy", &all));
        assert_eq!(report["columns"], serde_json::json!(["log_density", "bits_per_dim"]));
        for row in load(&dir.path().join("out.npy")).rows() {
            let bits = more - row[0] / (2.0 * std::f64::consts::LN_2);
            assert!((row[1] - bits).abs() < 1e-12, "{row}");
        }
    }
    // Data of another scale have no bits a dimension.
    save_rows(&dir.path().join("far.npy"), &array![[0.5, 0.5], [0.5, 16.0]]);
    let all = ["--method", "flow-exact", "--bits-per-dim", "0..1"];
    let far = words("logp", "far.npy", "out.npy", &all);
    fails(dir.path(), &far, &["far.npy: row 1, column 1: 16 is not within 0..1"]);
    let levels = array![[0.0, 255.0], [17.0, 200.0]];
    save_rows(&dir.path().join("levels.npy"), &levels);
    let all = ["--method", "flow-exact", "--bits-per-dim", "-1..1", "--dequantise", "--seed"];
    let bits = |seed| {
        done(dir.path(), &words("logp", "levels.npy", "out.npy", &[&all[..], &[seed]].concat()));
        load(&dir.path().join("out.npy"))
    };
    let first = bits("1");
    assert!(first == bits("1") && first != bits("2"));
    // The noise moves a point by less than a cell.
    save_rows(&dir.path().join("x.npy"), &levels.mapv(|v| (v + 0.5) / 128.0 - 1.0));
    let middle = ["--method", "flow-exact"];
    done(dir.path(), &words("logp", "x.npy", "out.npy", &middle));
    for (a, b) in first.column(0).iter().zip(load(&dir.path().join("out.npy")).column(0)) {
        assert!((a - b).abs() < 0.1 && a != b, "{a} and {b}");
    }
}

#[test]
fn encodings_come_back() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    save_rows(&at("x.npy"), &points());
    let steps = ["--rtol", "1e-10"];
    let report = done(dir.path(), &words("encode", "x.npy", "z.npy", &steps));
    assert_eq!((&report["n"], &report["dim"]), (&4.into(), &2.into()));
    done(dir.path(), &words("decode", "z.npy", "back.npy", &steps));
    let gap =
        |a: &Array2<f64>, b: &Array2<f64>| (a - b).iter().fold(0.0_f64, |w, d| w.max(d.abs()));
    let (z, back) = (load(&at("z.npy")), load(&at("back.npy")));
    assert!(gap(&back, &points()) < 1e-7 && gap(&z, &points()) > 0.1, "{z} {back}");
    // The latents are where `sample` begins.
    let more = ["sample", "--model", "mixture.json", "--sde", "vp", "--method", "dopri5"];
    let more = [&more[..], &["--rtol", "1e-10", "--x0", "z.npy", "--out", "sampled.npy"]].concat();
    done(dir.path(), &more);
    assert_eq!(load(&at("sampled.npy")), back);
    // On a grid, with another method.
    let grid = ["--method", "heun", "--steps", "2000", "--grid", "log-snr"];
    done(dir.path(), &words("encode", "x.npy", "g.npy", &grid));
    assert!(gap(&load(&at("g.npy")), &z) < 1e-3);
    // Temperature and interpolation act on the latents.
    save_rows(&at("half.npy"), &(&z * 0.5));
    done(dir.path(), &words("decode", "half.npy", "a.npy", &steps));
    done(
        dir.path(),
        &words("decode", "z.npy", "b.npy", &["--rtol", "1e-10", "--temperature", "0.5"]),
    );
    assert_eq!(load(&at("a.npy")), load(&at("b.npy")));
    save_rows(&at("other.npy"), &z.slice(s![..;-1, ..]).to_owned());
    let towards = ["--rtol", "1e-10", "--towards", "other.npy", "--share", "1"];
    done(dir.path(), &words("decode", "z.npy", "c.npy", &towards));
    assert!(gap(&load(&at("c.npy")), &back.slice(s![..;-1, ..]).to_owned()) < 1e-7);
}

/// Of a published network, in both precisions: the flow's density by two ways, and the way back.
#[test]
#[cfg_attr(not(paper), ignore = "the weights of arXiv 2311.15996 are not in ../shared")]
fn densities_of_a_network() {
    let shared = shared();
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    save_rows(&at("x.npy"), &points());
    let net = shared.join("odesdegap/blob_w1.0.safetensors");
    let (x, out) = (at("x.npy"), at("out.npy"));
    let column = |more: &[&str]| {
        let all = [
            "logp",
            "--model",
            text(&net),
            "--architecture",
            "ode-sde-gap",
            "--points",
            text(&x),
            "--out",
            text(&out),
        ];
        json(&[&all[..], more].concat());
        load(&out).column(0).to_vec()
    };
    let exact = column(&["--method", "flow-exact", "--rtol", "1e-9"]);
    let most =
        |other: &[f64]| exact.iter().zip(other).fold(0.0_f64, |w, (a, b)| w.max((a - b).abs()));
    assert!(most(&column(&["--method", "identity", "--eta", "0", "--rtol", "1e-9"])) < 1e-6);
    let single = ["--method", "flow-exact", "--rtol", "1e-6", "--dtype", "f32"];
    assert!(most(&column(&single)) < 1e-3);
    let few = ["--method", "identity", "--eta", "1", "--paths", "20", "--steps", "50"];
    assert!(column(&[&few[..], &["--dtype", "f32"]].concat()).iter().all(|l| l.is_finite()));
    let z = at("z.npy");
    let model = ["--model", text(&net), "--architecture", "ode-sde-gap", "--rtol", "1e-8"];
    json(&[&["encode", "--points", text(&x), "--out", text(&z)], &model[..]].concat());
    json(&[&["decode", "--latents", text(&z), "--out", text(&out)], &model[..]].concat());
    assert!((load(&out) - points()).iter().all(|d| d.abs() < 1e-5));
    let prior = [
        "logp",
        "--model",
        text(&net),
        "--architecture",
        "ode-sde-gap",
        "--points",
        "x.npy",
        "--out",
        "o.npy",
    ];
    let exact = [&prior[..], &["--method", "flow-exact", "--prior", "exact"]].concat();
    fails(dir.path(), &exact, &["network", "--prior standard"]);
}

#[test]
fn mistakes_have_one_line() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    save_rows(&at("x.npy"), &points());
    save_rows(&at("three.npy"), &Array2::zeros((2, 3)));
    save_rows(&at("zero.npy"), &Array2::zeros((4, 2)));
    let cases: [(&[&str], &[&str]); 20] = [
        (&["--method", "flow"], &["flow", "flow-exact", "identity"]),
        (&["--method", "flow-exact", "--eta", "1"], &["--eta", "identity"]),
        (&["--method", "flow-exact", "--paths", "3"], &["--paths", "identity"]),
        (&["--method", "identity", "--probes", "3"], &["--probes", "flow-hutchinson"]),
        (&["--method", "flow-hutchinson", "--probes", "0"], &["0"]),
        (&["--method", "identity", "--paths", "0"], &["0"]),
        (&["--method", "identity", "--eta", "-1"], &["--eta", "-1"]),
        (&["--method", "identity", "--eta", "nan"], &["--eta", "NaN"]),
        (&["--method", "identity", "--extrapolate"], &["--extrapolate"]),
        (&["--method", "flow-exact", "--extrapolate", "--t-end", "0"], &["0 < t_start"]),
        (&["--method", "flow-exact", "--extrapolate", "--steps", "9"], &["--rtol"]),
        (&["--method", "flow-exact", "--rtol", "-1"], &["--rtol", "-1"]),
        (&["--method", "flow-exact", "--rtol", "1", "--steps", "4"], &["--rtol", "--steps"]),
        (&["--method", "flow-exact", "--grid", "uniform"], &["--steps"]),
        (&["--method", "flow-exact", "--t-end", "1"], &["--t-end", "1"]),
        (&["--method", "flow-exact", "--t-end", "-0.5"], &["--t-end", "-0.5"]),
        (&["--method", "flow-exact", "--bits-per-dim", "0..255"], &["0..255", "-1..1"]),
        (&["--method", "flow-exact", "--dequantise"], &["--bits-per-dim"]),
        (&["--eta", "1"], &["--method"]),
        (&["--bits-per-dim", "0..1"], &["--method"]),
    ];
    for (more, needles) in cases {
        fails(dir.path(), &words("logp", "x.npy", "out.npy", more), needles);
    }
    let exact = ["--method", "flow-exact"];
    fails(dir.path(), &words("logp", "three.npy", "out.npy", &exact), &["three.npy", "[n, 2]"]);
    let levels = ["--method", "flow-exact", "--bits-per-dim", "0..1", "--dequantise"];
    fails(dir.path(), &words("logp", "x.npy", "out.npy", &levels), &["level 0 = 0.9"]);
    fails(dir.path(), &words("logp", "x.npy", "absent/out.npy", &exact), &["absent"]);

    for (command, more, needles) in [
        ("encode", &["--method", "runge"][..], &["runge", "dopri5"][..]),
        ("encode", &["--method", "euler"], &["euler-maruyama", "--steps"]),
        ("encode", &["--rtol", "0"], &["--rtol", "0"]),
        ("decode", &["--temperature", "-1"], &["temperature", "-1"]),
        ("decode", &["--towards", "x.npy"], &["--share"]),
        ("decode", &["--towards", "x.npy", "--share", "2"], &["--share", "2"]),
        ("decode", &["--towards", "three.npy", "--share", "0"], &["three.npy", "[2, 3]"]),
        ("decode", &["--towards", "zero.npy", "--share", "0"], &["row 0", "direction"]),
    ] {
        fails(dir.path(), &words(command, "x.npy", "out.npy", more), needles);
    }
    fails(dir.path(), &words("encode", "three.npy", "out.npy", &[]), &["three.npy", "[n, 2]"]);
    fails(dir.path(), &words("decode", "absent.npy", "out.npy", &[]), &["absent.npy"]);
    for command in ["encode", "decode"] {
        let output = run(&[command, "--help"]);
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains("Example") && stdout.contains("experiment "), "{stdout}");
    }
}
