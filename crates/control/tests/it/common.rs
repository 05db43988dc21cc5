//! Targets and small tools of all tests.

use control::{Dense, Measurement};
use ndarray::{Array2, array};
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, State};

/// Standard normals `[rows, dim]`.
pub(crate) fn normals(seed: u64, rows: usize, dim: usize) -> Array2<f64> {
    Array2::zeros((rows, dim)).normals_like(Key::root(seed), 0).unwrap()
}

/// The largest difference of two arrays.
pub(crate) fn off(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    (a - b).iter().fold(0.0, |worst, d| if d.abs() > worst || d.is_nan() { d.abs() } else { worst })
}

/// A mixture of three components in two dimensions.
pub(crate) fn three() -> GaussianMixture {
    let covs = [
        array![[0.3, 0.1], [0.1, 0.2]],
        array![[0.1, 0.0], [0.0, 0.4]],
        array![[0.2, -0.1], [-0.1, 0.2]],
    ];
    let means = array![[-1.0, 0.5], [1.2, 0.3], [0.2, -1.0]];
    GaussianMixture::new(&[0.5, 0.2, 0.3], &means, &covs).unwrap()
}

/// A Gaussian of dimension `d` with a covariance `B B^T / d + 0.1 I`.
pub(crate) fn gaussian(seed: u64, d: usize) -> GaussianMixture {
    let b = normals(seed, d, d);
    let cov = b.dot(&b.t()) / d as f64 + Array2::<f64>::eye(d) * 0.1;
    GaussianMixture::new(&[1.0], &normals(seed + 1, 1, d), &[cov]).unwrap()
}

/// The measurement `y` by a matrix.
pub(crate) fn by(a: &Array2<f64>, y: &[f64], noise: f64) -> Measurement {
    let y = Array2::from_shape_vec((1, y.len()), y.to_vec()).unwrap();
    Measurement::new(Dense::new(a.clone()).unwrap(), y, noise).unwrap()
}

/// The mean and the standard error of numbers.
pub(crate) fn mean_and_error(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let var = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    (mean, (var / n).sqrt())
}

/// The squared W2 of two clouds.
pub(crate) fn squared_w2(x: &Array2<f64>, y: &Array2<f64>) -> f64 {
    metrics::w2(x.view(), y.view()).unwrap().primal
}

/// A normal number is farther out with a probability of 1e-6.
pub(crate) const SURE: f64 = 4.892;
