//! `metric`: values, certificates, weights.

use ndarray::{Array1, Array2, array};

use crate::support::{folder, json, save, save_rows, shared, text};

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
fn histograms_on_the_published_grid() {
    let Some(shared) = shared() else { return };
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
