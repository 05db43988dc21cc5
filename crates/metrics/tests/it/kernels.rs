//! Kernel statistics: thread invariance, standard error, median heuristic.

use metrics::{Kernel, mmd2, mmd2_with_error};
use ndarray::{Axis, array, concatenate};

use crate::support::{Numbers, check_close};

const KERNEL: Kernel = Kernel::Rbf { bandwidth: 1.0 };

#[test]
fn threads_do_not_change_a_bit() {
    let mut numbers = Numbers::new(1);
    let (x, y) = (numbers.normals(301, 3), numbers.normals(200, 3) + 0.3);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| mmd2_with_error(x.view(), y.view(), KERNEL).unwrap())
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn both_ways_to_the_estimates_agree() {
    let mut numbers = Numbers::new(2);
    let (x, y) = (numbers.normals(60, 2), numbers.normals(45, 2) * 1.5);
    for kernel in
        [KERNEL, Kernel::InverseMultiquadric { offset: 0.7 }, Kernel::Cubic, Kernel::Distance]
    {
        let (short, long) = (
            mmd2(x.view(), y.view(), kernel).unwrap(),
            mmd2_with_error(x.view(), y.view(), kernel).unwrap(),
        );
        check_close("biased", short.biased, long.biased, 1e-12, 1e-3);
        check_close("unbiased", short.unbiased, long.unbiased, 1e-12, 1e-3);
        assert_eq!(short.standard_error, None);
    }
}

/// The standard error against the spread over repetitions, with and without a difference.
#[test]
fn standard_error_is_the_spread() {
    let mut numbers = Numbers::new(7);
    for shift in [0.0, 0.6] {
        let (mut values, mut variances) = (Vec::new(), 0.0);
        let n_repeats = 400;
        for _ in 0..n_repeats {
            let (x, y) = (numbers.normals(40, 2), numbers.normals(60, 2) + shift);
            let mmd = mmd2_with_error(x.view(), y.view(), KERNEL).unwrap();
            values.push(mmd.unbiased);
            variances += mmd.standard_error.unwrap().powi(2) / f64::from(n_repeats);
        }
        let mean = values.iter().sum::<f64>() / f64::from(n_repeats);
        let spread =
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n_repeats - 1);
        // The spread of 400 values is itself known to about 5 percent (more with heavy tails).
        check_close(&format!("shift {shift}"), variances.sqrt(), spread.sqrt(), 0.2, 0.0);
        if shift == 0.0 {
            // Unbiased: within 5 standard errors of zero.
            assert!(mean.abs() < 5.0 * (spread / f64::from(n_repeats)).sqrt());
        }
    }
}

#[test]
fn median_bandwidth() {
    let (x, y) = (array![[0.0, 0.0], [3.0, 4.0]], array![[0.0, 0.0], [6.0, 8.0]]);
    // Distances 0, 5, 5, 5, 10, 10.
    assert_eq!(Kernel::rbf_median(x.view(), y.view()).unwrap(), Kernel::Rbf { bandwidth: 5.0 });
    let mut numbers = Numbers::new(4);
    let (x, y) = (numbers.normals(3000, 2), numbers.normals(1000, 2));
    let Kernel::Rbf { bandwidth } = Kernel::rbf_median(x.view(), y.view()).unwrap() else {
        unreachable!("the heuristic is one for the RBF kernel")
    };
    // |x - y| of two standard normals in the plane is Rayleigh with scale sqrt 2.
    check_close("median", bandwidth, 2.0 * 2.0_f64.ln().sqrt(), 0.05, 0.0);
    let all = concatenate![Axis(0), x, y];
    assert!(metrics::mmd2(all.view(), y.view(), Kernel::Rbf { bandwidth }).is_ok());
}
