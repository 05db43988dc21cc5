//! Precision, recall, density and coverage.

use metrics::{Manifolds, precision_recall};
use ndarray::{Array2, Axis, array, concatenate};

use crate::support::{Numbers, check_close};

fn distance(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| (p - q) * (p - q)).sum()
}

/// The definitions, pair by pair.
fn written_out(x: &Array2<f64>, y: &Array2<f64>, k: usize) -> [f64; 4] {
    let rows = |c: &Array2<f64>| c.rows().into_iter().map(|r| r.to_vec()).collect::<Vec<_>>();
    let (x, y) = (rows(x), rows(y));
    let radii = |of: &[Vec<f64>]| -> Vec<f64> {
        let radius = |i: usize| {
            let others = of.iter().enumerate().filter(|(j, _)| *j != i);
            let mut all: Vec<f64> = others.map(|(_, other)| distance(&of[i], other)).collect();
            all.sort_by(f64::total_cmp);
            all[k - 1]
        };
        (0..of.len()).map(radius).collect()
    };
    let (rx, ry) = (radii(&x), radii(&y));
    let count = |point: &[f64], centres: &[Vec<f64>], radii: &[f64]| {
        centres.iter().zip(radii).filter(|(c, r)| distance(point, c) <= **r).count()
    };
    let inside: Vec<usize> = y.iter().map(|p| count(p, &x, &rx)).collect();
    let (n, m) = (x.len() as f64, y.len() as f64);
    [
        inside.iter().filter(|c| **c > 0).count() as f64 / m,
        x.iter().filter(|p| count(p, &y, &ry) > 0).count() as f64 / n,
        inside.iter().sum::<usize>() as f64 / (k as f64 * m),
        x.iter().zip(&rx).filter(|(p, r)| y.iter().any(|q| distance(p, q) <= **r)).count() as f64
            / n,
    ]
}

fn values(found: &Manifolds) -> [f64; 4] {
    [found.precision.value, found.recall.value, found.density.value, found.coverage.value]
}

#[test]
fn as_the_definitions_say() {
    let mut numbers = Numbers::new(1);
    // More than a chunk of points; lattices make ties and duplicates.
    for (n, m, d, k, lattice) in
        [(40, 60, 2, 3, false), (1100, 50, 3, 5, false), (80, 90, 2, 4, true), (2, 2, 1, 1, false)]
    {
        let mut cloud = |n: usize, shift: f64| {
            numbers.normals(n, d).mapv(|v| if lattice { v.round() } else { v + shift })
        };
        let (x, y) = (cloud(n, 0.0), cloud(m, 0.4));
        let found = precision_recall(x.view(), y.view(), k).unwrap();
        for (found, expected) in values(&found).iter().zip(written_out(&x, &y, k)) {
            check_close("share", *found, expected, 1e-14, 0.0);
        }
    }
}

#[test]
fn identical_and_distant() {
    let mut numbers = Numbers::new(2);
    let x = numbers.normals(50, 2);
    let same = precision_recall(x.view(), x.view(), 5).unwrap();
    // Each point lies in its own ball and, counted over all points, in k others.
    assert_eq!(values(&same), [1.0, 1.0, 1.2, 1.0]);
    assert_eq!(same.precision.standard_error, 0.0);
    let far = &x + 100.0;
    let found = precision_recall(x.view(), far.view(), 5).unwrap();
    assert_eq!(values(&found), [0.0; 4]);
    // All points in one place: balls of radius zero hold it, whatever k.
    let heap = Array2::from_elem((10, 3), 2.0);
    let found = precision_recall(heap.view(), heap.view(), 2).unwrap();
    assert_eq!(values(&found), [1.0, 1.0, 5.0, 1.0]);
    // Dropping half of the kinds keeps precision and costs coverage.
    let two = concatenate![Axis(0), x, &x + 100.0];
    let half = numbers.normals(100, 2);
    let found = precision_recall(two.view(), half.view(), 5).unwrap();
    assert!(
        found.precision.value > 0.8 && (0.3..=0.5).contains(&found.coverage.value),
        "{found:?}"
    );
}

/// The expected coverage of equal laws is $1 - \prod$ of a hypergeometric: a closed form of Naeem et
/// al., $1 - \prod_{l=1}^k (N - l) / (M + N - l)$ with M generated points.
#[test]
fn coverage_of_equal_laws() {
    let mut numbers = Numbers::new(3);
    let (n, m, k, repeats) = (60, 40, 3, 300);
    let mut sum = 0.0;
    let mut squares = 0.0;
    for _ in 0..repeats {
        let (x, y) = (numbers.normals(n, 2), numbers.normals(m, 2));
        let value = precision_recall(x.view(), y.view(), k).unwrap().coverage.value;
        sum += value;
        squares += value * value;
    }
    let mean = sum / f64::from(repeats);
    let error = ((squares / f64::from(repeats) - mean * mean) / f64::from(repeats)).sqrt();
    let missed: f64 = (1..=k).map(|l| (n - l) as f64 / (m + n - l) as f64).product();
    assert!((mean - (1.0 - missed)).abs() < 4.9 * error, "{mean} {}", 1.0 - missed);
}

#[test]
fn threads_do_not_change_a_bit() {
    let mut numbers = Numbers::new(4);
    let (x, y) = (numbers.normals(200, 3), numbers.normals(150, 3) + 0.3);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| precision_recall(x.view(), y.view(), 3).unwrap())
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn misuse_is_named() {
    let x = array![[0.0], [1.0], [2.0]];
    let fails =
        |y: &Array2<f64>, k| precision_recall(x.view(), y.view(), k).unwrap_err().to_string();
    assert_eq!(fails(&x, 0), "k must be >= 1, found 0");
    assert_eq!(fails(&x, 3), "first cloud has 3 rows, expected at least 4: k is 3");
    assert_eq!(
        fails(&array![[0.0], [f64::INFINITY]], 1),
        "second cloud holds inf at row 1, column 0"
    );
    assert_eq!(
        fails(&array![[0.0, 1.0], [2.0, 1.0]], 1),
        "dimensions differ: 1 on the left, 2 on the right"
    );
    assert_eq!(fails(&Array2::zeros((0, 1)), 1), "second cloud has 0 rows, expected at least 1");
}
