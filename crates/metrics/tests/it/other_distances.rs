//! Gaussian and sliced distances in closed form.

use metrics::{frechet_distance, gaussian_w2, sliced_w};
use ndarray::{Array1, Array2, array};

use crate::support::{Numbers, check_close};

#[test]
fn gaussians_with_commuting_covariances() {
    let mut numbers = Numbers::new(1);
    let d = 6;
    // A rotation from the Gram-Schmidt of a random matrix, shared by both covariances.
    let mut q = numbers.normals(d, d);
    for i in 0..d {
        for j in 0..i {
            let overlap = q.row(i).dot(&q.row(j));
            let other = q.row(j).to_owned();
            q.row_mut(i).scaled_add(-overlap, &other);
        }
        let norm = q.row(i).dot(&q.row(i)).sqrt();
        q.row_mut(i).mapv_inplace(|value| value / norm);
    }
    let (s1, s2) = (array![0.0, 0.5, 1.0, 2.0, 3.0, 4.0], array![1.0, 0.0, 2.0, 0.0, 1.0, 4.5]);
    let covariance = |s: &Array1<f64>| q.t().dot(&Array2::from_diag(&s.mapv(|v| v * v))).dot(&q);
    let (m1, m2) = (Array1::zeros(d), Array1::from_elem(d, 0.5));
    let found =
        gaussian_w2(m1.view(), covariance(&s1).view(), m2.view(), covariance(&s2).view()).unwrap();
    let expected = 1.5 + (&s1 - &s2).mapv(|v| v * v).sum();
    check_close("commuting", found, expected, 1e-7, 0.0);
}

/// Divergences are zero between equals, positive and not symmetric between others, unchanged by an
/// affine map (KL), and infinite where a covariance is singular.
#[test]
fn divergences_of_gaussians() {
    let mut numbers = Numbers::new(2);
    let d = 4;
    let mut gaussian = || {
        let a = numbers.normals(d, d);
        (numbers.normals(1, d).row(0).to_owned(), a.t().dot(&a) + Array2::<f64>::eye(d) * 0.1)
    };
    let ((m1, c1), (m2, c2)) = (gaussian(), gaussian());
    let kl = |m1: &Array1<f64>, c1: &Array2<f64>, m2: &Array1<f64>, c2: &Array2<f64>| {
        metrics::gaussian_kl(m1.view(), c1.view(), m2.view(), c2.view()).unwrap()
    };
    let fisher = |c1: &Array2<f64>, c2: &Array2<f64>| {
        let (m1, m2) = (m1.view(), m2.view());
        metrics::gaussian_fisher_divergence(m1, c1.view(), m2, c2.view()).unwrap()
    };
    let entropy = |c: &Array2<f64>| metrics::gaussian_entropy(c.view()).unwrap();
    check_close("equal", kl(&m1, &c1, &m1, &c1), 0.0, 0.0, 1e-13);
    let (there, back) = (kl(&m1, &c1, &m2, &c2), kl(&m2, &c2, &m1, &c1));
    assert!(there > 0.0 && back > 0.0 && (there - back).abs() > 1e-3, "{there} {back}");
    assert!(fisher(&c1, &c2) > 0.0);
    // x -> a x + b leaves KL as it is, and adds log |det a| to the entropy.
    let a = Array2::from_diag(&array![2.0, -0.5, 3.0, 1.5]);
    let moved = |m: &Array1<f64>| a.dot(m) + 1.0;
    let spread = |c: &Array2<f64>| a.dot(c).dot(&a);
    let after = kl(&moved(&m1), &spread(&c1), &moved(&m2), &spread(&c2));
    check_close("affine", after, there, 1e-11, 0.0);
    check_close("entropy", entropy(&spread(&c1)), entropy(&c1) + 4.5_f64.ln(), 1e-12, 0.0);
    let flat = Array2::from_diag(&array![1.0, 1.0, 1.0, 0.0]);
    for value in [kl(&m1, &flat, &m2, &c2), kl(&m1, &c1, &m2, &flat), fisher(&c1, &flat)] {
        assert_eq!(value, f64::INFINITY);
    }
    assert_eq!(entropy(&flat), f64::NEG_INFINITY);
    let wide = Array2::<f64>::zeros((4, 3));
    assert!(metrics::gaussian_entropy(wide.view()).is_err());
    assert!(metrics::gaussian_kl(m1.view(), wide.view(), m2.view(), c2.view()).is_err());
}

#[test]
fn frechet_distance_sees_shift_and_scale() {
    let x = Numbers::new(2).normals(300, 3);
    let y = &x + 2.0;
    check_close("shift", frechet_distance(x.view(), y.view()).unwrap(), 12.0, 1e-10, 0.0);
    check_close("itself", frechet_distance(x.view(), x.view()).unwrap(), 0.0, 1e-7, 1.0);
}

#[test]
fn sliced_in_one_dimension_is_the_exact_distance() {
    let mut numbers = Numbers::new(3);
    let (x, y) = (numbers.normals(70, 1), numbers.normals(110, 1) + 0.4);
    let one = array![[1.0]];
    let found = sliced_w(x.view(), None, y.view(), None, one.view(), 2.0).unwrap();
    let exact = metrics::w2(x.view(), y.view()).unwrap();
    check_close("W2", found.mean, exact.distance(), 1e-12, 0.0);
    let found = sliced_w(x.view(), None, y.view(), None, one.view(), 1.0).unwrap();
    check_close("W1", found.max, metrics::w1(x.view(), y.view()).unwrap().distance(), 1e-12, 0.0);
}
