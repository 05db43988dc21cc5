//! Parameters at their ends, samples that collapse, samples that are the same.

use metrics::{
    BandwidthSource, Details, Error, Kernel, Measured, Metric, Options, Sample, max_sliced_w, mmd2,
    mmd2_with_error,
};
use ndarray::{Array2, Axis, array};

use crate::support::{Numbers, check_close};

fn pair() -> (Array2<f64>, Array2<f64>) {
    let mut numbers = Numbers::new(31);
    (numbers.normals(100, 2), numbers.normals(100, 2))
}

/// A kernel that is one on the diagonal and zero elsewhere: 1/n + 1/m and zero.
#[test]
fn widths_below_every_distance() {
    let (x, y) = pair();
    for scale in [1.0, 1e-100, 1e100] {
        let (x, y) = (&x * scale, &y * scale);
        for bandwidth in [1e-30, 1e-200, 1e-307] {
            let kernel = Kernel::Rbf { bandwidth: (bandwidth * scale.min(1.0)).max(1e-320) };
            let found = mmd2_with_error(x.view(), y.view(), kernel).unwrap();
            assert_eq!((found.biased, found.unbiased), (0.02, 0.0), "{bandwidth}");
            assert_eq!(kernel.at(&[1.0], &[1.0]), 1.0);
            assert_eq!(kernel.at(&[1.0 * scale], &[2.0 * scale]), 0.0);
        }
    }
    // Above every distance: one everywhere.
    for bandwidth in [1e30, 1e200, f64::MAX] {
        let found = mmd2(x.view(), y.view(), Kernel::Rbf { bandwidth }).unwrap();
        assert!(found.biased.abs() < 1e-14 && found.unbiased.abs() < 1e-14, "{found:?}");
    }
}

/// $(c^2 + d^2)^{-1/2}$ of a small c: 1/c on the diagonal, 1/d elsewhere.
#[test]
fn offsets_below_every_distance() {
    let (x, y) = pair();
    let inverse = |of: &Array2<f64>, to: &Array2<f64>| -> f64 {
        let mut total = 0.0;
        for p in of.rows() {
            for q in to.rows() {
                let d = (p[0] - q[0]).hypot(p[1] - q[1]);
                total += if d == 0.0 { 0.0 } else { d.recip() };
            }
        }
        total
    };
    let unbiased = (inverse(&x, &x) + inverse(&y, &y)) / 9900.0 - 2.0 * inverse(&x, &y) / 10_000.0;
    for offset in [1e-20, 1e-200, 1e-300] {
        let found = mmd2(x.view(), y.view(), Kernel::InverseMultiquadric { offset }).unwrap();
        check_close("unbiased", found.unbiased, unbiased, 1e-12, 0.0);
        check_close("biased", found.biased, 0.02 / offset, 1e-12, 0.0);
    }
    let found = mmd2(x.view(), y.view(), Kernel::InverseMultiquadric { offset: 1e-320 });
    assert!(matches!(found, Err(Error::OutOfRange { .. })), "{found:?}");
    let far = Kernel::InverseMultiquadric { offset: 1e300 };
    assert_eq!(far.at(&[1.0], &[2.0]), 1e-300);
}

/// $x_i = \pm 1/2$ on a line with offset one: powers of 5/4 and 3/4.
#[test]
fn degrees_of_any_size() {
    let (x, y) = (array![[0.5], [0.5]], array![[-0.5], [-0.5]]);
    for degree in [1, 2, 3, 7, 100, 3000] {
        let kernel = Kernel::Polynomial { degree, gamma: 1.0, coef0: 1.0 };
        let found = mmd2_with_error(x.view(), y.view(), kernel).unwrap();
        let power = |base: f64| base.powf(f64::from(degree));
        check_close("power", found.biased, 2.0 * (power(1.25) - power(0.75)), 1e-12, 0.0);
    }
    for degree in [4000, u32::MAX] {
        let kernel = Kernel::Polynomial { degree, gamma: 1.0, coef0: 1.0 };
        let error = mmd2(x.view(), y.view(), kernel).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
        let within = Kernel::Polynomial { degree, gamma: 1.0, coef0: 0.0 };
        assert_eq!(mmd2(x.view(), y.view(), within).unwrap().biased, 0.0);
    }
}

#[test]
fn parameters_that_are_none_are_refused() {
    let (x, y) = pair();
    let (x, y) = (Sample::cloud(x), Sample::cloud(y));
    let usual = Options::default();
    for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        for (metric, options) in [
            (Metric::Mmd, Options { bandwidth: Some(bad), ..usual }),
            (Metric::MmdMixture, Options { bandwidth: Some(bad), ..usual }),
            (Metric::MmdLinear, Options { bandwidth: Some(bad), ..usual }),
            (Metric::MmdImq, Options { offset: bad, ..usual }),
            (Metric::Energy, Options { exponent: bad, ..usual }),
            (Metric::Sliced, Options { power: bad, ..usual }),
            (Metric::MaxSliced, Options { power: bad, ..usual }),
            (Metric::Sinkhorn, Options { epsilon: Some(bad), ..usual }),
        ] {
            let error = metric.evaluate(&x, &y, &options).unwrap_err();
            assert!(matches!(error, Error::InvalidParameter { .. }), "{}: {error}", metric.name());
        }
    }
    for (metric, options, said) in [
        (Metric::MmdPolynomial, Options { degree: 0, ..usual }, "degree must be >= 1, found 0"),
        (
            Metric::Kid,
            Options { subsets: 1, subset_size: 9, ..usual },
            "subsets must be >= 2, found 1",
        ),
        (
            Metric::Kid,
            Options { subsets: 10, ..usual },
            "first cloud has 100 rows, expected at least 1000: subset-size is 1000",
        ),
        (
            Metric::Recall,
            Options { neighbours: Some(100), ..usual },
            "first cloud has 100 rows, expected at least 101: k is 100",
        ),
        (
            Metric::Density,
            Options { neighbours: Some(usize::MAX), ..usual },
            &format!("first cloud has 100 rows, expected at least {0}: k is {0}", usize::MAX),
        ),
        (
            Metric::Sliced,
            Options { projections: 0, ..usual },
            "number of directions must be >= 1, found 0",
        ),
        (
            Metric::Mmd,
            Options { bandwidth: Some(-1e-200), ..usual },
            "bandwidth must be positive and finite, found -1e-200",
        ),
    ] {
        assert_eq!(metric.evaluate(&x, &y, &options).unwrap_err().to_string(), said);
    }
}

/// What a width is taken from where most points, or all, coincide.
#[test]
fn widths_of_collapsed_samples() {
    let bandwidth = |found: &Measured| match found.details {
        Details::Mmd { bandwidth, .. } => bandwidth,
        Details::LinearMmd { bandwidth } => Some(bandwidth),
        _ => None,
    };
    let mut numbers = Numbers::new(32);
    let normal = Sample::cloud(numbers.normals(10, 2));
    let collapsed = Sample::cloud(Array2::from_elem((30, 2), 0.3));
    let one = Sample::cloud(array![[1.0, 2.0]]);
    for metric in [Metric::Mmd, Metric::MmdMixture, Metric::MmdLinear] {
        let found = metric.evaluate(&normal, &collapsed, &Options::default()).unwrap();
        assert_eq!(found.chosen, Some(BandwidthSource::MedianOfPositive), "{}", metric.name());
        assert!(found.value > 0.0 && bandwidth(&found).unwrap() > 0.0, "{}", metric.name());
        let same = metric.evaluate(&collapsed, &collapsed, &Options::default()).unwrap();
        assert_eq!(
            (same.value, bandwidth(&same), same.chosen),
            (0.0, Some(1.0), Some(BandwidthSource::One))
        );
    }
    for sample in [&one, &collapsed] {
        let found = Metric::Sinkhorn.evaluate(sample, sample, &Options::default()).unwrap();
        assert_eq!((found.value, found.chosen), (0.0, Some(BandwidthSource::One)));
    }
    let found = Metric::Mmd.evaluate(&normal, &normal, &Options::default()).unwrap();
    assert_eq!(found.chosen, Some(BandwidthSource::Median));
    // It is remembered where it is settled first.
    let settled = Metric::Mmd.settle(&normal, Some(&collapsed), &Options::default()).unwrap();
    let found = Metric::Mmd.evaluate(&normal, &collapsed, &settled).unwrap();
    assert_eq!(found.chosen, Some(BandwidthSource::MedianOfPositive));
    let given = Options { bandwidth: Some(1.0), ..Options::default() };
    assert_eq!(Metric::Mmd.evaluate(&normal, &collapsed, &given).unwrap().chosen, None);
}

/// The same rows on both sides, in any order: nothing to tell, no distance, and none below zero.
#[test]
fn samples_that_are_the_same() {
    let mut numbers = Numbers::new(33);
    for (n, d) in [(30, 1), (41, 3), (100, 2)] {
        let x = numbers.normals(n, d);
        for order in [(0..n).collect(), numbers.permutation(n)] {
            let (x, y) = (Sample::cloud(x.clone()), Sample::cloud(x.select(Axis(0), &order)));
            let found = |metric: Metric, unbiased: bool| {
                let options = Options { unbiased, ..Options::default() };
                metric.evaluate(&x, &y, &options).unwrap()
            };
            for metric in [Metric::ClassifierNearest, Metric::ClassifierLogistic] {
                assert_eq!(found(metric, false).value, 0.5, "{} {n}", metric.name());
            }
            let kernels = [
                Metric::Mmd,
                Metric::MmdMixture,
                Metric::MmdImq,
                Metric::MmdPolynomial,
                Metric::Energy,
            ];
            for metric in kernels {
                let value = found(metric, false).value;
                assert!((0.0..1e-13).contains(&value), "{}: {value}", metric.name());
                let unbiased = found(metric, true);
                assert!(unbiased.value.abs() < 1e-12, "{}: {}", metric.name(), unbiased.value);
                assert!(unbiased.standard_error.unwrap() > 0.0);
            }
            let kid = found(Metric::Kid, false);
            assert!(kid.value.abs() < 1e-11 && kid.standard_error.unwrap() > 0.0, "{kid:?}");
            for metric in [Metric::Sliced, Metric::MaxSliced, Metric::Frechet] {
                let value = found(metric, false).value;
                assert!((0.0..1e-14).contains(&value), "{}: {value}", metric.name());
            }
        }
    }
}

/// Half of the rows are shared: with them as pairs of a row with itself the statistic would be below
/// zero by half of what identical samples give.
#[test]
fn rows_that_both_samples_hold() {
    let mut numbers = Numbers::new(34);
    let kernel = Kernel::Rbf { bandwidth: 1.0 };
    let (mut total, mut squares, repeats) = (0.0, 0.0, 200);
    for _ in 0..repeats {
        let pool = numbers.normals(60, 2);
        let (x, y) = (pool.slice(ndarray::s![..40, ..]), pool.slice(ndarray::s![20.., ..]));
        let value = mmd2(x, y, kernel).unwrap().unbiased;
        total += value;
        squares += value * value;
    }
    // The mean is zero: unbiased over pairs of different draws.
    let repeats = f64::from(repeats);
    let error = (squares / repeats).sqrt() / repeats.sqrt();
    assert!((total / repeats).abs() < 4.9 * error, "{} +- {error}", total / repeats);
    // Rows of a discrete law coincide by chance, and count.
    let (x, y) = (array![[0.0], [0.0], [1.0]], array![[0.0], [1.0], [1.0], [1.0]]);
    let found = mmd2(x.view(), y.view(), Kernel::Distance).unwrap();
    check_close("discrete", found.unbiased, 2.0 * 7.0 / 12.0 - 2.0 / 3.0 - 0.5, 1e-14, 1.0);
}

/// In many dimensions: a shift s of some rows, |s| along it, and no direction is better.
#[test]
fn maxima_in_many_dimensions() {
    let mut numbers = Numbers::new(35);
    for d in [100, 600] {
        let x = numbers.normals(60, d);
        let shift = numbers.normals(1, d).row(0).to_owned() * 2.0;
        let length = shift.dot(&shift).sqrt();
        let starts = metrics::random_directions(d, 16, sde_core::Key::root(1)).unwrap();
        for p in [1.0, 2.0, 30.0] {
            let found =
                max_sliced_w(x.view(), None, (&x + &shift).view(), None, starts.view(), p).unwrap();
            check_close("shift", found.value, length, 1e-9, 0.0);
        }
    }
}
