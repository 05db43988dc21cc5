//! To a model and back.

use std::sync::Arc;

use data::{
    Categories, Column, ColumnValues, Dataset, Draws, ImageScale, Kind, Pixels, Transform,
    TransformOptions, Values,
};
use ndarray::{Array2, ArrayView2, Axis, array};
use proptest::prelude::*;
use sde_core::Key;

use crate::support::refused;

fn letters() -> Vec<String> {
    ["a", "b", "c"].map(String::from).to_vec()
}

const LEVELS: [f64; 4] = [-0.75, 0.1, 0.3, 12.0];

fn mixed(n: usize, key: Key) -> Dataset {
    let columns = vec![
        Column::float("x"),
        Column::integer("count"),
        Column::categories("letter", letters()),
        Column::float("same"),
        Column::integer("large"),
        Column::levels("level", LEVELS.to_vec()),
    ];
    let mut u = vec![0.0; n * 5];
    key.fill_uniforms(0, &mut u);
    let rows = Array2::from_shape_fn((n, 6), |(i, j)| match j {
        0 => 1e3 + u[5 * i],
        1 => (u[5 * i + 1] * 9.0).floor() - 4.0,
        2 => (u[5 * i + 2] * 3.0).floor(),
        3 => -2.5,
        4 => (u[5 * i + 3] * 1e12).floor(),
        _ => LEVELS[(u[5 * i + 4] * 4.0) as usize],
    });
    Dataset::table(columns, rows, "mixed").expect("rows")
}

/// Whole numbers, categories and levels with noise come back bit for bit, real ones to rounding.
fn assert_round_trip(data: &Dataset, transform: &Transform, key: Key) {
    let x = data.to_array().expect("rows");
    let z = transform.to_model(x.view(), key, 0).expect("maps");
    let back = transform.from_model(z.view()).expect("back");
    for ((i, j), v) in x.indexed_iter() {
        let exact = match data.kind() {
            Kind::Table { columns } => match columns[j].values {
                ColumnValues::Float => false,
                ColumnValues::Levels(_) => transform.coordinates(j).dequantised,
                _ => true,
            },
            Kind::Images { pixels, .. } => matches!(pixels, Pixels::Levels(_)),
            _ => false,
        };
        let slack = if exact { 0.0 } else { 1e-12 * v.abs().max(1.0) };
        assert!((back[[i, j]] - v).abs() <= slack, "({i}, {j}): {v} came back as {}", back[[i, j]]);
    }
}

#[test]
fn tables_come_back() {
    let data = mixed(300, Key::root(1));
    for dequantise in [true, false] {
        for standardise in [true, false] {
            for categories in [Categories::OneHot, Categories::Ordinal] {
                let options =
                    TransformOptions { dequantise, standardise, categories, ..Default::default() };
                let transform = Transform::fit(&data, &options).expect("fits");
                let letters = if categories == Categories::OneHot { 3 } else { 1 };
                assert_eq!((transform.data_dim(), transform.model_dim()), (6, 4 + letters));
                assert_eq!(transform.constants(), [("same".to_owned(), -2.5)]);
                assert_round_trip(&data, &transform, Key::root(2));
                let text = serde_json::to_string(&transform).expect("JSON");
                let read: Transform = serde_json::from_str(&text).expect("a transform");
                assert_eq!(read, transform);
            }
        }
    }
}

#[test]
fn standardised_columns_have_mean_0_and_variance_1() {
    let data = mixed(20_000, Key::root(3));
    let transform = Transform::fit(&data, &TransformOptions::default()).expect("fits");
    let x = data.to_array().expect("rows");
    let z = transform.to_model(x.view(), Key::root(4), 0).expect("maps");
    for j in [0, 1, 5, 6] {
        let column = z.column(j);
        // The noise on whole numbers is drawn: five standard errors of 20 000 rows.
        assert!(column.mean().expect("rows").abs() < 5.0 / 20_000_f64.sqrt(), "column {j}");
        assert!((column.var(0.0) - 1.0).abs() < 5.0 * (2.0 / 20_000_f64).sqrt(), "column {j}");
    }
}

/// `log |det dz/dx|` of the affine map against differences of it.
#[test]
fn the_determinant_is_that_of_the_map() {
    let columns = vec![Column::float("x"), Column::float("y"), Column::integer("k")];
    let rows = array![[0.5, 100.0, 3.0], [1.5, 700.0, 5.0], [0.25, -40.0, 4.0]];
    let data = Dataset::table(columns, rows.clone(), "rows").expect("rows");
    let transform = Transform::fit(&data, &TransformOptions::default()).expect("fits");
    let key = Key::root(5);
    let z = |x: ArrayView2<'_, f64>| transform.to_model(x, key, 0).expect("maps");
    let mut sum = 0.0;
    for j in 0..3 {
        let mut moved = rows.clone();
        moved[[0, j]] += 1.0;
        // The noise is of the row, so it is the same, and the map of a column touches no other.
        let difference = z(moved.view()) - z(rows.view());
        sum += difference[[0, j]].ln();
        assert!(difference.iter().filter(|d| **d != 0.0).count() == 1);
    }
    assert!((transform.log_abs_det() - sum).abs() < 1e-12, "{sum}");
}

/// A level is where its place among the levels is, and what is drawn beyond the ends is an end.
#[test]
fn levels_are_at_their_places() {
    let rows = Array2::from_shape_fn((40, 1), |(i, _)| LEVELS[i % 4]);
    let columns = vec![Column::levels("level", LEVELS.to_vec())];
    let data = Dataset::table(columns, rows.clone(), "levels").expect("rows");
    let transform = Transform::fit(&data, &TransformOptions::default()).expect("fits");
    let place = transform.coordinates(0);
    // Places 0 to 3, each as often as the others, with noise: mean 2 and variance 5/4 + 1/12 = 16/12.
    assert!(
        (place.shift - 2.0).abs() < 1e-14 && (place.scale - (4.0_f64 / 3.0).sqrt()).abs() < 1e-14
    );
    for (k, level) in LEVELS.iter().enumerate() {
        let middle = (k as f64 + 0.5 - place.shift) / place.scale;
        assert!((place.middle(*level) - middle).abs() < 1e-14);
        let back = transform.from_model(array![[middle]].view()).expect("back");
        assert_eq!(back[[0, 0]], *level);
    }
    // Halfway between two levels is halfway between their places; three places in 12.75.
    assert!((place.middle(0.2) - 0.5 * (place.middle(0.1) + place.middle(0.3))).abs() < 1e-14);
    let wide = ((0.5_f64 * 3.0 / 12.75).powi(2) + 1.0 / 12.0).sqrt() / place.scale;
    assert!((place.deviation(0.5) - wide).abs() < 1e-14);
    let ends = transform.from_model(array![[-9.0], [9.0]].view()).expect("back");
    assert_eq!(ends, array![[-0.75], [12.0]]);
    // Uniform on four cells of volume 1: two bits.
    assert!((transform.bits_per_dim(-4.0_f64.ln() - transform.log_abs_det()) - 2.0).abs() < 1e-14);
    // Without noise they are the numbers that they are.
    let plain = TransformOptions { dequantise: false, standardise: false, ..Default::default() };
    let plain = Transform::fit(&data, &plain).expect("fits");
    assert_eq!(plain.to_model(rows.view(), Key::root(0), 0).expect("maps"), rows);
    // Of one level alone the column is constant.
    let same = data.select(&[1, 5]).expect("rows");
    refused(Transform::fit(&same, &TransformOptions::default()), &["every column", "level is 0.1"]);
}

/// A categorical column of two equally likely values has one bit, however it is coded: the model's density is known.
#[test]
fn bits_of_a_known_law() {
    let columns = vec![Column::categories("coin", vec!["heads".into(), "tails".into()])];
    let rows = array![[0.0], [1.0], [1.0], [0.0]];
    let data = Dataset::table(columns, rows.clone(), "coins").expect("rows");
    for categories in [Categories::OneHot, Categories::Ordinal] {
        let options = TransformOptions { categories, ..Default::default() };
        let transform = Transform::fit(&data, &options).expect("fits");
        // Uniform on two cells of volume 1 in the units of the data.
        let log_density = -2.0_f64.ln() - transform.log_abs_det();
        assert!((transform.bits_per_dim(log_density) - 1.0).abs() < 1e-14);
    }
}

fn image(values: Array2<u8>, levels: u32) -> Dataset {
    let d = values.ncols();
    let pixels = Pixels::Levels(levels);
    let kind = Kind::Images { channels: 1, height: 1, width: d, pixels };
    Dataset::new(kind, Values::Bytes(values), "images").expect("images")
}

#[test]
fn images_have_the_usual_offsets() {
    let data = image(Array2::from_shape_fn((2, 256), |(_, j)| j as u8), 256);
    let with = |images, dequantise| {
        let options = TransformOptions { images, dequantise, ..Default::default() };
        Transform::fit(&data, &options).expect("fits")
    };
    let x = data.to_array().expect("pixels");
    for (images, ends, offset) in
        [(ImageScale::ZeroToOne, (0.0, 1.0), 8.0), (ImageScale::MinusOneToOne, (-1.0, 1.0), 7.0)]
    {
        let transform = with(images, true);
        assert!((transform.bits_offset() - offset).abs() < 1e-12, "{}", images.name());
        let z = transform.to_model(x.view(), Key::root(1), 0).expect("maps");
        assert!(z.iter().all(|z| ends.0 < *z && *z < ends.1));
        assert_round_trip(&data, &transform, Key::root(1));
        let plain = with(images, false).to_model(x.view(), Key::root(1), 0).expect("maps");
        assert_eq!((plain[[0, 0]], plain[[0, 255]]), ends);
        assert_round_trip(&data, &with(images, false), Key::root(1));
        // Beyond the ends there is no level.
        let beyond = Array2::from_elem((1, 256), 1.7);
        assert_eq!(
            transform.from_model(beyond.view()).expect("back"),
            Array2::from_elem((1, 256), 255.0)
        );
    }
    let standard = with(ImageScale::Standardised, true);
    // Uniform on [0, 256): deviation 256 / sqrt(12).
    assert!((standard.bits_offset() - (256.0 / 12.0_f64.sqrt()).log2()).abs() < 1e-12);
    assert_round_trip(&data, &standard, Key::root(2));
    for scale in ImageScale::ALL {
        assert_eq!(ImageScale::parse(scale.name()).expect("its name"), *scale);
    }
    refused(ImageScale::parse("0..2"), &["`0..2`", "-1..1, 0..1, standardised"]);
}

#[test]
fn what_a_transform_cannot_take_is_named() {
    let data = mixed(50, Key::root(6));
    let transform = Transform::fit(&data, &TransformOptions::default()).expect("fits");
    let mut x = data.to_array().expect("rows");
    let to = |x: &Array2<f64>| transform.to_model(x.view(), Key::root(0), 0);
    for (column, value, needles) in [
        (0, f64::NAN, ["row 7, column x", "NaN"]),
        (1, 0.5, ["row 7, column count", "0.5 is no whole number"]),
        (2, 3.0, ["row 7, column letter", "3 is no index of 3 categories"]),
        (3, -2.0, ["row 7, column same", "-2, where the data that were fitted have -2.5"]),
        (
            5,
            0.2,
            [
                "row 7, column level",
                "0.2 is none of the column's 4 values; the nearest are 0.1 and 0.3",
            ],
        ),
        (
            5,
            13.0,
            ["row 7, column level", "13 is none of the column's 4 values; the nearest is 12"],
        ),
    ] {
        let old = std::mem::replace(&mut x[[7, column]], value);
        refused(to(&x), &needles);
        x[[7, column]] = old;
    }
    refused(to(&x.select(Axis(1), &[0, 1])), &["rows of 2 numbers, expected 6"]);
    let z = Array2::zeros((2, 3));
    refused(transform.from_model(z.view()), &["rows of 3 numbers", "7"]);
    let mut z = Array2::zeros((2, 7));
    z[[1, 6]] = f64::NAN;
    refused(transform.from_model(z.view()), &["row 1, column level", "NaN"]);
    z[[1, 6]] = 0.0;
    z[[1, 3]] = f64::INFINITY;
    refused(transform.from_model(z.view()), &["row 1, column letter", "inf"]);
    let same =
        Dataset::table(vec![Column::float("x")], array![[2.0], [2.0]], "same").expect("rows");
    refused(Transform::fit(&same, &TransformOptions::default()), &["every column", "x is 2"]);
    let wide = array![[-1.7e308], [1.7e308]];
    let wide = Dataset::table(vec![Column::float("x")], wide, "wide").expect("rows");
    refused(
        Transform::fit(&wide, &TransformOptions::default()),
        &["column x", "1.7e308", "too wide"],
    );
    let close = array![[0.0], [1e-310]];
    let close = Dataset::table(vec![Column::float("x")], close, "close").expect("rows");
    refused(
        Transform::fit(&close, &TransformOptions::default()),
        &["column x", "e-311", "constant"],
    );
    let large = array![[0.0], [-6_189_764_128_360_247.0]];
    let large = Dataset::table(vec![Column::integer("k")], large, "large").expect("rows");
    let found = Transform::fit(&large, &TransformOptions::default());
    refused(found, &["column k", "-6189764128360247 is too large"]);
    let kind = Kind::Images { channels: 1, height: 1, width: 2, pixels: Pixels::Real(0.5, 0.5) };
    let flat = Dataset::new(kind, Values::Doubles(array![[0.5, 0.5]]), "flat").expect("an image");
    refused(Transform::fit(&flat, &TransformOptions::default()), &["channel 0", "constant"]);
}

#[test]
fn draws_are_functions_of_the_key_and_the_row() {
    let data = Arc::new(data::digits());
    let transform = Transform::fit(&data, &TransformOptions::default()).expect("fits");
    let draws = Draws::new(data.clone(), Arc::new(transform.clone())).expect("draws");
    let (key, n) = (Key::root(9), 20_000);
    let (mut all, mut part) = (vec![0.0; 10 * 64], vec![0.0; 3 * 64]);
    draws.fill(key, 0, &mut all).expect("rows");
    draws.fill(key, 4, &mut part).expect("rows");
    assert_eq!(all[4 * 64..7 * 64], part);
    let mut labels = vec![0; n];
    draws.fill_labels(key, 0, &mut labels).expect("labels");
    // Rows and labels are of the same digits.
    let back =
        transform.from_model(ArrayView2::from_shape((10, 64), &all).expect("rows")).expect("back");
    let x = data.to_array().expect("pixels");
    for (row, label) in back.outer_iter().zip(&labels) {
        let which = x.outer_iter().position(|x| x == row).expect("one of the digits");
        assert_eq!(data.labels().expect("labels").of[which], *label);
    }
    // Each class as often as in the data: five standard deviations.
    for (class, count) in [178, 182, 177, 183, 181, 182, 181, 179, 174, 180].iter().enumerate() {
        let p = f64::from(*count) / 1797.0;
        let found = labels.iter().filter(|l| **l as usize == class).count() as f64;
        assert!((found - p * n as f64).abs() < 5.0 * (n as f64 * p * (1.0 - p)).sqrt(), "{class}");
    }
    let other = Arc::new(mixed(10, Key::root(1)));
    let found = Draws::new(other.clone(), Arc::new(transform));
    refused(found, &["other columns or sizes"]);
    let transform =
        Transform::fit(&other.select(&[3]).expect("a row"), &TransformOptions::default());
    refused(transform, &["every column of 1 rows is constant"]);
    let transform = Transform::fit(&other, &TransformOptions::default()).expect("fits");
    let mut x = other.to_array().expect("rows");
    x[[4, 3]] = 0.0;
    let Kind::Table { columns } = other.kind().clone() else { panic!("a table") };
    let changed = Dataset::table(columns, x, "changed").expect("rows");
    refused(Draws::new(Arc::new(changed), Arc::new(transform)), &["row 4, column same", "-2.5"]);
    let without = Draws::new(
        other.clone(),
        Arc::new(Transform::fit(&other, &TransformOptions::default()).expect("fits")),
    );
    refused(without.expect("draws").fill_labels(key, 0, &mut [0]), &["mixed has no labels"]);
}

proptest! {
    /// Whole numbers of any size come back exactly, whatever the noise.
    #[test]
    fn whole_numbers_come_back(values in prop::collection::vec(-(1_i64 << 53)..(1 << 53), 2..40), shrink in 0_u32..53, seed: u64) {
        let rows = values.iter().map(|v| (v >> shrink) as f64).collect::<Vec<_>>();
        let rows = Array2::from_shape_vec((rows.len(), 1), rows).expect("a column");
        let data = Dataset::table(vec![Column::integer("k")], rows.clone(), "k").expect("rows");
        let Ok(transform) = Transform::fit(&data, &TransformOptions::default()) else { return Ok(()) };
        let z = transform.to_model(rows.view(), Key::root(seed), 0).expect("maps");
        prop_assert_eq!(transform.from_model(z.view()).expect("back"), rows);
    }
}
