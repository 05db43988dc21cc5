//! Thin singular value decompositions of dense matrices.

use faer::Mat;
use ndarray::Array2;
use sde_core::Result;

use super::refuse;

/// `A = U diag(d) V^T`, all singular values kept.
pub(super) struct Svd {
    /// `[M, P]`, `P = min(M, D)`.
    pub(super) left: Array2<f64>,
    pub(super) values: Vec<f64>,
    /// `[D, P]`.
    pub(super) right: Array2<f64>,
}

/// Below this share of the largest, per row or column, a singular value is rounding.
pub(super) fn least(values: &[f64], size: usize) -> f64 {
    values.iter().copied().fold(0.0, f64::max) * size as f64 * f64::EPSILON
}

pub(super) fn svd(a: &Array2<f64>) -> Result<Svd> {
    let (m, d) = a.dim();
    if let Some(((i, j), v)) = a.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return refuse(&format!("entry [{i},{j}] of the operator"), v, "must be finite");
    }
    let found = Mat::from_fn(m, d, |i, j| a[[i, j]]).thin_svd();
    let Ok(found) = found else {
        return refuse("operator", format!("[{m}, {d}]"), "no singular value decomposition");
    };
    let p = m.min(d);
    Ok(Svd {
        left: Array2::from_shape_fn((m, p), |(i, k)| found.U()[(i, k)]),
        values: (0..p).map(|k| found.S()[k]).collect(),
        right: Array2::from_shape_fn((d, p), |(j, k)| found.V()[(j, k)]),
    })
}
