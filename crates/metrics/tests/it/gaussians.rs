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
