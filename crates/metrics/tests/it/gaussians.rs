//! Gaussians without full rank, and samples with fewer rows than columns, in closed form.

use metrics::{frechet_distance, gaussian_w2};
use ndarray::{Array1, Array2, Axis, array};

use crate::support::{Numbers, check_close};

/// A rotation: Gram-Schmidt of a random matrix.
fn rotation(numbers: &mut Numbers, d: usize) -> Array2<f64> {
    let mut q = numbers.normals(d, d);
    for i in 0..d {
        for _twice in 0..2 {
            for j in 0..i {
                let overlap = q.row(i).dot(&q.row(j));
                let other = q.row(j).to_owned();
                q.row_mut(i).scaled_add(-overlap, &other);
            }
        }
        let norm = q.row(i).dot(&q.row(i)).sqrt();
        q.row_mut(i).mapv_inplace(|value| value / norm);
    }
    q
}

fn w2(c1: &Array2<f64>, c2: &Array2<f64>) -> f64 {
    let zero = Array1::zeros(c1.nrows());
    gaussian_w2(zero.view(), c1.view(), zero.view(), c2.view()).unwrap()
}

/// Commuting covariances of any rank: the distance of the standard deviations.
#[test]
fn rank_deficient_and_commuting() {
    let mut numbers = Numbers::new(1);
    for d in [2, 6, 20] {
        let q = rotation(&mut numbers, d);
        let mut deviations = |rank: usize| {
            Array1::from_shape_fn(d, |k| if k < rank { 0.5 + numbers.uniform() } else { 0.0 })
        };
        let covariance = |s: &Array1<f64>| q.t().dot(&Array2::from_diag(&(s * s))).dot(&q);
        for (r1, r2) in [(d, d), (d, 1), (d - 1, d / 2), (1, 1), (0, d), (0, 0)] {
            let (s1, s2) = (deviations(r1), deviations(r2));
            let expected = (&s1 - &s2).mapv(|v| v * v).sum();
            let found = w2(&covariance(&s1), &covariance(&s2));
            check_close(&format!("d {d}, ranks {r1} {r2}"), found, expected, 1e-11, 1e-2);
        }
    }
}

/// Lines in the plane at an angle: $C_i = s_i^2 u_i u_i^T$ have overlap $s_1 s_2 |u_1 \cdot u_2|$.
#[test]
fn two_lines_at_an_angle() {
    for degrees in [0.0_f64, 10.0, 45.0, 90.0] {
        let (u1, u2) =
            (array![1.0, 0.0], array![degrees.to_radians().cos(), degrees.to_radians().sin()]);
        let line =
            |u: &Array1<f64>, s: f64| Array2::from_shape_fn((2, 2), |(i, j)| s * s * u[i] * u[j]);
        let expected = 4.0 + 9.0 - 2.0 * 6.0 * u1.dot(&u2).abs();
        check_close("lines", w2(&line(&u1, 2.0), &line(&u2, 3.0)), expected, 1e-13, 1.0);
    }
}

#[test]
fn identical_and_graded() {
    let mut numbers = Numbers::new(2);
    for rank in [1, 3, 8] {
        let a = numbers.normals(rank, 8);
        let c = a.t().dot(&a);
        check_close("itself", w2(&c, &c), 0.0, 1e-14, c.diag().sum());
    }
    // Standard deviations over twenty orders of magnitude: none is rounding of another.
    let s = array![1.0, 1e-5, 1e-10, 1e-20];
    let c = Array2::from_diag(&(&s * &s));
    let only_last = Array2::from_diag(&array![1.0, 1e-10, 1e-20, 9e-40]);
    check_close("graded", w2(&c, &only_last), 0.0, 1e-15, 1.0);
    let zero = Array2::zeros((4, 4));
    check_close("to a point", w2(&c, &zero), c.diag().sum(), 1e-15, 0.0);
}

#[test]
fn what_is_no_covariance_is_refused() {
    let zero = array![0.0, 0.0];
    let one = Array2::eye(2);
    for bad in [
        array![[1.0, 2.0], [2.0, 1.0]],
        array![[0.0, 1.0], [1.0, 0.0]],
        array![[-1.0, 0.0], [0.0, 1.0]],
    ] {
        let error = gaussian_w2(zero.view(), bad.view(), zero.view(), one.view()).unwrap_err();
        assert!(error.to_string().contains("not positive semidefinite"), "{error}");
    }
}

/// Of few rows in many columns: padding with zero columns and rotating change nothing.
#[test]
fn fewer_rows_than_columns() {
    let mut numbers = Numbers::new(3);
    let (x, y) = (numbers.normals(12, 5), numbers.normals(9, 5) * 2.0 + 0.5);
    let base = frechet_distance(x.view(), y.view()).unwrap();
    let q = rotation(&mut numbers, 30);
    let wide = |cloud: &Array2<f64>| {
        let padded =
            Array2::from_shape_fn(
                (cloud.nrows(), 30),
                |(i, k)| {
                    if k < 5 { cloud[[i, k]] } else { 0.0 }
                },
            );
        padded.dot(&q)
    };
    let (wide_x, wide_y) = (wide(&x), wide(&y));
    check_close(
        "padded",
        frechet_distance(wide_x.view(), wide_y.view()).unwrap(),
        base,
        1e-12,
        0.0,
    );
    check_close(
        "itself",
        frechet_distance(wide_x.view(), wide_x.view()).unwrap(),
        0.0,
        1e-13,
        30.0,
    );
    // As by the covariances.
    let moments = |cloud: &Array2<f64>| {
        let mean = cloud.mean_axis(Axis(0)).unwrap();
        let centred = cloud - &mean;
        (mean, centred.t().dot(&centred) / (cloud.nrows() as f64 - 1.0))
    };
    let ((m1, c1), (m2, c2)) = (moments(&wide_x), moments(&wide_y));
    let found = gaussian_w2(m1.view(), c1.view(), m2.view(), c2.view()).unwrap();
    check_close("covariances", found, base, 1e-11, 0.0);
    // A constant column, and one that repeats another.
    let degenerate = |cloud: &Array2<f64>| {
        Array2::from_shape_fn((cloud.nrows(), 3), |(i, k)| if k == 2 { 7.0 } else { cloud[[i, 0]] })
    };
    let line = |cloud: &Array2<f64>| cloud.column(0).to_owned().insert_axis(Axis(1));
    let single = frechet_distance(line(&x).view(), line(&y).view()).unwrap();
    let found = frechet_distance(degenerate(&x).view(), degenerate(&y).view()).unwrap();
    check_close("repeated", found, 2.0 * single, 1e-12, 0.0);
}

/// Rows of rationals, correlated between neighbouring columns, of columns of very different size.
fn lattice(
    n: usize,
    scales: [f64; 3],
    ways: ([usize; 3], [usize; 3]),
    mix: f64,
    stretch: [f64; 3],
) -> Array2<f64> {
    let mut x = Array2::from_shape_fn((n, 3), |(i, k)| {
        (((i * ways.0[k] + ways.1[k]) % 1009) as f64 / 1009.0 - 0.5) * stretch[k]
    });
    for mut row in x.rows_mut() {
        for k in 1..3 {
            row[k] += mix * row[k - 1];
        }
        for k in 0..3 {
            row[k] *= scales[k];
        }
    }
    x
}

/// Against the same of 120 digits (mpmath): small differences beside large variances.
#[test]
fn differences_of_large_covariances() {
    for (scales, mix, near, far) in [
        ([1.0, 1.0, 1.0], 0.3, 0.001_510_926_072_387_996_3, 0.024_964_820_502_559_867),
        ([1e8, 1.0, 1.0], 0.3, 0.001_537_130_609_247_209_6, 14_984_316_698_304.936),
        ([1.0, 1e8, 1e4], 0.3, 8_065_847_893_464.199, 65_890_455_436_889.016),
        ([1.0, 1e10, 1.0], 0.0, 8.647_611_132_850_531e16, 8.295_613_297_026_302e17),
        ([1e6, 1e6, 1.0], 0.9, 651_661_309.757_795, 5_362_487_001.818_48),
        ([1e-8, 1.0, 1e8], 0.5, 2_860_030_694_076.72, 96_535_057_067_114.48),
    ] {
        let same = ([37, 101, 211], [5, 7, 11]);
        let x = lattice(40, scales, same, mix, [1.0; 3]);
        let y = lattice(40, scales, same, mix, [1.0, 1.1, 0.9]);
        let z = lattice(30, scales, ([389, 53, 613], [1, 2, 3]), mix, [1.0, 1.2, 0.8]);
        let found = frechet_distance(x.view(), y.view()).unwrap();
        check_close(&format!("near {scales:?}"), found, near, 1e-9, 0.0);
        let found = frechet_distance(x.view(), z.view()).unwrap();
        check_close(&format!("far {scales:?}"), found, far, 1e-11, 0.0);
    }
}

/// A second column that is a tenth wider, beside a first of any size: nothing of it is lost, nor of the
/// error bar.
#[test]
fn a_small_difference_beside_a_large_column() {
    let mut numbers = Numbers::new(6);
    let (z, w) = (numbers.normals(2000, 1), numbers.normals(2000, 1));
    let at = |scale: f64, wider: f64| {
        Array2::from_shape_fn((2000, 2), |(i, k)| [scale * z[[i, 0]], wider * w[[i, 0]]][k])
    };
    // Of s to infinity it is that of the second column given the first.
    let rest = |x: &Array2<f64>| x - &x.mean_axis(Axis(0)).unwrap();
    let (z, w) = (rest(&z), rest(&w));
    let dot = |p: &Array2<f64>, q: &Array2<f64>| (p * q).sum() / 1999.0;
    let unexplained = dot(&w, &w) - dot(&z, &w).powi(2) / dot(&z, &z);
    let mean = (numbers_mean(&at(1.0, 1.0)) * 0.1).powi(2);
    let slope = dot(&z, &w).powi(2) / dot(&z, &z);
    let expected = mean + 0.01 * (unexplained + slope);
    let usual = metrics::frechet_standard_error(at(1.0, 1.0).view(), at(1.0, 1.1).view()).unwrap();
    for scale in [1e3, 1e6, 1e8, 1e12, 1e100] {
        let (x, y) = (at(scale, 1.0), at(scale, 1.1));
        let found = frechet_distance(x.view(), y.view()).unwrap();
        check_close(&format!("{scale:e}"), found, expected, 1e-6, 0.0);
        let error = metrics::frechet_standard_error(x.view(), y.view()).unwrap();
        check_close(&format!("error at {scale:e}"), error, usual, 1e-2, 0.0);
        assert_eq!(frechet_distance(x.view(), x.view()).unwrap(), 0.0);
    }
}

fn numbers_mean(x: &Array2<f64>) -> f64 {
    x.column(1).mean().unwrap()
}

fn diagonal(small: f64) -> Array2<f64> {
    Array2::from_diag(&array![1.0, small])
}

/// Two covariances with eigenvalues over 45 decades.
fn graded() -> [Array2<f64>; 2] {
    [
        array![[1e15, 3e7, 2e-8], [3e7, 2.0, 1e-15], [2e-8, 1e-15, 1e-30]],
        array![[2e15, 1e7, 0.0], [1e7, 1.0, 2e-16], [0.0, 2e-16, 2e-30]],
    ]
}

/// Two covariances that agree to nine digits.
fn near() -> [Array2<f64>; 2] {
    [array![[1.0, 0.2], [0.2, 1.0]], array![[1.0 + 1e-9, 0.2], [0.2, 1.0]]]
}

/// Two covariances, the divergences of Kullback-Leibler and Fisher, and the entropy of the first.
type Pair = (Array2<f64>, Array2<f64>, f64, f64, f64);

fn small_eigenvalues() -> [Pair; 7] {
    let r = 1.0 - 2e-15;
    let strong = array![[1.0, r], [r, 1.0]];
    let weak = array![[2.0, 0.5], [0.5, 1.0]];
    let (graded, near) = (graded(), near());
    let quarter = 0.636_294_361_119_890_6;
    [
        (
            diagonal(1e-17),
            Array2::from_diag(&array![4.0, 4e-17]),
            quarter,
            5.625e16,
            -16.734_096_224_040_044,
        ),
        (
            diagonal(1e-30),
            Array2::from_diag(&array![4.0, 4e-30]),
            quarter,
            5.624_999_999_999_999e29,
            -31.700_899_328_501_34,
        ),
        (
            diagonal(1e-200),
            Array2::from_diag(&array![4.0, 4e-200]),
            quarter,
            5.625e199,
            -227.420_632_232_995_22,
        ),
        (
            strong.clone(),
            weak.clone(),
            16.427_877_281_006_78,
            500_399_958_596_719.7,
            -13.738_763_749_201_151,
        ),
        (weak, strong, 250_199_979_298_343.53, 2.504_001_185_635_998_7e29, 3.117_684_960_377_056_7),
        (
            graded[0].clone(),
            graded[1].clone(),
            0.839_456_929_798_844_3,
            1.360_452_075_384_437_4e30,
            -13.359_146_188_121_297,
        ),
        (
            near[0].clone(),
            near[1].clone(),
            2.712_674_056_238_768_3e-19,
            1.175_492_090_220_485_7e-18,
            2.817_466_069_149_218,
        ),
    ]
}

/// Against the same of 450 digits (mpmath): small eigenvalues, by size and by correlation.
#[test]
fn small_eigenvalues_are_eigenvalues() {
    let (graded, near) = (graded(), near());
    for (c1, c2, kl, fisher, entropy) in small_eigenvalues() {
        let m = Array1::zeros(c1.nrows());
        let (m, c1, c2) = (m.view(), c1.view(), c2.view());
        let what = format!("{c1}");
        check_close(&what, metrics::gaussian_kl(m, c1, m, c2).unwrap(), kl, 1e-12, 0.0);
        check_close(
            &what,
            metrics::gaussian_fisher_divergence(m, c1, m, c2).unwrap(),
            fisher,
            1e-12,
            0.0,
        );
        check_close(&what, metrics::gaussian_entropy(c1).unwrap(), entropy, 1e-14, 1.0);
    }
    let found = w2(&near[0], &near[1]);
    check_close("near", found, 2.552_083_754_337_805e-19, 1e-6, 0.0);
    check_close("graded", w2(&graded[0], &graded[1]), 171_572_875_253_810.44, 1e-12, 0.0);
    // A shift d of standard deviations s: d^2 / 2 s^2 and d^2 / s^4.
    let (m1, m2, c) = (array![0.0, 0.0], array![0.0, 3e-9], diagonal(1e-18));
    let kl = metrics::gaussian_kl(m1.view(), c.view(), m2.view(), c.view()).unwrap();
    check_close("shift", kl, 4.5, 1e-14, 0.0);
    let fisher = metrics::gaussian_fisher_divergence(m1.view(), c.view(), m2.view(), c.view());
    check_close("shift", fisher.unwrap(), 9e18, 1e-14, 0.0);
}

#[test]
fn singular_is_infinite_and_indefinite_an_error() {
    let m = array![0.0, 0.0];
    let one = Array2::eye(2);
    let kl = |a: &Array2<f64>, b: &Array2<f64>| {
        metrics::gaussian_kl(m.view(), a.view(), m.view(), b.view())
    };
    let fisher = |a: &Array2<f64>, b: &Array2<f64>| {
        metrics::gaussian_fisher_divergence(m.view(), a.view(), m.view(), b.view())
    };
    for singular in [array![[1.0, 1.0], [1.0, 1.0]], array![[1.0, 0.0], [0.0, 0.0]]] {
        assert_eq!(
            (kl(&singular, &one), kl(&one, &singular)),
            (Ok(f64::INFINITY), Ok(f64::INFINITY))
        );
        assert_eq!(fisher(&singular, &one), Ok(f64::INFINITY));
        assert_eq!(metrics::gaussian_entropy(singular.view()), Ok(f64::NEG_INFINITY));
    }
    for bad in [
        array![[1.0, 0.0], [0.0, -0.5]],
        array![[1.0, 0.0], [0.0, -1e-12]],
        array![[1.0, 2.0], [2.0, 1.0]],
    ] {
        for found in [
            kl(&bad, &one),
            kl(&one, &bad),
            fisher(&bad, &one),
            metrics::gaussian_entropy(bad.view()),
        ] {
            let error = found.unwrap_err().to_string();
            assert!(error.contains("not positive semidefinite"), "{error}");
        }
    }
    // The trace of 1e200 over 1e-200.
    let (wide, narrow) = (&one * 1e200, &one * 1e-200);
    assert!(matches!(kl(&wide, &narrow), Err(metrics::Error::OutOfRange { .. })));
    check_close("other way", kl(&narrow, &wide).unwrap(), 400.0 * 10.0_f64.ln() - 1.0, 1e-14, 0.0);
}

/// Scaling coordinates by a power of two changes no digit of any of them.
#[test]
fn gaussians_are_homogeneous() {
    let mut numbers = Numbers::new(7);
    for d in 1..6 {
        let mut moments = || {
            let a = numbers.normals(d, d);
            (numbers.normals(1, d).row(0).to_owned(), a.t().dot(&a))
        };
        let ((m1, c1), (m2, c2)) = (moments(), moments());
        let all = |k: i32| {
            let unit = 2.0_f64.powi(k);
            let of = |c: &Array2<f64>| c * unit * unit;
            let (m1, c1, m2, c2) = (&m1 * unit, of(&c1), &m2 * unit, of(&c2));
            let (m1, c1, m2, c2) = (m1.view(), c1.view(), m2.view(), c2.view());
            [
                gaussian_w2(m1, c1, m2, c2).unwrap() / unit / unit,
                metrics::gaussian_kl(m1, c1, m2, c2).unwrap(),
                metrics::gaussian_fisher_divergence(m1, c1, m2, c2).unwrap() * unit * unit,
            ]
        };
        for k in [-490, -100, -1, 3, 100, 490] {
            assert_eq!(all(k), all(0), "d {d} 2^{k}");
        }
    }
}
