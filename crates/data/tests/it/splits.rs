//! Parts of data.

use data::{Column, Dataset, Labels, Portion, Split};
use ndarray::Array2;
use sde_core::Key;

use crate::support::refused;

fn rows(n: usize) -> Dataset {
    let x = Array2::from_shape_fn((n, 1), |(i, _)| i as f64);
    Dataset::table(vec![Column::float("x")], x, "numbers").expect("rows")
}

fn labelled(of: &[u32]) -> Dataset {
    let classes = (0..=*of.iter().max().expect("rows")).map(|c| c.to_string()).collect();
    rows(of.len()).with_labels(Labels { of: of.to_vec(), classes }).expect("labels")
}

fn all(split: &Split) -> Vec<usize> {
    let mut all = [&split.training[..], &split.validation, &split.test].concat();
    all.sort_unstable();
    all
}

#[test]
fn parts_are_disjoint_whole_and_a_function_of_the_key() {
    let data = rows(100);
    let of = |seed| {
        data.split(Portion::Share(0.2), Portion::Rows(15), Key::root(seed)).expect("a split")
    };
    let split = of(1);
    assert_eq!((split.training.len(), split.validation.len(), split.test.len()), (65, 20, 15));
    assert_eq!(all(&split), (0..100).collect::<Vec<_>>());
    assert_eq!(split, of(1));
    assert_ne!(split, of(2));
    let none = data.split(Portion::Rows(0), Portion::Share(0.0), Key::root(1)).expect("a split");
    assert_eq!(none.training.len(), 100);
}

#[test]
fn every_class_is_split_alike() {
    let of: Vec<u32> = (0..200).map(|i| if i % 10 == 0 { 1 } else { 0 }).collect();
    let data = labelled(&of);
    for seed in 0..20 {
        let split = data
            .split(Portion::Share(0.1), Portion::Share(0.25), Key::root(seed))
            .expect("a split");
        let ones = |part: &[usize]| part.iter().filter(|i| of[**i] == 1).count();
        assert_eq!(all(&split), (0..200).collect::<Vec<_>>());
        assert_eq!((split.validation.len(), ones(&split.validation)), (20, 2));
        assert_eq!((split.test.len(), ones(&split.test)), (50, 5));
    }
}

#[test]
fn a_class_of_one_row_is_for_training() {
    let mut of = vec![0; 50];
    of[17] = 1;
    for seed in 0..50 {
        let split = labelled(&of).split(Portion::Rows(20), Portion::Rows(28), Key::root(seed));
        let split = split.expect("a split");
        assert!(split.training.contains(&17) && split.training.len() == 2);
    }
}

#[test]
fn three_rows_can_be_split_and_two_cannot() {
    let split =
        rows(3).split(Portion::Share(0.1), Portion::Share(0.1), Key::root(0)).expect("a split");
    assert_eq!((split.training.len(), split.validation.len(), split.test.len()), (1, 1, 1));
    let found = rows(2).split(Portion::Share(0.1), Portion::Share(0.1), Key::root(0));
    refused(found, &["2 rows", "1 for validation and 1 for testing"]);
    refused(
        rows(3).split(Portion::Share(1.0), Portion::Rows(0), Key::root(0)),
        &["validation = 1"],
    );
    refused(
        rows(3).split(Portion::Rows(0), Portion::Share(f64::NAN), Key::root(0)),
        &["test = NaN"],
    );
    refused(rows(3).split(Portion::Rows(usize::MAX), Portion::Rows(2), Key::root(0)), &["3 rows"]);
}

#[test]
fn the_digits_are_those_of_scikit_learn() {
    let digits = data::digits();
    let x = digits.to_array().expect("pixels");
    // `load_digits().images.mean()` is 4.884164579855314.
    assert_eq!(x.sum(), 561_718.0);
    assert_eq!((x[[0, 2]], x[[0, 3]], x[[0, 4]], x[[1796, 61]]), (5.0, 13.0, 9.0, 12.0));
    let labels = &digits.labels().expect("labels").of;
    let mut counts = [0; 10];
    labels.iter().for_each(|l| counts[*l as usize] += 1);
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    let split = data::digits_split();
    assert_eq!((split.training.len(), split.test.len()), (1300, 497));
    for digit in 0..10 {
        let n = split.test.iter().filter(|i| labels[**i] == digit).count() as f64;
        // In proportion, to the nearest whole row.
        assert!((n - 497.0 / 1797.0 * f64::from(counts[digit as usize])).abs() < 1.0);
    }
}
