//! Authenticity, and the share of points near training rows.

use metrics::{authenticity, near_training, nearest_rows};
use ndarray::{Array2, array, concatenate};

use crate::support::{Numbers, check_close};

fn rows(cloud: &Array2<f64>) -> Vec<Vec<f64>> {
    cloud.rows().into_iter().map(|row| row.to_vec()).collect()
}

fn squared(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| (p - q) * (p - q)).sum()
}

fn least(of: &[f64], to: &[Vec<f64>], but: Option<usize>) -> f64 {
    let others = to.iter().enumerate().filter(|(i, _)| Some(*i) != but);
    others.map(|(_, row)| squared(of, row)).fold(f64::INFINITY, f64::min)
}

/// The definition, pair by pair: authentic where every nearest training row has a nearer neighbour.
fn written_out(generated: &Array2<f64>, training: &Array2<f64>) -> f64 {
    let (generated, training) = (rows(generated), rows(training));
    let own: Vec<f64> =
        (0..training.len()).map(|i| least(&training[i], &training, Some(i))).collect();
    let authentic = |y: &&Vec<f64>| {
        let found = least(y, &training, None);
        let nearest = training.iter().zip(&own).filter(|(x, _)| squared(y, x) == found);
        nearest.fold(true, |all, (_, own)| all && found > *own)
    };
    generated.iter().filter(authentic).count() as f64 / generated.len() as f64
}

#[test]
fn as_the_definition_says_with_ties_and_copies() {
    let mut numbers = Numbers::new(1);
    // More than a chunk of rows; lattices make ties and duplicates.
    for (n, m, d, lattice) in [(40, 60, 2, false), (1100, 50, 3, false), (60, 90, 2, true)] {
        let mut cloud =
            |n: usize| numbers.normals(n, d).mapv(|v| if lattice { (1.5 * v).round() } else { v });
        let (training, generated) = (cloud(n), cloud(m));
        let found = authenticity(generated.view(), training.view()).unwrap();
        let expected = written_out(&generated, &training);
        check_close("share", found.value, expected, 1e-14, 0.0);
        let error = (expected * (1.0 - expected) / m as f64).sqrt();
        check_close("error", found.standard_error, error, 1e-12, 0.0);
        // The order of the training rows is of no account.
        let back = training.slice(ndarray::s![..;-1, ..]);
        assert_eq!(authenticity(generated.view(), back).unwrap(), found);
        // Copies are none of it, in whatever unit and wherever the origin is.
        for copies in [training.clone(), &training * 2.0_f64.powi(-700)] {
            assert_eq!(authenticity(copies.view(), copies.view()).unwrap().value, 0.0);
        }
        let shifted = authenticity((&generated * 4.0).view(), (&training * 4.0).view()).unwrap();
        assert_eq!(shifted, found);
    }
}

/// A point of a Poisson process on a line is the nearest neighbour of its nearest neighbour with the probability 2/3
/// (Clark, Evans 1955); in the plane with 0.6215.
#[test]
fn new_draws_are_authentic_as_often_as_they_are_not_mutual_neighbours() {
    let mut numbers = Numbers::new(2);
    for (d, expected) in [(1, 1.0 / 3.0), (2, 1.0 - 0.621_505)] {
        let n = 4000;
        let mut cloud = || Array2::from_shape_simple_fn((n, d), || numbers.uniform());
        let (training, generated) = (cloud(), cloud());
        let found = authenticity(generated.view(), training.view()).unwrap();
        // Points that share a nearest row depend on each other: twice the binomial variance; the plane has an edge.
        let tolerance = 4.9 * 2.0_f64.sqrt() * found.standard_error + 0.01 * (d as f64 - 1.0);
        assert!((found.value - expected).abs() < tolerance, "{d}: {found:?}");
    }
}

/// Points of the law of the withheld rows: the share is (k + 1) / (n + 1) in the mean, and scatters as its error says.
#[test]
fn near_training_has_its_mean_and_its_error() {
    let mut numbers = Numbers::new(3);
    let (n, m, repeats) = (100, 150, 600);
    let training = numbers.normals(50, 2);
    let (mut values, mut variances) = (Vec::new(), 0.0);
    for _ in 0..repeats {
        let (withheld, generated) = (numbers.normals(n, 2), numbers.normals(m, 2));
        let found = near_training(generated.view(), training.view(), withheld.view(), 0.1).unwrap();
        values.push(found.value);
        variances += found.standard_error.powi(2) / f64::from(repeats);
    }
    let mean = values.iter().sum::<f64>() / f64::from(repeats);
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(repeats - 1);
    let expected = 11.0 / 101.0;
    let error = (variance / f64::from(repeats)).sqrt();
    assert!((mean - expected).abs() < 4.9 * error, "{mean} against {expected}");
    // A variance of 600 values is known to some 6 %; the squares of errors that depend on the share are not unbiased.
    assert!((variances / variance - 1.0).abs() < 0.35, "{variances} against {variance}");
}

#[test]
fn copies_are_near_training_and_far_points_are_not() {
    let mut numbers = Numbers::new(4);
    let (training, withheld) = (numbers.normals(80, 3), numbers.normals(40, 3));
    let near = |generated: &Array2<f64>| {
        near_training(generated.view(), training.view(), withheld.view(), 0.05).unwrap()
    };
    assert_eq!(near(&training).value, 1.0);
    assert_eq!(
        (near(&(&training + 50.0)).value, near(&(&training + 50.0)).standard_error),
        (0.0, 0.0)
    );
    // Of the withheld rows themselves just k lie nearer than the threshold.
    assert_eq!(near(&withheld).value, 2.0 / 40.0);
    // Withheld rows that are copies leave nothing to be nearer than.
    let found = near_training(training.view(), training.view(), training.view(), 0.05).unwrap();
    assert_eq!(found.value, 0.0);
    let all = concatenate![ndarray::Axis(0), training, withheld];
    let found = nearest_rows(all.view(), training.view()).unwrap();
    assert!(found[..80].iter().enumerate().all(|(i, n)| n.index == i && n.distance == 0.0));
    assert!(found[80..].iter().all(|n| n.distance > 0.0));
}

#[test]
fn misuse_is_named() {
    let (one, two) = (array![[0.0]], array![[0.0], [1.0]]);
    let said = |error: metrics::Error| error.to_string();
    let error = said(authenticity(two.view(), one.view()).unwrap_err());
    assert_eq!(error, "second cloud has 1 rows, expected at least 2");
    let error = said(near_training(two.view(), two.view(), one.view(), 1.0).unwrap_err());
    assert_eq!(error, "part must be between 0 and 1, found 1");
    let wide = array![[0.0, 1.0]];
    assert!(said(nearest_rows(two.view(), wide.view()).unwrap_err()).contains("dimensions differ"));
    let none = Array2::zeros((0, 1));
    let error = said(near_training(two.view(), two.view(), none.view(), 0.5).unwrap_err());
    assert_eq!(error, "withheld cloud has 0 rows, expected at least 1");
    let bad = array![[f64::NAN], [1.0]];
    assert!(said(authenticity(bad.view(), two.view()).unwrap_err()).contains("NaN at row 0"));
}
