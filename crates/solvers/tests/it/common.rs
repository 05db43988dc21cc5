//! Reference data, targets and small tools of all tests.

use std::path::PathBuf;

use ndarray::Array2;
use sde_core::analytic::GaussianMixture;
use sde_core::{Key, Sde, State, sde};
use serde_json::Value;
use solvers::Method;

/// A fixture of this crate.
pub(crate) fn fixture(name: &str) -> Value {
    json(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name))
}

/// A JSON file.
pub(crate) fn json(path: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// A list of numbers.
pub(crate) fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// A list of rows.
pub(crate) fn matrix(v: &Value) -> Array2<f64> {
    let rows: Vec<_> = v.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

/// A mixture of `targets.json`.
pub(crate) fn target(name: &str) -> GaussianMixture {
    let all = fixture("targets.json");
    let t = &all["targets"][name];
    let covs: Vec<_> = t["covs"].as_array().unwrap().iter().map(matrix).collect();
    GaussianMixture::new(&numbers(&t["weights"]), &matrix(&t["means"]), &covs).unwrap()
}

/// The SDE of a reference's name (`vp`, `subvp`, `ve`, `ou`).
pub(crate) fn sde_of(name: &str) -> Box<dyn Sde> {
    sde::parse(if name == "subvp" { "sub-vp" } else { name }).unwrap()
}

/// Standard normals `[rows, dim]`.
pub(crate) fn normals(seed: u64, rows: usize, dim: usize) -> Array2<f64> {
    Array2::zeros((rows, dim)).normals_like(Key::root(seed), 0).unwrap()
}

/// Root of the mean squared distance of rows.
pub(crate) fn distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    ((a - b).mapv(|d| d * d).sum() / a.nrows() as f64).sqrt()
}

/// The least-squares slope of `log e` against `log n`, with the sign of an order.
pub(crate) fn slope(n: &[usize], e: &[f64]) -> f64 {
    let x: Vec<f64> = n.iter().map(|n| -(*n as f64).ln()).collect();
    let y: Vec<f64> = e.iter().map(|e| e.ln()).collect();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (mx, my) = (mean(&x), mean(&y));
    let top: f64 = x.iter().zip(&y).map(|(x, y)| (x - mx) * (y - my)).sum();
    top / x.iter().map(|x| (x - mx) * (x - mx)).sum::<f64>()
}

/// Whether a method draws noise on parts of a step, as a grid of equal cells has not.
pub(crate) fn draws_inside(method: Method) -> bool {
    [Method::DpmSolverPPSde, Method::Seeds2, Method::Seeds3].contains(&method)
}
