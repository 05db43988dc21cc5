//! Kernels beyond the references, and the estimates on pairs, blocks and subsets.

use metrics::{
    Bandwidths, Kernel, energy_distance, energy_distance_with_error, kid, mmd2, mmd2_blocks,
    mmd2_linear, mmd2_on_subsets, mmd2_with_error,
};
use ndarray::{Array2, array, s};
use sde_core::Key;

use crate::support::{Numbers, check_close};

fn kernels() -> Vec<Kernel> {
    vec![
        Kernel::Rbf { bandwidth: 0.7 },
        Kernel::RbfMixture(Bandwidths::new(&[0.2, 1.0, 5.0]).unwrap()),
        Kernel::InverseMultiquadric { offset: 1.3 },
        Kernel::Polynomial { degree: 4, gamma: 0.3, coef0: 0.5 },
        Kernel::Cubic,
        Kernel::Distance,
        Kernel::DistancePower { exponent: 1.5 },
    ]
}

/// The kernels as their documentation writes them.
fn written_out(kernel: Kernel, x: &[f64], y: &[f64]) -> f64 {
    let square: f64 = x.iter().zip(y).map(|(p, q)| (p - q) * (p - q)).sum();
    let inner: f64 = x.iter().zip(y).map(|(p, q)| p * q).sum();
    let rbf = |s: f64| (-square / (2.0 * s * s)).exp();
    match kernel {
        Kernel::Rbf { bandwidth } => rbf(bandwidth),
        Kernel::RbfMixture(all) => {
            all.as_slice().iter().map(|s| rbf(*s)).sum::<f64>() / all.as_slice().len() as f64
        }
        Kernel::InverseMultiquadric { offset } => 1.0 / (offset * offset + square).sqrt(),
        Kernel::Polynomial { degree, gamma, coef0 } => (gamma * inner + coef0).powi(degree as i32),
        Kernel::Cubic => (inner / x.len() as f64 + 1.0).powi(3),
        Kernel::Distance => -square.sqrt(),
        Kernel::DistancePower { exponent } => -square.sqrt().powf(exponent),
        other => panic!("{other:?} is not written out here"),
    }
}

/// Vector loops of every length against the definition, pair by pair.
#[test]
fn sums_are_those_of_the_definition() {
    let mut numbers = Numbers::new(1);
    for (n, m, d) in [(2, 2, 1), (33, 70, 2), (1100, 40, 3)] {
        let (x, y) = (numbers.normals(n, d), numbers.normals(m, d) * 1.2 + 0.1);
        for kernel in kernels() {
            let mean = |p: &Array2<f64>, q: &Array2<f64>, skip: bool| {
                let mut sum = 0.0;
                for (i, p) in p.rows().into_iter().enumerate() {
                    for (j, q) in q.rows().into_iter().enumerate() {
                        if !(skip && i == j) {
                            sum += written_out(kernel, &p.to_vec(), &q.to_vec());
                        }
                    }
                }
                sum / (p.nrows() * (q.nrows() - usize::from(skip))) as f64
            };
            let cross = 2.0 * mean(&x, &y, false);
            let found = mmd2(x.view(), y.view(), kernel).unwrap();
            let size = cross.abs();
            let biased = mean(&x, &x, false) + mean(&y, &y, false) - cross;
            let unbiased = mean(&x, &x, true) + mean(&y, &y, true) - cross;
            check_close(&format!("{kernel:?} V"), found.biased, biased, 1e-12, size);
            check_close(&format!("{kernel:?} U"), found.unbiased, unbiased, 1e-12, size);
            let found = mmd2_with_error(x.view(), y.view(), kernel).unwrap();
            check_close(&format!("{kernel:?} V"), found.biased, biased, 1e-12, size);
            check_close(&format!("{kernel:?} U"), found.unbiased, unbiased, 1e-12, size);
            let point = (x.row(0).to_vec(), y.row(1).to_vec());
            check_close(
                "at",
                kernel.at(&point.0, &point.1),
                written_out(kernel, &point.0, &point.1),
                1e-14,
                0.0,
            );
        }
    }
}

#[test]
fn special_cases_are_the_general_ones() {
    let mut numbers = Numbers::new(2);
    let (x, y) = (numbers.normals(50, 4), numbers.normals(40, 4) + 0.5);
    let of = |kernel: Kernel| mmd2(x.view(), y.view(), kernel).unwrap().unbiased;
    let cubic = Kernel::Polynomial { degree: 3, gamma: 0.25, coef0: 1.0 };
    check_close("KID", of(Kernel::Cubic), of(cubic), 1e-12, 0.0);
    let one = Kernel::DistancePower { exponent: 1.0 };
    check_close("energy", of(Kernel::Distance), of(one), 1e-12, 0.0);
    let single = Kernel::RbfMixture(Bandwidths::new(&[0.7]).unwrap());
    assert_eq!(of(Kernel::Rbf { bandwidth: 0.7 }), of(single));
    // A linear kernel sees the means alone.
    let linear = Kernel::Polynomial { degree: 1, gamma: 1.0, coef0: 0.0 };
    let gap = x.mean_axis(ndarray::Axis(0)).unwrap() - y.mean_axis(ndarray::Axis(0)).unwrap();
    let found = mmd2(x.view(), y.view(), linear).unwrap();
    check_close("means", found.biased, gap.dot(&gap), 1e-12, 0.0);
    let energy = energy_distance(x.view(), y.view()).unwrap();
    check_close("root", energy.distance() * energy.distance(), energy.biased, 1e-14, 0.0);
    let with_error = energy_distance_with_error(x.view(), y.view(), 1.0).unwrap();
    check_close("energy", with_error.unbiased, energy.unbiased, 1e-12, 0.0);
    assert!(with_error.standard_error.is_some_and(|e| e > 0.0));
}

/// Estimates on pairs and on blocks: unbiased, and their standard errors are their spread.
#[test]
fn linear_and_block_estimates_scatter_as_they_say() {
    let mut numbers = Numbers::new(3);
    let kernel = Kernel::Rbf { bandwidth: 1.0 };
    let n_repeats = 400;
    for shift in [0.0, 0.7] {
        let (mut linear, mut blocks) = (Vec::new(), Vec::new());
        // Closed form: E k of normals in one dimension with bandwidth 1.
        let mean_kernel = |gap: f64| (1.0_f64 / 3.0).sqrt() * (-gap * gap / 6.0).exp();
        let exact = 2.0 * mean_kernel(0.0) - 2.0 * mean_kernel(shift);
        for _ in 0..n_repeats {
            let (x, y) = (numbers.normals(101, 1), numbers.normals(120, 1) + shift);
            linear.push(mmd2_linear(x.view(), y.view(), kernel).unwrap());
            blocks.push(mmd2_blocks(x.view(), y.view(), kernel, 10).unwrap());
        }
        for (what, found) in [("linear", linear), ("blocks", blocks)] {
            let count = f64::from(n_repeats);
            let mean = found.iter().map(|e| e.value).sum::<f64>() / count;
            let spread =
                found.iter().map(|e| (e.value - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let said = found.iter().map(|e| e.standard_error.powi(2)).sum::<f64>() / count;
            assert!((mean - exact).abs() < 4.9 * (spread / count).sqrt(), "{what} {mean} {exact}");
            check_close(what, said.sqrt(), spread.sqrt(), 0.2, 0.0);
        }
    }
}

#[test]
fn subsets_are_keyed_and_inside() {
    let mut numbers = Numbers::new(4);
    let (x, y) = (numbers.normals(200, 2), numbers.normals(150, 2) + 0.3);
    let kernel = Kernel::Rbf { bandwidth: 1.0 };
    let of = |n: usize, key: u64| {
        mmd2_on_subsets(x.view(), y.view(), kernel, 50, n, Key::root(key)).unwrap()
    };
    let (few, many) = (of(5, 1), of(200, 1));
    assert_eq!(few.values, many.values[..5]);
    assert_ne!(few.values, of(5, 2).values);
    // The mean over all subsets is the full statistic.
    let full = mmd2(x.view(), y.view(), kernel).unwrap().unbiased;
    assert!((many.mean - full).abs() < 4.9 * many.standard_error, "{} {full}", many.mean);
    // All rows: every subset is the whole.
    let whole =
        mmd2_on_subsets(x.slice(s![..50, ..]), y.slice(s![..50, ..]), kernel, 50, 3, Key::root(1));
    let whole = whole.unwrap();
    check_close("whole", whole.standard_deviation, 0.0, 1e-15, 1.0);
    let kid = kid(x.view(), y.view(), 50, 20, Key::root(1)).unwrap();
    let cubic = mmd2_on_subsets(x.view(), y.view(), Kernel::Cubic, 50, 20, Key::root(1)).unwrap();
    assert_eq!(kid, cubic);
}

#[test]
fn misuse_is_named() {
    let x = array![[0.0], [1.0], [2.0], [3.0]];
    let fails = |kernel: Kernel| mmd2(x.view(), x.view(), kernel).unwrap_err().to_string();
    let exponent = |exponent: f64| fails(Kernel::DistancePower { exponent });
    assert_eq!(exponent(2.0), "exponent must be between 0 and 2, both excluded, found 2");
    assert_eq!(exponent(f64::NAN), "exponent must be between 0 and 2, both excluded, found NaN");
    let polynomial = |degree, gamma, coef0| fails(Kernel::Polynomial { degree, gamma, coef0 });
    assert_eq!(polynomial(0, 1.0, 1.0), "degree must be >= 1, found 0");
    assert_eq!(polynomial(2, -1.0, 1.0), "gamma must be positive and finite, found -1");
    assert_eq!(polynomial(2, 1.0, -1.0), "coef0 must be >= 0 and finite, found -1");
    let nine = Bandwidths::new(&[1.0; 9]).unwrap_err().to_string();
    assert_eq!(nine, "number of bandwidths must be 1 to 8, found 9");
    let kernel = Kernel::Distance;
    let key = Key::root(0);
    let error = mmd2_on_subsets(x.view(), x.view(), kernel, 5, 3, key).unwrap_err().to_string();
    assert_eq!(error, "first cloud has 4 rows, expected at least 5: subset-size is 5");
    let error = mmd2_blocks(x.view(), x.view(), kernel, 3).unwrap_err().to_string();
    assert_eq!(error, "first cloud has 4 rows, expected at least 6: block size is 3");
    let two = x.slice(s![..2, ..]);
    let error = mmd2_linear(two, x.view(), kernel).unwrap_err().to_string();
    assert_eq!(error, "first cloud has 2 rows, expected at least 4");
}
