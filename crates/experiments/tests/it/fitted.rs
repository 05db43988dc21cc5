//! A fitted checkpoint by itself: densities, latents, distances and conditional samples in the units of the data.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use sde_core::Key;

use crate::support::{fails, folder, json, text};

/// A table of a real column, a whole one that depends on it, one of names, and a class.
pub(crate) fn table(path: &Path) {
    let n = 200;
    let (mut z, mut u) = (vec![0.0; n], vec![0.0; n]);
    Key::root(1).fill_normals(0, &mut z);
    Key::root(2).fill_uniforms(0, &mut u);
    let mut text = String::from("height,rings,kind,age\n");
    for (z, u) in z.iter().zip(&u) {
        let kind = if *u < 0.3 { "oak" } else { "ash" };
        let age = if *z < 0.0 { "young" } else { "old" };
        let rings = (10.0 + 3.0 * z + 2.0 * u).round();
        text += &format!("{:.4},{rings},{kind},{age}\n", 2.0 + 0.3 * z);
    }
    fs::write(path, text).expect("written");
}

/// The data and the checkpoint of a fit of a second or two.
fn trees(dir: &Path) -> (PathBuf, PathBuf) {
    let (data, out) = (dir.join("trees.csv"), dir.join("run"));
    table(&data);
    let words =
        ["fit", text(&data), "--preset", "smoke", "--labels", "age", "--seed", "3", "--out"];
    let small =
        ["--set", "training.steps=60", "--set", "measuring.likelihood=4", "--set", "sampling.n=20"];
    json(&[&words[..], &[text(&out)], &small].concat());
    (data, out.join("checkpoints/model.safetensors"))
}

fn lines(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).expect("rows");
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Latents lead back to the rows; densities are finite, change with the class, and are the same whatever the order of columns;
/// what does not fit is one line that says where.
#[test]
fn a_table_goes_to_latents_and_back() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    let (data, model) = trees(dir.path());
    let few = path("few.csv");
    let all = lines(&data);
    let rows: Vec<String> = all[..21].iter().map(|row| row.join(",")).collect();
    fs::write(&few, rows.join("\n")).expect("written");

    let (latents, back) = (path("z.npy"), path("back.csv"));
    let steps = ["--rtol", "1e-8", "--class-of", text(&few)];
    let encode =
        ["encode", "--model", text(&model), "--points", text(&few), "--out", text(&latents)];
    let report = json(&[&encode[..], &steps].concat());
    // The category is two coordinates of the model.
    assert_eq!((report["n"].as_u64(), report["dim"].as_u64()), (Some(20), Some(4)));
    let decode =
        ["decode", "--model", text(&model), "--latents", text(&latents), "--out", text(&back)];
    json(&[&decode[..], &steps].concat());
    let found = lines(&back);
    assert_eq!(found[0], ["height", "rings", "kind", "label"]);
    for (found, row) in found[1..].iter().zip(&all[1..]) {
        assert_eq!(found[1..], row[1..]);
        let number = |row: &[String]| row[0].parse::<f64>().expect("a number");
        assert!((number(found) - number(row)).abs() < 1e-5, "{found:?} {row:?}");
    }

    let density = |name: &str, points: &Path, more: &[&str]| -> Vec<f64> {
        let out = path(name);
        let words =
            ["logp", "--model", text(&model), "--points", text(points), "--out", text(&out)];
        json(&[&words[..], &["--steps", "8"], more].concat());
        let column = lines(&out);
        assert_eq!(column[0], ["log_density"]);
        column[1..].iter().map(|row| row[0].parse().expect("a number")).collect()
    };
    let plain = density("plain.csv", &few, &[]);
    assert!(plain.len() == 20 && plain.iter().all(|v| v.is_finite()));
    let young = density("young.csv", &few, &["--class", "young"]);
    assert!(young.iter().zip(&plain).any(|(a, b)| (a - b).abs() > 1e-6));
    let (other, swapped) =
        (path("swapped.csv"), |row: &Vec<String>| format!("{},{},{}", row[2], row[0], row[1]));
    fs::write(&other, all[..21].iter().map(swapped).collect::<Vec<_>>().join("\n"))
        .expect("written");
    assert_eq!(density("other.csv", &other, &[]), plain);

    refused_rows(dir.path(), &model);
}

/// What does not fit a model of trees is one line that says where.
fn refused_rows(dir: &Path, model: &Path) {
    let bad = dir.join("bad.csv");
    let refused = |content: &str, needles: &[&str]| {
        fs::write(&bad, content).expect("written");
        for command in ["logp", "encode"] {
            let words = [command, "--model", text(model), "--points", "bad.csv", "--out", "o.npy"];
            fails(dir, &words, &[&["bad.csv"], needles].concat());
        }
    };
    refused("height,rings\n1,2\n", &["no column `kind`"]);
    refused(
        "height,rings,kind\n2,10,oak\n2,10,elm\n",
        &["row 1", "column kind", "`elm`", "ash, oak"],
    );
    refused("height,rings,kind\n2,10.5,oak\n", &["row 0", "column rings", "10.5"]);
    let words = ["logp", "--model", text(model), "--points", "trees.csv", "--out", "o.npy"];
    fails(dir, &[&words[..], &["--class", "ancient"]].concat(), &["ancient", "old, young"]);
    fails(dir, &[&words[..], &["--method", "identity"]].concat(), &["--method identity"]);
    fails(
        dir,
        &[&words[..], &["--class-of", "few.csv"]].concat(),
        &["few.csv: 20 rows, expected 200"],
    );
}

/// Samples keep what is known of them by every method, beside a class and guidance.
#[test]
fn columns_are_given_by_name() {
    let dir = folder();
    let (_, model) = trees(dir.path());
    let out = dir.path().join("new.csv");
    let words =
        ["sample", "--model", text(&model), "--n", "6", "--steps", "10", "--out", text(&out)];
    let given = ["--given", "rings=12", "--given", "kind=oak"];
    let methods = ["replacement", "repaint", "dps", "pigdm", "ddrm", "ddnm", "smc"];
    for by in methods {
        let report = json(&[&words[..], &given, &["--by", by]].concat());
        assert_eq!(
            (report["control"]["by"].as_str(), report["control"]["columns"].as_u64()),
            (Some(by), Some(2))
        );
        let missed = report["control"]["missed"].as_f64().expect("a number");
        let bound = if by == "ddnm" || by == "replacement" { 0.05 } else { 5.0 };
        assert!(missed < bound, "{by}: {missed}");
        let rows = lines(&out);
        assert_eq!((rows[0].len(), rows.len()), (3, 7));
        assert!(rows[1..].iter().all(|row| row[1] == "12" && row[2] == "oak"), "{by}: {rows:?}");
        assert!(rows[1..].iter().any(|row| row[0] != rows[1][0]), "{by}: {rows:?}");
    }
    let guided = ["--class", "old", "--guidance", "1.5", "--particles", "3"];
    let report = json(&[&words[..], &given, &guided].concat());
    let control = &report["control"];
    assert_eq!((control["by"].as_str(), control["particles"].as_u64()), (Some("smc"), Some(3)));
    let number = |key: &str| control[key].as_f64().expect(key);
    assert!(number("effective") >= 1.0 - 1e-9 && number("effective") <= 3.0 + 1e-9, "{control}");
    assert!(number("least_effective") <= number("effective") + 1e-9, "{control}");
    assert!(control["log_evidence"][0].as_f64().is_some_and(f64::is_finite), "{control}");
    assert!(lines(&out)[1..].iter().all(|row| row[1..] == ["12", "oak", "old"]));
    // With noise the values are about what was seen, and not that.
    json(&[&words[..], &["--given", "height=2.1", "--noise", "0.1", "--by", "tmpd"]].concat());
    assert_eq!(lines(&out).len(), 7);
    json(&[&words[..], &["--given", "height=2.1", "--noise", "0.01"]].concat());
    let heights: Vec<f64> =
        lines(&out)[1..].iter().map(|row| row[0].parse().expect("a number")).collect();
    assert!(heights.iter().all(|h| (h - 2.1).abs() < 0.2 && *h != 2.1), "{heights:?}");

    let refused = |more: &[&str], needles: &[&str]| {
        fails(dir.path(), &[&words[..], more].concat(), needles);
    };
    refused(&["--given", "width=1"], &["--given width=1", "height, rings, kind"]);
    refused(&["--given", "kind=elm"], &["`elm`", "ash, oak"]);
    refused(&["--given", "rings=12.5"], &["--given rings=12.5", "whole"]);
    refused(&["--given", "rings=1", "--given", "rings=2"], &["twice"]);
    refused(&["--given", "kind=oak", "--noise", "0.1"], &["kind holds names"]);
    refused(&["--noise", "0.1"], &["--noise needs"]);
    refused(&["--given", "rings=12", "--by", "tmpd"], &["--by tmpd needs --noise"]);
    refused(&["--guidance", "2"], &["--guidance 2 needs --class"]);
    refused(
        &["--given", "rings=12", "--by", "ddrm", "--method", "heun"],
        &["ddrm", "steps of its own"],
    );
    refused(
        &["--given", "rings=12", "--by", "pigdm", "--particles", "4"],
        &["--particles", "pigdm"],
    );
}

/// Images: bits a dimension, a folder of pictures as points, and the lower half filled in.
#[test]
fn images_are_filled_in() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    let run = path("run");
    let words =
        ["run", "digits", "--preset", "smoke", "--set", "sampling.n=10", "--seed", "2", "--out"];
    json(&[&words[..], &[text(&run)]].concat());
    let model = run.join("checkpoints/model.safetensors");
    let pictures = path("pictures");
    let sample = ["sample", "--model", text(&model), "--steps", "4"];
    json(&[&sample[..], &["--n", "4", "--out", text(&pictures)]].concat());
    let out = path("bits.npy");
    let logp = ["logp", "--model", text(&model), "--points", text(&pictures), "--out", text(&out)];
    let report = json(
        &[&logp[..], &["--steps", "3", "--method", "flow-hutchinson", "--probes", "12"]].concat(),
    );
    let bits = &report["bits_per_dim"];
    assert_eq!(bits["levels"].as_u64(), Some(17));
    assert!(
        bits["value"].as_f64().is_some_and(f64::is_finite)
            && bits["standard_error"].as_f64() > Some(0.0)
    );
    let table = experiments::npy::read_rows(&out).expect("a table");
    assert_eq!(table.dim(), (4, 3));
    for row in table.rows() {
        // Nats of a density in levels: no offset is left.
        assert!((row[2] + row[0] / 64.0 / 2.0_f64.ln()).abs() < 1e-9);
    }

    // The upper half of two images, three samples of each; the rest of the values is not looked at.
    let digits = data::digits();
    let (mask, values) = (path("mask.npy"), path("y.npy"));
    let known = |j: usize| j < 32;
    let of_mask = Array2::from_shape_fn((8, 8), |(y, x)| f64::from(known(8 * y + x)));
    crate::support::save_rows(&mask, &of_mask);
    let rows = digits.rows(3, 2).expect("rows");
    let y = Array2::from_shape_fn((2, 64), |(i, j)| if known(j) { rows[[i, j]] } else { f64::NAN });
    crate::support::save_rows(&values, &y);
    let filled = path("filled.npy");
    let given =
        ["--condition", text(&mask), "--values", text(&values), "--n", "6", "--out", text(&filled)];
    for more in
        [&["--particles", "2"][..], &["--by", "replacement", "--class", "3", "--guidance", "1.5"]]
    {
        json(&[&sample[..], &given, more].concat());
        let found = experiments::npy::read(&filled).expect("images");
        assert_eq!(found.shape(), [6, 1, 8, 8]);
        for (k, v) in found.iter().enumerate() {
            let (i, j) = (k / 64, k % 64);
            assert!(!known(j) || *v == rows[[i / 3, j]], "{k}: {v}");
            assert!(v.fract() == 0.0 && (0.0..=16.0).contains(v));
        }
    }
    let odd: Vec<&str> = given.iter().map(|w| if *w == "6" { "5" } else { *w }).collect();
    fails(dir.path(), &[&sample[..], &odd].concat(), &["--n 5", "2 rows"]);
    let column = ["--n", "1", "--out", "o.npy", "--given", "x=1"];
    fails(dir.path(), &[&sample[..], &column].concat(), &["--given is for tables"]);
    let points = ["logp", "--model", text(&model), "--points", "y.npy", "--out", "o.npy"];
    fails(dir.path(), &points, &["y.npy"]);
}

/// Distances of data files: names of categories, order of columns and classes are seen to.
#[test]
fn distances_of_data_files() {
    let dir = folder();
    let write =
        |name: &str, content: &str| fs::write(dir.path().join(name), content).expect("written");
    write("a.csv", "x,kind\n0,oak\n0,oak\n");
    write("b.csv", "kind,x,label\nash,0,1\noak,2,1\n");
    let path = |name: &str| dir.path().join(name);
    let found = json(&["metric", "w1", text(&path("a.csv")), text(&path("b.csv"))]);
    // One row is 1 apart by its name, the other 2 by its number.
    assert!(found["value"].as_f64().is_some_and(|v| (v - 1.5).abs() < 1e-12), "{found}");
    write("c.csv", "x,kind\n0,elm\n0,yew\n");
    fails(dir.path(), &["metric", "w1", "a.csv", "c.csv"], &["a.csv", "`oak`", "elm, yew"]);
    write("d.csv", "x\n1\n");
    fails(dir.path(), &["metric", "w1", "a.csv", "d.csv"], &["d.csv", "no column `kind`"]);
    let images = |name: &str, size: usize| {
        let kind = data::Kind::Images {
            channels: 1,
            height: size,
            width: size,
            pixels: data::Pixels::Levels(256),
        };
        let rows = Array2::from_shape_fn((2, size * size), |(i, _)| i as f64);
        data::save(&path(name), &kind, rows.view(), None).expect("written");
    };
    images("small", 2);
    images("large", 3);
    let found = json(&["metric", "w2", text(&path("small")), text(&path("small"))]);
    assert_eq!(found["value"].as_f64(), Some(0.0));
    fails(dir.path(), &["metric", "w2", "small", "large"], &["large", "3x3", "2x2"]);
    // Levels of an array are not those that a picture stretches them to.
    fails(dir.path(), &["metric", "w2", "large", "digits"], &["8x8", "3x3"]);
    images("eight", 8);
    fails(
        dir.path(),
        &["metric", "w2", "eight", "digits"],
        &["digits", "largest value is 16", "pictures"],
    );
}
