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
