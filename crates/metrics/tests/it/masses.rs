//! Weights as they come from single precision: each side by its own total, and beyond that refused.

use metrics::{Histogram2d, Metric, Options, Sample};
use ndarray::{Array1, Array2};

use crate::support::{Numbers, check_close};

/// Positive weights, divided by their sum in single precision.
fn single(numbers: &mut Numbers, n: usize) -> Array1<f64> {
    let weights: Vec<f32> = (0..n).map(|_| numbers.uniform() as f32 + 1e-3).collect();
    let total: f32 = weights.iter().sum();
    weights.into_iter().map(|w| f64::from(w / total)).collect()
}

const CLOUDS: [Metric; 5] =
    [Metric::W2, Metric::W1, Metric::Sinkhorn, Metric::Sliced, Metric::MaxSliced];
const HISTOGRAMS: [Metric; 6] = [
    Metric::W2,
    Metric::TotalVariation,
    Metric::L1,
    Metric::KullbackLeibler,
    Metric::JensenShannon,
    Metric::Hellinger,
];

/// The value is that of weights that sum to one on either side.
#[track_caller]
fn check_same(metric: Metric, given: [&Sample; 2], normalised: [&Sample; 2]) {
    let options = Options { epsilon: Some(0.5), ..Options::default() };
    let value = |[x, y]: [&Sample; 2]| metric.evaluate(x, y, &options).unwrap().value;
    check_close(metric.name(), value(given), value(normalised), 1e-9, 0.0);
}

#[test]
fn single_precision_is_accepted() {
    let mut numbers = Numbers::new(17);
    for n in [3, 200, 1000] {
        for _ in 0..5 {
            let (x, y) = (numbers.normals(n, 2), numbers.normals(n, 2) + 0.5);
            let (a, b) = (single(&mut numbers, n), single(&mut numbers, n));
            let clouds = |a: &Array1<f64>, b: &Array1<f64>| {
                (Sample::weighted(x.clone(), a.clone()), Sample::weighted(y.clone(), b.clone()))
            };
            let (given, normalised) = (clouds(&a, &b), clouds(&(&a / a.sum()), &(&b / b.sum())));
            for metric in CLOUDS.into_iter().take(if n > 200 { 2 } else { 5 }) {
                check_same(metric, [&given.0, &given.1], [&normalised.0, &normalised.1]);
            }
        }
    }
    for _ in 0..20 {
        let mut side = || {
            let weights = single(&mut numbers, 81);
            let table = |weights: &Array1<f64>| {
                let table = Array2::from_shape_vec((9, 9), weights.to_vec()).unwrap();
                Sample::Histogram(Histogram2d::from_weights(2.0, table).unwrap())
            };
            (table(&weights), table(&(&weights / weights.sum())))
        };
        let (a, b) = (side(), side());
        for metric in HISTOGRAMS {
            check_same(metric, [&a.0, &b.0], [&a.1, &b.1]);
        }
    }
}

#[test]
fn what_rounding_does_not_explain_is_refused() {
    let mut numbers = Numbers::new(18);
    let (x, y) = (numbers.normals(4, 2), numbers.normals(4, 2));
    let cloud = |points: &Array2<f64>, total: f64| {
        Sample::weighted(points.clone(), Array1::from_elem(4, 0.25 * total))
    };
    let histogram = |total: f64| {
        let table = Array2::from_elem((2, 2), 0.25 * total);
        Sample::Histogram(Histogram2d::from_weights(1.0, table).unwrap())
    };
    for (off, within) in [(9e-7, true), (1.1e-6, false), (1e-3, false), (1.0, false)] {
        let (a, b) = (cloud(&x, 1.0), cloud(&y, 1.0 + off));
        let (c, d) = (histogram(1.0), histogram(1.0 + off));
        let pairs = CLOUDS.map(|m| (m, &a, &b)).into_iter();
        for (metric, left, right) in pairs.chain(HISTOGRAMS.map(|m| (m, &c, &d))) {
            let found = metric.evaluate(left, right, &Options::default());
            assert_eq!(found.is_ok(), within, "{} at {off}", metric.name());
            let Err(error) = found else { continue };
            let message = error.to_string();
            let (by, right) = (off / (1.0 + off), 1.0 + off);
            let said = format!("masses differ: 1 on the left, {right} on the right, by {by:.1e}");
            assert!(message.starts_with(&said[..said.len() - 8]), "{message}");
            assert!(message.ends_with(&format!("by {by:.1e} of the larger")), "{message}");
        }
    }
}
