//! Divergences of histograms: closed forms, bounds, standard errors.

use metrics::{Error, Histogram2d, HistogramBuilder, HistogramDivergence as Divergence};
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;

use crate::support::{Numbers, check_close};

#[test]
fn two_bins_in_closed_form() {
    let (a, b) = (array![0.9, 0.1], array![0.5, 0.5]);
    let of = |which: Divergence| which.between(a.view(), b.view()).unwrap();
    check_close("TV", of(Divergence::TotalVariation), 0.4, 1e-15, 0.0);
    check_close("L1", of(Divergence::L1), 0.8, 1e-15, 0.0);
    let kl = 0.9 * 1.8_f64.ln() + 0.1 * 0.2_f64.ln();
    check_close("KL", of(Divergence::Kl), kl, 1e-14, 0.0);
    let half = |p: [f64; 2]| {
        p.iter().zip([0.7, 0.3]).map(|(p, m): (&f64, f64)| p * (p / m).ln()).sum::<f64>()
    };
    let js = 0.5 * (half([0.9, 0.1]) + half([0.5, 0.5]));
    check_close("JS", of(Divergence::JensenShannon), js, 1e-14, 0.0);
    let affinity = (0.45_f64).sqrt() + (0.05_f64).sqrt();
    check_close("Hellinger", of(Divergence::Hellinger), (1.0 - affinity).sqrt(), 1e-14, 0.0);
}

#[test]
fn extremes() {
    let (left, right) = (array![2.0, 0.0, 0.0], array![0.0, 1.0, 1.0]);
    let of = |which: Divergence| which.between(left.view(), right.view()).unwrap();
    assert_eq!(of(Divergence::TotalVariation), 1.0);
    assert_eq!(of(Divergence::L1), 2.0);
    assert_eq!(of(Divergence::Kl), f64::INFINITY);
    check_close("JS", of(Divergence::JensenShannon), std::f64::consts::LN_2, 1e-15, 0.0);
    check_close("Hellinger", of(Divergence::Hellinger), 1.0, 1e-15, 0.0);
    let infinite =
        Divergence::Kl.with_error(left.view(), Some(10), right.view(), Some(10)).unwrap();
    assert_eq!((infinite.value, infinite.standard_error), (f64::INFINITY, f64::INFINITY));
    for which in Divergence::ALL {
        assert_eq!(which.between(left.view(), left.view()).unwrap(), 0.0, "{which:?}");
        let same = which.with_error(left.view(), Some(9), left.view(), Some(9)).unwrap();
        assert_eq!((same.value, same.standard_error), (0.0, 0.0), "{which:?}");
    }
    // A difference of 1e-9 has a KL of its square, not rounding.
    let (a, b) = (array![0.5, 0.5], array![0.5 + 1e-9, 0.5 - 1e-9]);
    let tiny = Divergence::Kl.between(a.view(), b.view()).unwrap();
    check_close("tiny", tiny, 2e-18, 1e-6, 0.0);
    // Masses over three hundred orders of magnitude.
    let (a, b) = (array![1.0, 1e-300], array![1e-300, 1.0]);
    check_close(
        "far",
        Divergence::Kl.between(a.view(), b.view()).unwrap(),
        300.0 * 10_f64.ln(),
        1e-12,
        0.0,
    );
}

#[test]
fn misuse_is_named() {
    let a = array![1.0, 0.0];
    let fails =
        |b: Array1<f64>| Divergence::L1.between(a.view(), b.view()).unwrap_err().to_string();
    assert_eq!(fails(array![1.0]), "second histogram: expected [2], found [1]");
    assert_eq!(
        fails(array![0.5, 0.6]),
        "masses differ: 1 on the left, 1.1 on the right, by 9.1e-2 of the larger"
    );
    assert_eq!(fails(array![0.0, 0.0]), "second histogram has no mass: total 0");
    assert_eq!(
        fails(array![1.0, f64::NAN]),
        "second histogram holds the weight NaN at index 1, expected a finite value >= 0"
    );
    let error = Divergence::L1.with_error(a.view(), Some(0), a.view(), None).unwrap_err();
    assert_eq!(error.to_string(), "samples of the first must be >= 1, found 0");
    let two = Histogram2d::from_weights(1.0, Array2::ones((2, 2))).unwrap();
    let three = Histogram2d::from_weights(1.0, Array2::ones((3, 3))).unwrap();
    assert!(matches!(two.divergence(&three, Divergence::Kl), Err(Error::ShapeMismatch { .. })));
}

/// Counts of one law against a known density, and of two laws: the standard error is the spread.
#[test]
fn standard_errors_are_the_spread() {
    let mut numbers = Numbers::new(1);
    let (p, q) = (array![0.5, 0.3, 0.15, 0.05], array![0.2, 0.2, 0.3, 0.3]);
    let mut counts = |law: &Array1<f64>, n: usize| {
        let mut found = Array1::<f64>::zeros(law.len());
        for _ in 0..n {
            let mut rest = numbers.uniform();
            let mut bin = 0;
            while bin + 1 < law.len() && rest >= law[bin] {
                rest -= law[bin];
                bin += 1;
            }
            found[bin] += 1.0;
        }
        found / n as f64
    };
    for which in Divergence::ALL {
        for second in [None, Some(1500_u64)] {
            let n_repeats = 400;
            let (mut values, mut said) = (Vec::new(), 0.0);
            for _ in 0..n_repeats {
                let a = counts(&p, 2000);
                let b = second.map_or_else(|| q.clone(), |m| counts(&q, m as usize));
                let found = which.with_error(a.view(), Some(2000), b.view(), second).unwrap();
                values.push(found.value);
                said += found.standard_error.powi(2) / f64::from(n_repeats);
            }
            let mean = values.iter().sum::<f64>() / f64::from(n_repeats);
            let spread =
                values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n_repeats - 1);
            // A variance of 400 values is known to 7 percent: 4.9 of these, halved by the root.
            check_close(&format!("{which:?} {second:?}"), said.sqrt(), spread.sqrt(), 0.18, 0.0);
        }
    }
}

#[test]
fn on_a_grid_of_samples() {
    let mut builder = HistogramBuilder::new(1.0, 3).unwrap();
    builder.add(array![[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [9.0, 0.0]].view()).unwrap();
    let a = builder.finish().unwrap();
    let b = Histogram2d::from_weights(1.0, Array2::ones((3, 3))).unwrap();
    let found = a.divergence(&b, Divergence::TotalVariation).unwrap();
    check_close("TV", found.value, a.total_variation(&b).unwrap(), 1e-15, 0.0);
    // Three samples were kept; only their two bins exceed 1/9, so all of a has the slope 1/2.
    check_close("error", found.standard_error, 0.0, 1e-15, 1.0);
    let kl = a.divergence(&b, Divergence::Kl).unwrap();
    let slopes = [(2.0 / 3.0, 6.0_f64.ln()), (1.0 / 3.0, 3.0_f64.ln())];
    let mean: f64 = slopes.iter().map(|(p, t)| p * t).sum();
    let variance = slopes.iter().map(|(p, t)| p * (t - mean).powi(2)).sum::<f64>() / 3.0;
    check_close("KL", kl.value, mean, 1e-14, 0.0);
    check_close("error", kl.standard_error, variance.sqrt(), 1e-12, 0.0);
}

proptest! {
    #[test]
    fn bounds_hold(seed: u64, n in 1_usize..30, zeros: bool) {
        let mut numbers = Numbers::new(seed);
        let mut law = || {
            let mut w = Array1::from_shape_simple_fn(n, || numbers.uniform().powi(4));
            if zeros { w.mapv_inplace(|v| if v < 0.1 { 0.0 } else { v }); }
            w[0] += 0.1;
            &w / w.sum()
        };
        let (a, b) = (law(), law());
        let of = |which: Divergence, p: &Array1<f64>, q: &Array1<f64>| which.between(p.view(), q.view()).unwrap();
        let (tv, kl) = (of(Divergence::TotalVariation, &a, &b), of(Divergence::Kl, &a, &b));
        let (js, h) = (of(Divergence::JensenShannon, &a, &b), of(Divergence::Hellinger, &a, &b));
        // Pinsker; Le Cam; and TV bounds JS.
        prop_assert!(2.0 * tv * tv <= kl + 1e-12);
        prop_assert!(h * h <= tv + 1e-12 && tv <= h * 2.0_f64.sqrt() + 1e-12);
        prop_assert!(js <= std::f64::consts::LN_2 * tv + 1e-12);
        for which in [Divergence::TotalVariation, Divergence::L1, Divergence::JensenShannon, Divergence::Hellinger] {
            check_close("symmetry", of(which, &a, &b), of(which, &b, &a), 1e-12, 1e-6);
        }
    }
}
