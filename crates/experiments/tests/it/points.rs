//! `residual` and `logp` at given points.

use ndarray::{Array2, array, s};

use crate::support::{experiment, folder, json, load, save_rows, shared, text};

#[test]
fn the_exact_potential_has_no_residual() {
    let dir = folder();
    let (model, points) = (dir.path().join("mixture.json"), dir.path().join("points.npy"));
    let out = dir.path().join("out.npy");
    let rows = Array2::from_shape_fn((40, 3), |(i, j)| match j {
        0 => 0.02 + 0.024 * i as f64,
        _ => (i as f64 * (0.7 + j as f64)).sin() * 2.0,
    });
    save_rows(&points, &rows);
    for sde in ["vp", "sub-vp", "ve", "ou"] {
        let words = ["--model", text(&model), "--sde", sde, "--points", text(&points)];
        let words = [&words[..], &["--out", text(&out)]].concat();
        let report = json(&[&["residual"], &words[..]].concat());
        let table = load(&out);
        assert_eq!(table.dim(), (40, 6));
        assert_eq!(report["rows"], 40);
        assert_eq!(report["columns"].as_array().map(Vec::len), Some(6));
        for row in table.rows() {
            let scale = row.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
            assert!(row[5].abs() < 1e-9 * scale * scale, "{sde}: {row}");
        }
        experiment(&[&["logp"], &words[..]].concat()).assert().success();
        assert_eq!(load(&out).column(0), table.column(0), "{sde}");
    }
}

#[test]
#[cfg_attr(not(paper), ignore = "the weights of arXiv 2311.15996 are not in ../shared")]
fn published_networks_meet_their_references() {
    let shared = shared();
    let dir = folder();
    let (points, out) = (dir.path().join("points.npy"), dir.path().join("out.npy"));
    for net in ["blob_w0.0", "circles2_w10.0"] {
        let open = |name: &str| {
            let path = shared.join(format!("odesdegap/{net}_ref.npz"));
            let file = std::fs::File::open(path).expect("a file");
            let mut npz = ndarray_npy::NpzReader::new(file).expect("an archive");
            npz.by_name::<ndarray::OwnedRepr<f64>, ndarray::IxDyn>(name).expect("an array")
        };
        let inputs = open("inputs").into_dimensionality::<ndarray::Ix2>().expect("[n, 3]");
        save_rows(&points, &inputs);
        let model = shared.join(format!("odesdegap/{net}.safetensors"));
        for (dtype, kernels, tolerance) in
            [("f64", "composite", 1e-10), ("f32", "composite", 1e-5), ("f32", "auto", 1e-5)]
        {
            let words = [
                "residual",
                "--model",
                text(&model),
                "--architecture",
                "ode-sde-gap",
                "--points",
                text(&points),
            ];
            let more = ["--out", text(&out), "--dtype", dtype, "--kernels", kernels];
            experiment(&[&words[..], &more].concat()).assert().success();
            let table = load(&out);
            // The residual is a small sum of large terms: its error is that of the terms.
            let norm = |name: &str| open(name).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            for (columns, name, size) in [
                (0..1, "potential", norm("potential")),
                (1..3, "score", norm("score")),
                (3..4, "dphi_dt", norm("dphi_dt")),
                (4..5, "laplacian", norm("laplacian")),
                (5..6, "residual", norm("laplacian")),
            ] {
                let found = table.slice(s![.., columns]).to_owned();
                for (a, b) in found.iter().zip(&open(name)) {
                    assert!((a - b).abs() <= tolerance * size, "{dtype} {name}: {a} against {b}");
                }
            }
        }
    }
}

#[test]
fn the_log_density_of_a_mixture_is_normalised() {
    let dir = folder();
    let (model, points) = (dir.path().join("one.json"), dir.path().join("points.npy"));
    let out = dir.path().join("out.npy");
    let json =
        r#"{"kind": "gaussian-mixture", "weights": [2], "means": [[1]], "covs": [[[0.25]]]}"#;
    std::fs::write(&model, json).expect("a file");
    save_rows(&points, &array![[0.0, 1.5], [1.0, 0.0]]);
    let words = ["logp", "--model", text(&model), "--sde", "ou", "--points", text(&points)];
    experiment(&[&words[..], &["--out", text(&out)]].concat()).assert().success();
    let log_normal = |x: f64, mean: f64, variance: f64| {
        -0.5 * ((x - mean).powi(2) / variance + (std::f64::consts::TAU * variance).ln())
    };
    let alpha = (-1.0_f64).exp();
    let later = 0.25 * alpha * alpha + 0.5 * (1.0 - alpha * alpha);
    let expected = [log_normal(1.5, 1.0, 0.25), log_normal(0.0, alpha, later)];
    for (found, expected) in load(&out).iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found} against {expected}");
    }
}
