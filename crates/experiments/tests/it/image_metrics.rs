//! `metric` of images and of files of features.

use std::fs;
use std::path::Path;

use ndarray::{Array1, Array2, Array4, Axis, array};
use sde_core::Key;

use crate::support::{fails, folder, json, run, save, save_rows, text};

/// Images of one grey, the same in every pixel but for some noise, as bytes.
fn images(path: &Path, n: usize, seed: u64, noise: f64) {
    let mut z = vec![0.0; n * 64];
    Key::root(seed).fill_normals(0, &mut z);
    let pixel = |((k, _, y, x), z): ((usize, usize, usize, usize), f64)| {
        (128.0 + 60.0 * ((k + y / 4 + x / 4) % 3) as f64 - 60.0 + noise * z).clamp(0.0, 255.0) as u8
    };
    let array =
        Array4::from_shape_fn((n, 1, 8, 8), |at| pixel((at, z[at.0 * 64 + at.2 * 8 + at.3])));
    save(path, &array.into_dyn());
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn all_figures_of_images_at_once() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    images(&at("a.npy"), 150, 1, 20.0);
    images(&at("b.npy"), 160, 2, 20.0);
    images(&at("c.npy"), 150, 3, 60.0);
    images(&at("train.npy"), 200, 4, 20.0);
    let (a, b, c, train) = (at("a.npy"), at("b.npy"), at("c.npy"), at("train.npy"));
    let of = |x: &Path| {
        let words = ["metric", "images", text(x), text(&b), "--training", text(&train)];
        json(&[&words[..], &["--floor", "9", "--resamples", "8"]].concat())
    };
    let (near, far) = (of(&a), of(&c));
    assert_eq!(near["samples"], serde_json::json!([150, 160]));
    assert_eq!((number(&near["training"]), number(&near["dimension"])), (200.0, 128.0));
    let features = &near["features"];
    assert_eq!(features["extractor"], "random-conv:seed=0");
    assert_eq!(features["weights"].as_str().map(str::len), Some(64));
    assert_eq!((features["resizing"].as_str(), &near["seed"]), (Some("none"), &0.into()));
    assert_eq!(features["range"], serde_json::json!([0.0, 255.0]));
    for name in ["frechet", "kid"] {
        let found = |report: &serde_json::Value| number(&report["values"][name]["value"]);
        let floor = &near["values"][name]["floor"];
        assert_eq!(floor["samples"], serde_json::json!([150, 160]));
        assert!(found(&far) > 3.0 * found(&near).abs(), "{name}: {near} {far}");
        assert!(number(&far["values"][name]["floor"]["share-above"]) < 0.11, "{far}");
    }
    for name in ["precision", "recall", "density", "coverage", "authenticity", "near-training"] {
        let figure = &near["values"][name];
        assert!(number(&figure["value"]) > 0.0, "{name}: {near}");
        assert!(figure["standard-error"].is_number(), "{name}: {near}");
    }
    // Copies of the training images.
    let copies = of(&train);
    assert_eq!(number(&copies["values"]["authenticity"]["value"]), 0.0);
    assert_eq!(number(&copies["values"]["near-training"]["value"]), 1.0);

    // Both beside each other; a result of other sizes is none.
    let write =
        |name: &str, value: &serde_json::Value| fs::write(at(name), value.to_string()).expect(name);
    write("near.json", &near);
    write("far.json", &far);
    write("copies.json", &copies);
    let (one, two) = (at("near.json"), at("far.json"));
    let found = json(&["metric", "compare", text(&one), text(&two)]);
    let differences = found["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 8);
    let frechet = differences.iter().find(|d| d["name"] == "frechet").expect("a figure");
    assert_eq!(frechet["change"], "rises");
    let same = json(&["metric", "compare", text(&one), text(&one)]);
    let holds =
        |d: &serde_json::Value| d["change"] == "not told apart" && number(&d["difference"]) == 0.0;
    assert!(same["differences"].as_array().expect("a list").iter().all(holds), "{same}");
    let other = at("copies.json");
    fails(
        dir.path(),
        &["metric", "compare", text(&one), text(&other)],
        &["[150,160]", "[200,160]", "different numbers of samples do not compare"],
    );
}

#[test]
fn results_of_other_extractors_do_not_compare() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    images(&at("a.npy"), 20, 1, 20.0);
    images(&at("b.npy"), 20, 2, 20.0);
    let (a, b) = (at("a.npy"), at("b.npy"));
    let write =
        |name: &str, value: &serde_json::Value| fs::write(at(name), value.to_string()).expect(name);
    let seeded =
        json(&["metric", "images", text(&a), text(&b), "--features", "random-conv:seed=1"]);
    write("seeded.json", &seeded);
    let plain = json(&["metric", "images", text(&a), text(&b)]);
    write("plain.json", &plain);
    let (plain, seeded) = (at("plain.json"), at("seeded.json"));
    let words = ["metric", "compare", text(&plain), text(&seeded)];
    fails(dir.path(), &words, &["features.extractor", "random-conv:seed=1", "do not compare"]);
}

#[test]
fn one_metric_of_images_or_features() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    images(&at("a.npy"), 40, 1, 20.0);
    images(&at("b.npy"), 50, 2, 20.0);
    let (a, b) = (at("a.npy"), at("b.npy"));
    // A folder of PNG has the same pixels, and so the same figures.
    let pictures = data::open(&a, &data::OpenOptions::default()).expect("images");
    let rows = pictures.to_array().expect("rows");
    data::save(&at("folder"), pictures.kind(), rows.view(), None).expect("written");
    let pngs = at("folder");
    let by = |x: &Path, features: &str| {
        json(&["metric", "frechet", text(x), text(&b), "--features", features])
    };
    let (array, folder_of) = (by(&a, "random-conv"), by(&pngs, "random-conv"));
    assert_eq!(array["value"], folder_of["value"]);
    assert!(number(&array["standard-error"]) > 0.0);
    assert_eq!(array["features"]["extractor"], "random-conv:seed=0");
    let notes = array["notes"].as_array().expect("notes");
    assert!(notes[0].as_str().is_some_and(|n| n.contains("40 rows of 128")), "{array}");
    // Pixels are those of the file, from 0 to 1.
    let pixels = by(&a, "pixels");
    let unit = |path: &Path| {
        let data = data::open(path, &data::OpenOptions::default()).expect("images");
        data.to_array().expect("rows") / 255.0
    };
    let expected = metrics::frechet_distance(unit(&a).view(), unit(&b).view()).expect("a distance");
    assert!((number(&pixels["value"]) / expected - 1.0).abs() < 1e-12, "{pixels}");
    let shown = run(&["metric", "kid", text(&a), text(&b), "--features", "random-conv:seed=5"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("128 of random-conv:seed=5, weights"), "{shown}");
}

/// Every form of a file of features: the same numbers, whatever holds them.
#[test]
fn files_of_features_and_of_moments() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    let mut rows = Array2::zeros((60, 3));
    Key::root(1).fill_normals(0, rows.as_slice_mut().expect("in one piece"));
    let other = &rows * 1.5 + 0.5;
    save_rows(&at("a.npy"), &rows);
    save_rows(&at("b.npy"), &other);
    let moments = |x: &Array2<f64>| {
        let mean = x.mean_axis(Axis(0)).expect("rows");
        let centred = x - &mean;
        (mean, centred.t().dot(&centred) / (x.nrows() as f64 - 1.0))
    };
    let archive = |name: &str, of: &[(&str, ndarray::ArrayD<f64>)]| {
        let file = fs::File::create(at(name)).expect("a file");
        let mut npz = ndarray_npy::NpzWriter::new_compressed(file);
        of.iter().for_each(|(name, array)| npz.add_array(*name, array).expect("written"));
        npz.finish().expect("written");
    };
    let (mean, covariance) = moments(&other);
    let n = Array1::from_elem(1, 60.0);
    let stats = [("mu", mean.into_dyn()), ("sigma", covariance.into_dyn())];
    archive("stats.npz", &stats);
    archive("counted.npz", &[&stats[..], &[("num_images", n.into_dyn())]].concat());
    archive("reps.npz", &[("reps", other.clone().into_dyn())]);
    let words = |b: &str| {
        let (a, b) = (at("a.npy"), at(b));
        json(&["metric", "frechet", text(&a), text(&b)])
    };
    let plain = words("b.npy");
    let expected = number(&plain["value"]);
    for (name, n) in [("stats.npz", None), ("counted.npz", Some(60)), ("reps.npz", Some(60))] {
        let found = words(name);
        assert!((number(&found["value"]) / expected - 1.0).abs() < 1e-10, "{name}: {found}");
        assert_eq!(found["samples"], serde_json::json!([60, n]), "{name}");
        assert_eq!(found["standard-error"].is_number(), name == "reps.npz", "{found}");
        let noted = found["notes"].as_array().expect("notes").len();
        assert_eq!(noted, usize::from(n.is_none()), "{found}");
    }
    let (a, stats) = (at("a.npy"), at("stats.npz"));
    let all = json(&["metric", "images", text(&a), text(&stats), "--features", "file"]);
    assert!((number(&all["values"]["frechet"]["value"]) / expected - 1.0).abs() < 1e-10, "{all}");
    let fails = |words: &[&str], needles: &[&str]| fails(dir.path(), words, needles);
    fails(
        &["metric", "kid", text(&a), text(&stats)],
        &["stats.npz", "mean and a covariance", "kid"],
    );
    let words = ["metric", "frechet", text(&a), text(&stats), "--bootstrap", "9"];
    fails(&words, &["stats.npz", "--bootstrap"]);
    archive("wide.npz", &[("feats", Array2::zeros((9, 4)).into_dyn())]);
    let wide = at("wide.npz");
    fails(&["metric", "frechet", text(&a), text(&wide)], &["3 numbers", "4"]);
    fails(&["metric", "w2", text(&a), text(&stats), "--grid", "3"], &["--grid", "features"]);
    fails(&["metric", "tv", text(&a), text(&stats)], &["tv", "histograms"]);
}

#[test]
fn images_that_do_not_compare_are_refused() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    images(&at("a.npy"), 20, 1, 20.0);
    save(&at("small.npy"), &Array4::<u8>::zeros((9, 1, 6, 8)).into_dyn());
    save(&at("tiny.npy"), &Array4::<u8>::zeros((9, 1, 2, 2)).into_dyn());
    save(&at("units.npy"), &Array4::from_elem((9, 1, 8, 8), 0.5_f64).into_dyn());
    save(&at("deep.npy"), &Array4::<u16>::zeros((9, 1, 8, 8)).into_dyn());
    save_rows(&at("rows.npy"), &array![[0.0, 1.0], [2.0, 3.0]]);
    let with = |x: &str, y: &str, needles: &[&str]| {
        let (x, y) = (at(x), at(y));
        fails(dir.path(), &["metric", "images", text(&x), text(&y)], needles);
    };
    with("small.npy", "a.npy", &["small.npy", "[1, 6, 8]", "[1, 8, 8]"]);
    with("tiny.npy", "tiny.npy", &["tiny.npy", "height", "2"]);
    with("units.npy", "a.npy", &["units.npy", "0.5", "other units"]);
    with("deep.npy", "a.npy", &["deep.npy", "65536 levels", "256"]);
    with("a.npy", "rows.npy", &["rows.npy", "no images", "--features file"]);
    let a = at("a.npy");
    let asked = ["metric", "frechet", text(&a), text(&a), "--features", "inception"];
    fails(dir.path(), &asked, &["inception", "random-conv"]);
    let bad = at("bad.json");
    fs::write(&bad, "{\"samples\": 1").expect("written");
    fails(dir.path(), &["metric", "compare", text(&bad), text(&bad)], &["bad.json"]);
    fs::remove_file(&bad).expect("removed");
    fails(dir.path(), &["metric", "compare", text(&a), "nowhere.json"], &["a.npy"]);
    fails(dir.path(), &["metric"], &[]);
}
