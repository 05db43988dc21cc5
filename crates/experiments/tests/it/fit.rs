//! `fit`: from a file to a model that knows its columns.

use std::fs;
use std::path::Path;

use sde_core::Key;

use crate::support::{fails, folder, json, text};

/// Settings of a second or two.
const SMALL: [&str; 10] = [
    "--set",
    "training.steps=200",
    "--set",
    "network={kind=\"residual-mlp\", width=16, blocks=1, dropout=0.0}",
    "--set",
    "sampling.n=80",
    "--set",
    "measuring.likelihood=20",
    "--set",
    "measuring.likelihood-steps=6",
];

/// A table with a real column, a whole one that depends on it, and one of names.
pub(crate) fn table(path: &Path) {
    let n = 200;
    let (mut z, mut u) = (vec![0.0; n], vec![0.0; n]);
    Key::root(1).fill_normals(0, &mut z);
    Key::root(2).fill_uniforms(0, &mut u);
    let mut text = String::from("height,rings,kind\n");
    for (z, u) in z.iter().zip(&u) {
        let kind = if *u < 0.3 { "oak" } else { "ash" };
        text += &format!("{:.4},{},{kind}\n", 2.0 + 0.3 * z, (10.0 + 3.0 * z + 2.0 * u).round());
    }
    fs::write(path, text).expect("written");
}

pub(crate) fn words<'a>(data: &'a Path, out: &'a Path) -> Vec<&'a str> {
    let mut words = vec!["fit", text(data), "--preset", "smoke", "--seed", "3", "--out", text(out)];
    words.extend(SMALL);
    words
}

pub(crate) fn fit(data: &Path, out: &Path) -> serde_json::Value {
    json(&words(data, out))
}

#[test]
fn a_table_becomes_a_model_that_writes_tables() {
    let dir = folder();
    let (data, out) = (dir.path().join("trees.csv"), dir.path().join("run"));
    table(&data);
    assert_eq!(fit(&data, &out)["status"], "finished");
    let results: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("results.json")).expect("results"))
            .expect("JSON");
    assert_eq!(results["about"]["rows"], serde_json::json!([144, 16, 40]));
    assert_eq!(results["marginals"].as_array().map(Vec::len), Some(3));
    let page = fs::read_to_string(out.join("report.html")).expect("a page");
    assert!(page.contains("a table of 3 columns") && page.contains("rings"));

    // The checkpoint by itself: rows with the header, whole numbers and names of the data.
    let model = out.join("checkpoints/model.safetensors");
    let drawn = dir.path().join("new.csv");
    let words = ["sample", "--model", text(&model), "--method", "heun", "--steps", "8", "--grid"];
    let words =
        [&words[..], &["karras:rho=7", "--t-end", "0.002", "--n", "30", "--out"], &[text(&drawn)]];
    json(&words.concat());
    let written = fs::read_to_string(&drawn).expect("rows");
    let mut lines = written.lines();
    assert_eq!(lines.next(), Some("height,rings,kind"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 30);
    for row in rows {
        assert!(row[0].parse::<f64>().is_ok() && row[1].parse::<i64>().is_ok(), "{row:?}");
        assert!(["oak", "ash"].contains(&row[2]), "{row:?}");
    }
}

/// A run that is killed in the middle of its training and resumed has the weights and the samples of one that was not, and
/// data that have changed are another run.
#[test]
fn a_killed_fit_goes_on_to_the_same_bits() {
    let dir = folder();
    let data = dir.path().join("trees.csv");
    table(&data);
    let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
    fit(&data, &whole);
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("experiment"))
        .args(words(&data, &cut))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    let checkpoint = cut.join("checkpoints/model.training.safetensors");
    while !checkpoint.is_file() && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().expect("killed");
    child.wait().expect("a child");
    fit(&data, &cut);
    for name in ["checkpoints/model.safetensors", "samples/ode.npy", "samples/sde.npy"] {
        let [a, b] = [&whole, &cut].map(|run| fs::read(run.join(name)).expect(name));
        assert!(a == b, "{name}");
    }
    // Every step is there once, whatever was logged before the kill; seconds are another matter.
    let course = |run: &Path| -> Vec<String> {
        let table = fs::read_to_string(run.join("metrics.csv")).expect("a table");
        let timeless = |line: &str| {
            let cells = line.split(',').enumerate().filter(|(k, _)| *k != 5);
            cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(",")
        };
        table.lines().map(timeless).collect()
    };
    assert_eq!(course(&cut), course(&whole));
    assert!(
        course(&whole).len() > 40 && course(&whole)[0].starts_with("step,loss,dsm,lr,grad-norm")
    );
    let sittings = |run: &Path| fs::read_dir(run.join("tensorboard")).expect("events").count();
    // A child that was done before it was killed leaves nothing to go on with.
    assert!(sittings(&whole) == 1 && (1..=2).contains(&sittings(&cut)));
    let mut changed = fs::read_to_string(&data).expect("rows");
    changed += "2.5,12,oak\n";
    fs::write(&data, changed).expect("written");
    fails(dir.path(), &words(&data, &whole), &["whole"]);
}

/// Images with classes: samples and labels in the units and the shape of the data, pictures, and samples of one class.
#[test]
fn digits_become_a_model_of_images() {
    let dir = folder();
    let out = dir.path().join("run");
    let outcome = json(&["run", "digits", "--preset", "smoke", "--seed", "2", "--out", text(&out)]);
    assert_eq!(outcome["status"], "finished");
    for equation in ["ode", "sde"] {
        let path = |end: &str| out.join(format!("samples/{equation}{end}"));
        let samples = experiments::npy::read(&path(".npy")).expect("samples");
        let labels = experiments::npy::read(&path("_labels.npy")).expect("labels");
        assert_eq!((samples.shape(), labels.shape()), (&[64, 1, 8, 8][..], &[64][..]));
        assert!(samples.iter().all(|v| v.fract() == 0.0 && (0.0..=16.0).contains(v)));
        assert!(labels.iter().all(|v| v.fract() == 0.0 && (0.0..=9.0).contains(v)));
        assert!(path(".png").is_file() && path("-nearest.png").is_file());
    }
    let page = fs::read_to_string(out.join("report.html")).expect("a page");
    assert!(page.contains("8 \u{d7} 8 grey images") && page.contains("bits a dimension"));
    // Sixty-four samples have no covariance of 128 features, and it is said.
    assert!(page.contains("random-conv:seed=0") && page.contains("no full rank"));

    let (model, sheet) = (out.join("checkpoints/model.safetensors"), dir.path().join("threes.png"));
    let draw = |more: &[&'static str]| {
        let words =
            ["sample", "--model", text(&model), "--method", "heun", "--steps", "3", "--grid"];
        let end = ["karras:rho=7", "--t-end", "0.002", "--n", "9", "--out", text(&sheet)];
        [&words[..], &end, more].concat()
    };
    json(&draw(&["--class", "3", "--guidance", "2"]));
    let picture = image::open(&sheet).expect("a picture");
    assert_eq!((picture.width(), picture.height()), (26, 26));
    fails(dir.path(), &draw(&["--class", "ten"]), &["--class ten", "0, 1, 2"]);
    let most = draw(&[]).into_iter().map(|w| if w == "9" { "4000000000000000" } else { w });
    fails(dir.path(), &most.collect::<Vec<_>>(), &["samples"]);
}

#[test]
fn what_cannot_be_fitted_is_one_line() {
    let dir = folder();
    let path = dir.path().join("bad.csv");
    let refused = |content: &str, needles: &[&str]| {
        fs::write(&path, content).expect("written");
        fails(dir.path(), &["fit", text(&path), "--preset", "smoke"], needles);
    };
    refused("a,b\n1,2\n3,\n5,6\n", &["bad.csv", "row 1", "`b`"]);
    refused("a,b\n1,2\n", &["1 rows"]);
    fails(dir.path(), &["fit", "nowhere.csv"], &["nowhere.csv"]);
    let words = ["run", "energy", "--preset", "smoke", "--data", "digits"];
    fails(dir.path(), &words, &["energy takes no data"]);
}

/// What files do not say can be said: which array, which size and colour of pictures.
#[test]
fn what_files_do_not_say_is_said() {
    let dir = folder();
    let photos = dir.path().join("photos");
    fs::create_dir(&photos).expect("a folder");
    for k in 0..40_u8 {
        let side = if k % 2 == 0 { 16 } else { 24 };
        let picture = image::RgbImage::from_fn(side, side, |x, y| {
            image::Rgb([k * 6, (8 * x) as u8, (8 * y) as u8])
        });
        picture.save(photos.join(format!("{k}.png"))).expect("a picture");
    }
    let out = dir.path().join("run");
    let words = ["fit", text(&photos), "--preset", "smoke", "--out", text(&out)];
    fails(dir.path(), &words, &["16", "24"]);
    fails(dir.path(), &[&words[..], &["--size", "8x"]].concat(), &["8x", "32x32"]);
    let told = ["--size", "8x8", "--colour", "grey", "--set", "training.steps=30", "--set"];
    json(&[&words[..], &told, &["sampling.n=20"]].concat());
    let samples = experiments::npy::read(&out.join("samples/ode.npy")).expect("samples");
    assert_eq!(samples.shape(), [20, 1, 8, 8]);

    let archive = dir.path().join("two.npz");
    let mut writer = ndarray_npy::NpzWriter::new(fs::File::create(&archive).expect("a file"));
    for name in ["moons", "circles"] {
        let rows = ndarray::Array2::from_shape_fn((40, 2), |(i, j)| ((3 * i + j) as f64).sin());
        writer.add_array(name, &rows).expect("rows");
    }
    writer.finish().expect("an archive");
    let fitted = |out: &str, more: &[&str]| -> serde_json::Value {
        let out = dir.path().join(out);
        let words = ["fit", text(&archive), "--preset", "smoke", "--out", text(&out)];
        json(&[&words[..], &SMALL, more].concat());
        let results = fs::read(out.join("results.json")).expect("results");
        serde_json::from_slice(&results).expect("JSON")
    };
    let about = &fitted("both", &[])["about"];
    assert_eq!(about["classes"], serde_json::json!(["circles", "moons"]));
    let about = &fitted("moons", &["--array", "moons"])["about"];
    assert_eq!(
        (about["classes"].as_array().map(Vec::len), &about["rows"]),
        (Some(0), &serde_json::json!([29, 3, 8]))
    );
    let words = ["fit", text(&archive), "--array", "spirals"];
    fails(dir.path(), &words, &["spirals", "circles, moons"]);
}
