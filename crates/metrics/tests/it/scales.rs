//! A power of two as the unit of length changes no digit of any metric, and what no double holds is an
//! error.

use std::collections::BTreeMap;

use metrics::{Error, Histogram2d, Kind, Measured, Metric, Options, Sample};
use ndarray::{Array2, array};

use crate::support::{Numbers, check_close};

/// 2^exponent as a factor, also beyond the range of a double.
fn times(value: f64, exponent: f64) -> f64 {
    let half = (0.5 * exponent).trunc();
    value * half.exp2() * (exponent - half).exp2()
}

/// The power of the lengths that a metric, or a part of it, is.
fn degree(metric: Metric, part: &str, exponent: f64) -> f64 {
    match (metric, part) {
        (_, "bandwidth" | "directions-error") => 1.0,
        (_, "epsilon" | "squared") => 2.0,
        (_, "marginal-error" | "converged" | "p-value" | "held-out" | "k") => 0.0,
        (Metric::W2, "primal" | "dual" | "gap") => 2.0,
        (Metric::Energy, "root") => 0.5 * exponent,
        (Metric::Energy, _) => exponent,
        (Metric::LogLikelihood, "finite" | "minus-infinity" | "plus-infinity" | "nan") => 0.0,
        _ => metric.info().degree.expect("has no scale of its own"),
    }
}

/// A sample of a kind in units of 2^exponent.
fn sample(kind: Kind, seed: u64, exponent: f64) -> Sample {
    let mut numbers = Numbers::new(seed);
    let shift = 0.5 * seed as f64;
    match kind {
        Kind::Cloud => {
            let mut points = numbers.normals(20 + seed as usize, 2) * 0.3 + 0.2 * shift;
            points.column_mut(1).mapv_inplace(|x| 3.0 + 0.5 * x);
            Sample::cloud(points.mapv(|x| times(x, exponent)))
        }
        Kind::Histogram => {
            let weights = Array2::from_shape_simple_fn((4, 4), || numbers.uniform());
            let weights = &weights / weights.sum();
            let histogram = Histogram2d::from_weights(times(1.5, exponent), weights).unwrap();
            Sample::Histogram(histogram.with_samples(100).unwrap())
        }
        _ => Sample::LogDensities(
            numbers.normals(30, 1).column(0).mapv(|x| times(x + shift, exponent)),
        ),
    }
}

/// Lengths among the options in the same units; those that may follow from the samples, if `defaults`.
fn options(exponent: f64, defaults: bool, power: f64, energy: f64) -> Options {
    let given = |value: f64| (!defaults).then_some(value);
    Options {
        bandwidth: given(times(0.4, exponent)),
        epsilon: given(times(times(0.3, exponent), exponent)),
        offset: times(0.7, exponent),
        exponent: energy,
        power,
        projections: 8,
        neighbours: Some(3),
        ..Options::default()
    }
}

/// All that was found: value, standard error, parts.
fn numbers(found: &Measured) -> Vec<(&'static str, f64)> {
    let error = found.standard_error.map(|error| ("standard error", error));
    std::iter::once(("value", found.value)).chain(error).chain(found.details.named()).collect()
}

fn holds(value: f64) -> bool {
    value == 0.0 || value.is_normal()
}

#[test]
fn every_metric_is_homogeneous_to_the_last_bit() {
    for &metric in Metric::ALL.iter().filter(|metric| metric.info().degree.is_some()) {
        for kind in metric.info().kinds() {
            for (defaults, p, energy) in [(false, 2.0, 1.0), (true, 1.0, 0.5), (true, 7.5, 1.5)] {
                let at = |exponent: f64| {
                    let (x, y) = (sample(kind, 1, exponent), sample(kind, 2, exponent));
                    metric.evaluate(&x, &y, &options(exponent, defaults, p, energy))
                };
                let base = numbers(&at(0.0).unwrap());
                for exponent in [
                    -1000.0, -700.0, -504.0, -332.0, -64.0, -4.0, 4.0, 64.0, 332.0, 504.0, 700.0,
                    1000.0,
                ] {
                    let what = format!("{} of {} 2^{exponent}", metric.name(), kind.name());
                    let scaled = base.iter().map(|&(part, value)| {
                        (part, times(value, exponent * degree(metric, part, energy)))
                    });
                    let expected: Vec<(&str, f64)> = scaled.collect();
                    match at(exponent) {
                        Ok(found) => {
                            let found: BTreeMap<&str, f64> = numbers(&found).into_iter().collect();
                            for (part, expected) in expected {
                                if expected.is_normal() {
                                    assert_eq!(found.get(part), Some(&expected), "{what}: {part}");
                                }
                            }
                        }
                        Err(Error::OutOfRange { .. } | Error::InvalidParameter { .. }) => {
                            // Of exact transport the parts that are no doubles are left out.
                            let exact = matches!(metric, Metric::W1 | Metric::W2);
                            let all = if exact { &expected[..1] } else { &expected };
                            let lost = all.iter().any(|(_, value)| !holds(*value));
                            // An epsilon that is no double cannot be given.
                            let none = metric == Metric::Sinkhorn && !expected[0].1.is_normal();
                            assert!(lost || none, "{what}: refused");
                        }
                        Err(other) => panic!("{what}: {other}"),
                    }
                }
            }
        }
    }
}

/// Kernels with a unit of their own: a number or an error, and no other error.
#[test]
fn polynomial_kernels_end_in_numbers_or_words() {
    for metric in [Metric::MmdPolynomial, Metric::Kid] {
        for exponent in [-1000.0, -500.0, -100.0, 40.0, 100.0, 300.0, 500.0, 1000.0] {
            let (x, y) = (sample(Kind::Cloud, 1, exponent), sample(Kind::Cloud, 2, exponent));
            match metric.evaluate(&x, &y, &Options::default()) {
                // A cube of squares.
                Ok(_) => assert!(exponent <= 100.0, "{exponent}"),
                Err(error) => {
                    assert!(
                        matches!(error, Error::OutOfRange { .. }) && exponent > 100.0,
                        "{error}"
                    );
                }
            }
        }
    }
}

/// Resamples and floors as well: their spread is squared too.
#[test]
fn spreads_are_homogeneous() {
    use metrics::Resampling;
    use sde_core::Key;
    for (metric, degree) in [(Metric::Sliced, 1.0), (Metric::Energy, 1.0), (Metric::Frechet, 2.0)] {
        let at = |exponent: f64| {
            let (x, y) = (sample(Kind::Cloud, 1, exponent), sample(Kind::Cloud, 2, exponent));
            let options = options(exponent, false, 2.0, 1.0);
            let how = Resampling::new(Key::root(1), 5);
            let found = metric.resample(&x, &y, &options, &how).unwrap();
            let floor = metric.noise_floor(&y, &options, Key::root(2), 4).unwrap();
            [found.mean(), found.standard_error(), floor.mean(), floor.standard_deviation()]
        };
        let base = at(0.0);
        for exponent in [-450.0, 450.0] {
            assert_eq!(
                at(exponent),
                base.map(|value| times(value, degree * exponent)),
                "{}",
                metric.name()
            );
        }
    }
}

/// Small clusters far apart: what is near is not lost beside what is far.
#[test]
fn neighbours_within_a_cluster_are_seen_beside_a_far_point() {
    let mut random = Numbers::new(3);
    let near = |random: &mut Numbers| random.normals(20, 2) * 1e-190;
    let (x, y) = (near(&mut random), near(&mut random));
    let with_far = |cloud: &Array2<f64>| {
        let mut far = cloud.clone();
        far.row_mut(0).fill(1.0);
        Sample::cloud(far)
    };
    let scaled = |cloud: &Array2<f64>| {
        let mut scaled = cloud * 1e190;
        scaled.row_mut(0).fill(1e30);
        Sample::cloud(scaled)
    };
    for metric in [Metric::Precision, Metric::Recall, Metric::Density, Metric::Coverage] {
        let found = metric.evaluate(&with_far(&x), &with_far(&y), &Options::default()).unwrap();
        let expected = metric.evaluate(&scaled(&x), &scaled(&y), &Options::default()).unwrap();
        assert_eq!(found.value, expected.value, "{}", metric.name());
    }
}

/// One gap of 1/5 in four: $W_p = \frac15 4^{-1/p}$, up to the largest gap itself.
#[test]
fn orders_of_any_size() {
    let x = array![[0.2], [0.4], [0.6000000000000001], [1.0]];
    let y = array![[0.2], [0.4], [0.6000000000000001], [0.8]];
    for scale in [1.0, 500.0, 1e-200, 1e200] {
        let (x, y) = (Sample::cloud(&x * scale), Sample::cloud(&y * scale));
        for p in [1.0, 2.0, 3.0, 300.0, 540.0, 1000.0, 1e6, 1e300] {
            let options = Options { power: p, projections: 3, ..Options::default() };
            let expected = 0.2 * scale * 0.25_f64.powf(1.0 / p);
            for metric in [Metric::Sliced, Metric::MaxSliced] {
                let found = metric.evaluate(&x, &y, &options).unwrap().value;
                check_close(&format!("{} p = {p}", metric.name()), found, expected, 1e-14, 0.0);
            }
        }
    }
}

/// A gap far below the extent of the clouds, alone or with little mass.
#[test]
fn gaps_far_below_the_extent() {
    let (x, y) = (array![[0.0], [1.0]], array![[1e-200], [1.0]]);
    for p in [1.0, 2.0, 5.0] {
        let options = Options { power: p, ..Options::default() };
        let (x, y) = (Sample::cloud(x.clone()), Sample::cloud(y.clone()));
        let found = Metric::Sliced.evaluate(&x, &y, &options).unwrap().value;
        check_close("gap", found, 1e-200 * 0.5_f64.powf(1.0 / p), 1e-14, 0.0);
    }
    // An offset that is no difference: the other axis is seen to all digits.
    let line = |step: f64| {
        Array2::from_shape_fn((8, 2), |(i, k)| if k == 0 { 1e200 } else { step * i as f64 })
    };
    let options = Options { projections: 64, errors: false, ..Options::default() };
    for metric in [Metric::Sliced, Metric::MaxSliced, Metric::Energy, Metric::Frechet] {
        let value = |offset: f64| {
            let at = |step: f64| {
                let mut cloud = line(step);
                cloud.column_mut(0).fill(offset);
                Sample::cloud(cloud)
            };
            metric.evaluate(&at(1.0), &at(1.25), &options).unwrap().value
        };
        assert_eq!(value(1e200), value(0.0), "{}", metric.name());
    }
}

#[test]
fn log_densities_of_any_size() {
    let values = array![-1e300, 1e300, 2e300, f64::NEG_INFINITY];
    let found = metrics::log_likelihood(values.view(), None, 1).unwrap();
    check_close("mean", found.mean.value, 2e300 / 3.0, 1e-15, 0.0);
    // s^2 / n with s^2 = ((5/3)^2 + (1/3)^2 + (4/3)^2) / 2.
    check_close("error", found.mean.standard_error, 1e300 * (42.0 / 54.0_f64).sqrt(), 1e-14, 0.0);
    let (low, high) = (array![-1.5e308, 0.0, 1.0], array![1.5e308, 0.0, 1.0]);
    let difference = Metric::LogLikelihood.evaluate(
        &Sample::LogDensities(low),
        &Sample::LogDensities(high),
        &Options::default(),
    );
    assert!(matches!(difference, Err(Error::OutOfRange { .. })), "{difference:?}");
}

#[test]
fn masses_over_hundreds_of_orders() {
    use metrics::HistogramDivergence as Divergence;
    for scale in [1.0, 1e-300, 1e300] {
        let a = array![1e-200, 1.0, 1.0] * scale;
        let b = array![1.0, 1e-200, 1.0] * scale;
        let log = 200.0 * 10.0_f64.ln();
        let expected = [0.5, 1.0, 0.5 * log, 0.5 * 2.0_f64.ln(), 0.5_f64.sqrt()];
        for (which, expected) in Divergence::ALL.into_iter().zip(expected) {
            let found = which.between(a.view(), b.view()).unwrap();
            check_close(&format!("{which:?}"), found, expected, 1e-13, 0.0);
        }
    }
    // A share of 1e-400 has a logarithm.
    let (a, b) = (array![1e200, 1e200], array![1e-200, 2e200]);
    let found = Divergence::Kl.between(a.view(), b.view()).unwrap();
    // b is (1e-400 / 2, 1).
    let expected = 0.5 * 400.0 * 10.0_f64.ln() - 0.5 * 2.0_f64.ln();
    check_close("kl", found, expected, 1e-13, 0.0);
    let histogram = |small: f64| {
        let weights = array![[small, 1e200], [1e200, 1e200]];
        Sample::Histogram(Histogram2d::from_weights(1.0, weights).unwrap())
    };
    let of = |metric: Metric| {
        metric.evaluate(&histogram(1e-200), &histogram(1e-190), &Options::default())
    };
    assert_eq!(of(Metric::TotalVariation).unwrap().value, 0.0);
    assert!(matches!(of(Metric::KullbackLeibler), Err(Error::OutOfRange { .. })));
}

/// Infinity is a value of the divergence that has it, and of no other.
#[test]
fn infinite_by_definition() {
    let histogram = |weights: Array2<f64>| {
        let histogram = Histogram2d::from_weights(1.0, weights).unwrap();
        Sample::Histogram(histogram.with_samples(10).unwrap())
    };
    let (x, y) =
        (histogram(array![[1.0, 1.0], [0.0, 0.0]]), histogram(array![[1.0, 0.0], [1.0, 0.0]]));
    let found = Metric::KullbackLeibler.evaluate(&x, &y, &Options::default()).unwrap();
    assert_eq!((found.value, found.standard_error), (f64::INFINITY, None));
}
