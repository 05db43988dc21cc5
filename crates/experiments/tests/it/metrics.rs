//! `metric`: values, certificates, weights.

use ndarray::{Array1, Array2, array};

use crate::support::{folder, json, load, run, save, save_rows, shared, text};

#[test]
fn transport_between_clouds() {
    let dir = folder();
    let (a, b) = (dir.path().join("a.npy"), dir.path().join("b.npy"));
    let (wa, wb) = (dir.path().join("wa.npy"), dir.path().join("wb.npy"));
    save_rows(&a, &array![[0.0, 0.0], [1.0, 0.0]]);
    save_rows(&b, &array![[1.0, 2.0], [0.0, 2.0]]);
    let report = json(&["metric", "w2", text(&a), text(&b)]);
    for (key, value) in [("value", 2.0), ("squared", 4.0), ("primal", 4.0), ("dual", 4.0)] {
        let found = report[key].as_f64().expect("a number");
        assert!((found - value).abs() < 1e-12, "{key}: {report}");
    }
    assert!(report["seconds"].as_f64() >= Some(0.0), "{report}");
    // All of the second cloud above the first point: a quarter of the mass moves by (-1, 2).
    save(&wa, &Array1::from(vec![3.0, 1.0]).into_dyn());
    save(&wb, &Array1::from(vec![0.0, 4.0]).into_dyn());
    let words = ["metric", "w2", text(&a), text(&b), "--weights-a", text(&wa)];
    let report = json(&[&words[..], &["--weights-b", text(&wb)]].concat());
    let squared = report["squared"].as_f64().expect("a number");
    assert!((squared - (0.75 * 4.0 + 0.25 * 5.0)).abs() < 1e-12, "{report}");
}

/// Points that look random and are the same everywhere.
fn scattered(n: usize, shift: f64) -> Array2<f64> {
    Array2::from_shape_fn((n, 2), |(i, j)| {
        ((i * 37 + j * 91 + i * i * 13) % 101) as f64 / 50.0 + shift
    })
}

#[test]
fn error_bars_beside_the_value() {
    let dir = folder();
    let (a, b) = (dir.path().join("a.npy"), dir.path().join("b.npy"));
    save_rows(&a, &scattered(80, 0.0));
    save_rows(&b, &scattered(60, 0.7));
    let words = ["metric", "w2", text(&a), text(&b), "--bootstrap", "40", "--level", "0.8"];
    let words = [&words[..], &["--floor", "10", "--seed", "3"]].concat();
    let report = json(&words);
    let number = |path: &str| {
        let value = path.split('/').fold(&report, |value, key| match key.parse::<usize>() {
            Ok(index) => &value[index],
            Err(_) => &value[key],
        });
        value.as_f64().unwrap_or_else(|| panic!("{path} in {report}"))
    };
    let (value, error) = (number("value"), number("standard-error"));
    let resampled = number("bootstrap/standard-error");
    assert!(error > 0.0 && (resampled / error - 1.0).abs() < 0.6, "{report}");
    assert!(number("bootstrap/interval/0") < value && value < number("bootstrap/interval/1"));
    assert_eq!(report["floor"]["samples"], serde_json::json!([30, 30]));
    assert!(number("floor/mean") < value && number("floor/standard-deviation") > 0.0);
    assert_eq!(report["samples"], serde_json::json!([80, 60]));
    assert_eq!(report["mass"], serde_json::json!([1.0, 1.0]));
    // The seed names the draws; times are another matter.
    let again = json(&[&words[..], &["--threads", "1"]].concat());
    for key in ["value", "standard-error"] {
        assert_eq!(again[key], report[key]);
    }
    for (part, key) in [("bootstrap", "interval"), ("floor", "mean")] {
        assert_eq!(again[part][key], report[part][key]);
    }
    // The same for people: aligned, an error beside the value.
    let output = run(&words);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        |key: &str| shown.lines().find(|l| l.starts_with(key)).unwrap_or_else(|| panic!("{shown}"));
    assert!(line("w2 ").contains(" +- "), "{shown}");
    assert!(line("interval ").contains("at 80 %"), "{shown}");
    assert!(line("floor ").contains("30 against 30"), "{shown}");
    assert_eq!(line("mass ").split_whitespace().collect::<Vec<_>>(), ["mass", "1", "and", "1"]);
}

#[test]
fn the_plan_moves_every_mass() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    save_rows(&at("a.npy"), &scattered(9, 0.0));
    save_rows(&at("b.npy"), &scattered(7, 0.3));
    save(&at("w.npy"), &Array1::from_shape_fn(9, |i| i as f64).into_dyn());
    let (a, b, w, plan) = (at("a.npy"), at("b.npy"), at("w.npy"), at("plan.npy"));
    let words =
        ["metric", "w1", text(&a), text(&b), "--weights-a", text(&w), "--plan", text(&plan)];
    let report = json(&words);
    let rows = load(&plan);
    assert_eq!(report["plan"]["moves"], rows.nrows());
    let (x, y) = (load(&a), load(&b));
    let (mut from, mut to, mut cost) = ([0.0; 9], [0.0; 7], 0.0);
    for row in rows.rows() {
        let (i, j, mass) = (row[0] as usize, row[1] as usize, row[2]);
        from[i] += mass;
        to[j] += mass;
        cost += mass * (&x.row(i) - &y.row(j)).mapv(|d| d * d).sum().sqrt();
    }
    let value = report["value"].as_f64().expect("a number");
    assert!((cost / value - 1.0).abs() < 1e-12, "{cost} against {value}");
    assert!(from.iter().enumerate().all(|(i, mass)| (mass - i as f64 / 36.0).abs() < 1e-12));
    assert!(to.iter().all(|mass| (mass - 1.0 / 7.0).abs() < 1e-12));
}

/// Every metric there is, by name and with error bars of both kinds.
#[test]
fn every_metric_runs() {
    let dir = folder();
    let (a, b, l) = (dir.path().join("a.npy"), dir.path().join("b.npy"), dir.path().join("l.npy"));
    save_rows(&a, &scattered(60, -1.0));
    save_rows(&b, &scattered(50, -0.7));
    save(&l, &Array1::from_shape_fn(40, |i| -(i as f64 % 7.0)).into_dyn());
    let listed = json(&["list", "metrics"]);
    let help = String::from_utf8_lossy(&run(&["metric", "--help"]).stdout).into_owned();
    let help: String = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for metric in listed["metrics"].as_array().expect("rows") {
        let name = metric["name"].as_str().expect("a name");
        let takes = metric["takes"].as_str().expect("words");
        let mut words = vec!["metric", name];
        match takes {
            "log-densities" => words.push(text(&l)),
            _ => words.extend([text(&a), text(&b), "--floor", "4"]),
        }
        if takes == "histograms" {
            // Every cell holds some of both.
            words.extend(["--grid", "1.5", "--nodes", "2"]);
        }
        words.extend(["--bootstrap", "4"]);
        let report = json(&words);
        assert!(report["value"].is_number(), "{report}");
        assert!(report["bootstrap"]["standard-error"].is_number(), "{report}");
        let closed = !metric["standard-error"].as_str().expect("words").is_empty();
        assert_eq!(report["standard-error"].is_number(), closed, "{report}");
        let formula = metric["formula"].as_str().expect("words");
        assert!(help.contains(formula), "{formula} in {help}");
    }
}

/// What lies outside a grid is left out, and said to be.
#[test]
fn truncated_mass_is_stated() {
    let dir = folder();
    let (a, b) = (dir.path().join("a.npy"), dir.path().join("b.npy"));
    save_rows(&a, &array![[0.0, 0.0], [9.0, 0.0], [0.0, -7.0], [1.0, 0.0]]);
    save_rows(&b, &array![[0.0, 0.0], [1.0, 0.0]]);
    for metric in ["w2", "tv"] {
        let words = ["metric", metric, text(&a), text(&b), "--grid", "2", "--nodes", "5"];
        let report = json(&words);
        // The rest is b.
        assert_eq!(report["value"], 0.0, "{report}");
        assert_eq!(report["discarded"], serde_json::json!([0.5, 0.0]));
        let shown = String::from_utf8_lossy(&run(&words).stdout).into_owned();
        let line = "discarded  0.5 and 0 of the samples, outside the grid: all else is of the rest";
        assert!(shown.lines().any(|l| l == line), "{shown}");
    }
}

#[test]
fn single_precision_is_read_too() {
    let dir = folder();
    let (a, b) = (dir.path().join("a.npy"), dir.path().join("b.npy"));
    save(&a, &array![[0.5_f32], [1.5]].into_dyn());
    save(&b, &Array1::from(vec![0.5_f64, 3.5]).into_dyn());
    let report = json(&["metric", "w2", text(&a), text(&b)]);
    assert_eq!(report["squared"], 2.0);
}

#[test]
fn kernels_and_histograms() {
    let dir = folder();
    let (a, b) = (dir.path().join("a.npy"), dir.path().join("b.npy"));
    save_rows(&a, &array![[0.0, 0.0], [1.0, 0.0]]);
    save_rows(&b, &array![[0.0, 1.0], [1.0, 1.0]]);
    let words = ["metric", "mmd", text(&a), text(&b), "--bandwidth", "1"];
    let k = |square: f64| (-0.5 * square).exp();
    let biased = 2.0 * (0.5 + 0.5 * k(1.0)) - 2.0 * (0.5 * k(1.0) + 0.5 * k(2.0));
    let found = json(&words)["value"].as_f64().expect("a number");
    assert!((found - biased).abs() < 1e-14, "{found} against {biased}");
    let unbiased = 2.0 * k(1.0) - 2.0 * (0.5 * k(1.0) + 0.5 * k(2.0));
    let report = json(&[&words[..], &["--unbiased"]].concat());
    let found = report["value"].as_f64().expect("a number");
    assert!((found - unbiased).abs() < 1e-14, "{found} against {unbiased}");
    let median = json(&["metric", "mmd", text(&a), text(&b), "--bandwidth", "median"]);
    assert!(median["bandwidth"].as_f64() > Some(0.0), "{median}");

    // One of two points in another cell: half the mass differs.
    save_rows(&b, &array![[0.0, 0.0], [-2.0, 0.0]]);
    let report = json(&["metric", "tv", text(&a), text(&b), "--grid", "3.5"]);
    assert_eq!(report["value"], 0.5, "{report}");
    assert_eq!(report["discarded"], serde_json::json!([0.0, 0.0]));
}

#[test]
#[cfg_attr(not(paper), ignore = "the weights of arXiv 2311.15996 are not in ../shared")]
fn histograms_on_the_published_grid() {
    let shared = shared();
    let hist = shared.join("odesdegap/hist");
    let ode = hist.join("weights_ode_64_3000000_100000_800_blob_1.0.npy");
    let sde = hist.join("weights_sde_64_3000000_100000_800_blob_1.0.npy");
    let refs = std::fs::read(shared.join("refs/ot/hist_w2.json")).expect("a file");
    let refs: serde_json::Value = serde_json::from_slice(&refs).expect("JSON");
    let expected = &refs["blob_w1.0"]["ode_sde"]["W2_squared_L3p5"];
    let report = json(&["metric", "w2", text(&ode), text(&sde), "--grid", "3.5"]);
    let (found, expected) = (report["squared"].as_f64(), expected.as_f64());
    let (found, expected) = (found.expect("a number"), expected.expect("a number"));
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} against {expected}");
    let gap = report["primal"].as_f64().expect("a number") - report["dual"].as_f64().expect("one");
    assert!(gap.abs() < 1e-12, "{report}");
    // The published histograms as clouds of weighted nodes: the same transport.
    let nodes = Array2::from_shape_fn((4096, 2), |(k, c)| {
        let at = if c == 0 { k % 64 } else { k / 64 };
        -3.5 + 7.0 * at as f64 / 63.0
    });
    let dir = folder();
    let cloud = dir.path().join("nodes.npy");
    save_rows(&cloud, &nodes);
    let words = ["metric", "w2", text(&cloud), text(&cloud), "--weights-a", text(&ode)];
    let report = json(&[&words[..], &["--weights-b", text(&sde)]].concat());
    let again = report["squared"].as_f64().expect("a number");
    assert!((again / expected - 1.0).abs() < 1e-9, "{again} against {expected}");
}
