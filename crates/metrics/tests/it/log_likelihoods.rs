//! Summaries of log-likelihoods.

use metrics::log_likelihood;
use ndarray::{Array1, Axis, array, concatenate};

use crate::support::{Numbers, check_close};

/// Standard normals in D dimensions under their own density: everything is known.
#[test]
fn of_a_standard_normal() {
    let (n, d) = (4000, 3);
    let z = Numbers::new(1).normals(n, d);
    let tau = std::f64::consts::TAU;
    let values: Array1<f64> =
        z.rows().into_iter().map(|z| -0.5 * (z.dot(&z) + d as f64 * tau.ln())).collect();
    let found = log_likelihood(values.view(), None, d).unwrap();
    // Minus the entropy; the variance of half a chi-squared is d/2.
    let entropy = 0.5 * d as f64 * (1.0 + tau.ln());
    check_close("error", found.mean.standard_error, (0.5 * d as f64 / n as f64).sqrt(), 0.1, 0.0);
    assert!((found.mean.value + entropy).abs() < 4.9 * found.mean.standard_error);
    let bit = d as f64 * std::f64::consts::LN_2;
    check_close("bits", found.bits_per_dim.value, -found.mean.value / bit, 1e-15, 0.0);
    check_close("n", found.effective_count, n as f64, 1e-12, 0.0);
    assert_eq!((found.n_finite, found.n_nan, found.finite_share), (n, 0, 1.0));
    let below = |level: f64| values.iter().filter(|v| **v <= level).count() as f64 / n as f64;
    for (quantile, level) in found.quantiles.iter().zip([0.05, 0.25, 0.75, 0.95]) {
        // n times the level is a whole number of values.
        assert_eq!(below(*quantile), level);
    }
}

#[test]
fn weights_are_repetitions() {
    let values = array![-3.0, -1.0, -2.0, -7.0];
    let weights = array![1.0, 2.0, 1.0, 3.0];
    let repeated = array![-3.0, -1.0, -1.0, -2.0, -7.0, -7.0, -7.0];
    let weighted = log_likelihood(values.view(), Some(weights.view()), 1).unwrap();
    let plain = log_likelihood(repeated.view(), None, 1).unwrap();
    check_close("mean", weighted.mean.value, plain.mean.value, 1e-14, 0.0);
    assert_eq!((weighted.median, weighted.quantiles), (plain.median, plain.quantiles));
    check_close("count", weighted.effective_count, 49.0 / 15.0, 1e-14, 0.0);
    // The median of an even number is the middle of the two middle ones.
    let even = log_likelihood(values.view(), None, 1).unwrap();
    assert_eq!(even.median, -2.5);
    let twice = concatenate![Axis(0), values, values];
    assert_eq!(log_likelihood(twice.view(), None, 1).unwrap().quantiles, even.quantiles);
}

#[test]
fn what_is_not_finite_is_counted() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let values = array![-1.0, nan, -inf, -3.0, inf, nan, -inf, -inf];
    let found = log_likelihood(values.view(), None, 2).unwrap();
    assert_eq!(found.mean.value, -2.0);
    let counts = (found.n_finite, found.n_nan, found.n_minus_infinity, found.n_plus_infinity);
    assert_eq!(counts, (2, 2, 3, 1));
    check_close("share", found.finite_share, 0.25, 1e-15, 0.0);
    let fails = |values: Array1<f64>, dim| {
        log_likelihood(values.view(), None, dim).unwrap_err().to_string()
    };
    assert_eq!(
        fails(array![nan, -1.0], 1),
        "finite log-likelihoods has 1 rows, expected at least 2"
    );
    assert_eq!(fails(array![], 1), "log-likelihoods has 0 rows, expected at least 2");
    assert_eq!(fails(array![-1.0, -2.0], 0), "dimension must be >= 1, found 0");
    let negative = array![1.0, -1.0];
    let error = log_likelihood(array![-1.0, -2.0].view(), Some(negative.view()), 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "log-likelihoods holds the weight -1 at index 1, expected a finite value >= 0"
    );
    // Nothing varies.
    let flat = log_likelihood(array![-2.0, -2.0].view(), None, 1).unwrap();
    assert_eq!((flat.mean.standard_error, flat.median), (0.0, -2.0));
}
