//! Rows of one file as rows of the kind of another.

use data::{Column, Dataset, Kind, Labels, Pixels, Transform, TransformOptions, open_as, save};
use ndarray::{Array2, array};
use sde_core::Key;

use crate::support::{Folder, open, refused};

fn trees() -> Kind {
    let names = ["ash", "oak"].map(String::from).to_vec();
    let columns =
        vec![Column::float("height"), Column::integer("rings"), Column::categories("tree", names)];
    Kind::Table { columns }
}

#[test]
fn columns_go_by_name_and_types_are_those_of_the_kind() {
    let folder = Folder::new();
    // Heights that happen to be whole, in another order; one of the two categories.
    let path = folder.file("a.csv", "rings,tree,height\n3,oak,1\n4,oak,2\n");
    let data = open_as(&path, &trees(), &[]).expect("rows");
    assert_eq!(data.kind(), &trees());
    assert_eq!(data.to_array().expect("rows"), array![[1.0, 3.0, 1.0], [2.0, 4.0, 1.0]]);
    // Names that look like numbers stay names.
    let codes =
        Kind::Table { columns: vec![Column::categories("code", vec!["1".into(), "x".into()])] };
    let path = folder.file("codes.csv", "code\n1\nx\n");
    assert_eq!(
        open_as(&path, &codes, &[]).expect("rows").to_array().expect("rows"),
        array![[0.0], [1.0]]
    );
    // An array has no names: the places count.
    let path = folder.path("a.npy");
    save(&path, &trees(), array![[1.5, 3.0, 1.0]].view(), None).expect("written");
    assert_eq!(
        open_as(&path, &trees(), &[]).expect("rows").to_array().expect("rows"),
        array![[1.5, 3.0, 1.0]]
    );
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = Folder::new();
    let refuse = |text: &str, needles: &[&str]| {
        refused(open_as(&folder.file("bad.csv", text), &trees(), &["label"]), needles);
    };
    refuse("height,rings\n1,2\n", &["bad.csv", "no column `tree`"]);
    refuse("height,rings,tree,id\n1,2,oak,7\n", &["bad.csv", "column `id`", "height, rings, tree"]);
    refuse("height,rings,tree\n1,2,oak\n1,2,elm\n", &["row 1", "column tree", "`elm`", "ash, oak"]);
    refuse("height,rings,tree\n1,2.5,oak\n", &["row 0", "column rings", "2.5"]);
    refuse("height,rings,tree\ntall,2,oak\n", &["row 0", "column height", "`tall` is no number"]);
    let path = folder.path("wide.npy");
    let wide = Kind::Table { columns: (0..4).map(|i| Column::float(format!("c{i}"))).collect() };
    save(&path, &wide, Array2::zeros((1, 4)).view(), None).expect("written");
    refused(open_as(&path, &trees(), &[]), &["wide.npy", "no column `height`"]);
    let images = Kind::Images { channels: 1, height: 2, width: 3, pixels: Pixels::Levels(17) };
    refused(open_as(&path, &images, &[]), &["wide.npy", "2x3 grey"]);
    let other = Kind::Images { channels: 3, height: 2, width: 3, pixels: Pixels::Levels(17) };
    let folder_of = folder.path("pictures");
    save(&folder_of, &images, Array2::zeros((2, 6)).view(), None).expect("written");
    refused(open_as(&folder_of, &other, &[]), &["pictures", "grey", "RGB"]);
}

#[test]
fn classes_are_found_and_renamed() {
    let folder = Folder::new();
    let path = folder.file("a.csv", "height,rings,tree,label\n1,2,oak,old\n2,3,ash,new\n");
    let data = open_as(&path, &trees(), &["label"]).expect("rows");
    let labels = data.labels().expect("classes");
    assert_eq!(labels.classes, ["new", "old"]);
    let classes = ["older", "old", "new"].map(String::from);
    assert_eq!(labels.among(&classes).expect("classes").of, [1, 2]);
    refused(labels.among(&classes[..2]), &["row 1", "`new`", "older, old"]);
    let numbered = Labels { of: vec![0], classes: vec!["7".into()] };
    assert_eq!(numbered.among(&["0".into(), "7".into()]).expect("classes").of, [1]);
}

/// Pictures of few levels are stretched when written, and come back as they were; other values are no levels.
#[test]
fn pictures_come_back_as_levels() {
    let folder = Folder::new();
    for n in [2_u32, 17, 100, 256, 1000] {
        let kind = Kind::Images { channels: 1, height: 4, width: 5, pixels: Pixels::Levels(n) };
        let mut u = vec![0.0; 60];
        Key::root(u64::from(n)).fill_uniforms(0, &mut u);
        let rows = Array2::from_shape_fn((3, 20), |(i, j)| (u[20 * i + j] * f64::from(n)).floor());
        let path = folder.path(&format!("levels{n}"));
        save(&path, &kind, rows.view(), None).expect("written");
        let back = open_as(&path, &kind, &[]).expect("rows");
        assert_eq!((back.kind(), back.to_array().expect("rows")), (&kind, rows), "{n}");
    }
    let full = Kind::Images { channels: 1, height: 1, width: 2, pixels: Pixels::Levels(256) };
    let path = folder.path("full.png");
    save(&path, &full, array![[255.0, 37.0]].view(), None).expect("written");
    let few = Kind::Images { channels: 1, height: 1, width: 2, pixels: Pixels::Levels(17) };
    refused(open_as(&path, &few, &[]), &["full.png", "row 0", "x 1", "37"]);
}

/// Where a coordinate is, and its shift and scale, is what the transform does with rows.
#[test]
fn coordinates_are_those_of_the_transform() {
    let Kind::Table { mut columns } = trees() else { panic!("a table") };
    columns.insert(1, Column::float("same"));
    let rows = array![[0.3, 7.0, 3.0, 0.0], [1.3, 7.0, 9.0, 1.0], [0.9, 7.0, 4.0, 0.0]];
    let data = Dataset::table(columns, rows.clone(), "made up").expect("rows");
    let transform = Transform::fit(&data, &TransformOptions::default()).expect("a transform");
    let z = transform.to_model(rows.view(), Key::root(1), 0).expect("rows");
    let places: Vec<_> = (0..4).map(|i| transform.coordinates(i)).collect();
    assert_eq!(places.iter().map(|p| p.range.len()).collect::<Vec<_>>(), [1, 0, 1, 2]);
    for (z, x) in z.rows().into_iter().zip(rows.rows()) {
        for (i, place) in places.iter().enumerate() {
            for k in place.range.clone() {
                let y = z[k] * place.scale + place.shift;
                let of = if place.one_hot {
                    f64::from((k - place.range.start) as f64 == x[i])
                } else {
                    x[i]
                };
                let rest = y - of;
                let fits = if place.dequantised {
                    (0.0..=1.0).contains(&rest)
                } else {
                    rest.abs() < 1e-12
                };
                assert!(fits, "column {i}: {y} of {of}");
            }
        }
    }
    let total: f64 = places.iter().map(|p| -p.scale.ln() * p.range.len() as f64).sum();
    assert!((total - transform.log_abs_det()).abs() < 1e-12);
    let digits =
        Transform::fit(&data::digits(), &TransformOptions::default()).expect("a transform");
    assert_eq!(digits.coordinates(37).range, 37..38);
}

/// The levels are those of the file that was fitted: what came through single precision is one again, others are refused.
#[test]
fn levels_of_another_file_are_those_of_the_first() {
    let folder = Folder::new();
    let text = |values: &[f64]| {
        let rows: String = values.iter().map(|v| format!("{v},{v}\n")).collect();
        format!("speed,gust\n{rows}")
    };
    let values: Vec<f64> = (0..300).map(|k| [-0.1901, 0.0, 0.6457][k % 3]).collect();
    let path = folder.file("rows.csv", text(&values));
    let data = open(&path).expect("rows").with_levels(&["gust".into()]).expect("levels");
    refused(open(&path).expect("rows").with_levels(&["wind".into()]), &["no column `wind`"]);
    let Kind::Table { columns } = data.kind().clone() else { panic!("a table") };
    let expected = [Column::levels("speed", vec![-0.1901, 0.0, 0.6457]), Column::float("gust")];
    assert_eq!(columns, expected);
    assert_eq!(open_as(&path, data.kind(), &[]).expect("rows").kind(), data.kind());
    let saved = folder.path("saved.csv");
    save(&saved, data.kind(), data.to_array().expect("rows").view(), None).expect("written");
    let back = open_as(&saved, data.kind(), &[]).expect("rows");
    assert_eq!(back.to_array().expect("rows"), data.to_array().expect("rows"));
    let single = folder.file("single.csv", text(&[f64::from(0.6457_f32), f64::from(-0.1901_f32)]));
    let rows = open_as(&single, data.kind(), &[]).expect("rows").to_array().expect("rows");
    assert_eq!(rows.column(0), array![0.6457, -0.1901]);
    let other = folder.file("other.csv", text(&[0.0, 0.25]));
    let words = ["other.csv", "row 1, column speed", "0.25 is none", "nearest are 0 and 0.6457"];
    refused(open_as(&other, data.kind(), &[]), &words);
}

/// Few rows for each value, or many values, are real numbers.
#[test]
fn columns_of_many_values_stay_as_they_are() {
    for (n, different) in [(99, 2), (49 * 60, 60), (129 * 60, 129), (50, 1)] {
        let rows = Array2::from_shape_fn((n, 1), |(k, _)| (k % different) as f64 / 8.0);
        let data = Dataset::table(vec![Column::float("x")], rows, "made up").expect("rows");
        assert_eq!(data.clone().with_levels(&[]).expect("rows"), data, "{n} rows, {different}");
    }
    let rows = Array2::from_shape_fn((100, 1), |(k, _)| (k % 2) as f64 / 8.0);
    let data = Dataset::table(vec![Column::float("x")], rows, "made up").expect("rows");
    assert_ne!(data.clone().with_levels(&[]).expect("rows"), data);
}
