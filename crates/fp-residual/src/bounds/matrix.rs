//! Small symmetric matrices.

use ndarray::Array2;
use sde_core::{Error, Result};

pub(super) fn identity(d: usize) -> Array2<f64> {
    Array2::eye(d)
}

/// $\sum_{ij} a_{ij} b_{ij}$.
pub(super) fn inner(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Whether a matrix is square, finite and symmetric but for rounding.
pub(super) fn symmetric(m: &Array2<f64>) -> bool {
    let size = m.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    m.nrows() == m.ncols()
        && m.nrows() > 0
        && m.iter().all(|value| value.is_finite())
        && m.iter().zip(m.t()).all(|(a, b)| (a - b).abs() <= 1e-12 * size)
}

/// The inverse, by elimination with the largest pivots of the columns.
pub(super) fn inverse(m: &Array2<f64>) -> Result<Array2<f64>> {
    let d = m.nrows();
    let (mut left, mut right) = (m.clone(), identity(d));
    for column in 0..d {
        let pivot = (column..d)
            .max_by(|&i, &j| left[[i, column]].abs().total_cmp(&left[[j, column]].abs()))
            .unwrap_or(column);
        let value = left[[pivot, column]];
        if !value.is_finite() || value == 0.0 {
            return Err(Error::Parameter {
                name: "matrix".into(),
                value: m.to_string().replace('\n', ""),
                reason: "has no inverse".into(),
            });
        }
        for k in 0..d {
            left.swap([pivot, k], [column, k]);
            right.swap([pivot, k], [column, k]);
        }
        for k in 0..d {
            left[[column, k]] /= value;
            right[[column, k]] /= value;
        }
        for row in (0..d).filter(|&row| row != column) {
            let factor = left[[row, column]];
            for k in 0..d {
                left[[row, k]] -= factor * left[[column, k]];
                right[[row, k]] -= factor * right[[column, k]];
            }
        }
    }
    Ok(right)
}

/// The largest eigenvalue of a symmetric matrix, by Jacobi's rotations.
pub(super) fn largest_eigenvalue(m: &Array2<f64>) -> f64 {
    let (mut m, d) = (m.clone(), m.nrows());
    // Convergence is quadratic: a few sweeps suffice for small matrices.
    for _ in 0..30 {
        for i in 0..d {
            for j in i + 1..d {
                let off = m[[i, j]];
                if off == 0.0 {
                    continue;
                }
                let half = (m[[j, j]] - m[[i, i]]) / (2.0 * off);
                let tangent = half.signum() / (half.abs() + (half * half + 1.0).sqrt());
                let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
                let sine = tangent * cosine;
                for k in 0..d {
                    let (a, b) = (m[[i, k]], m[[j, k]]);
                    (m[[i, k]], m[[j, k]]) = (cosine * a - sine * b, sine * a + cosine * b);
                }
                for k in 0..d {
                    let (a, b) = (m[[k, i]], m[[k, j]]);
                    (m[[k, i]], m[[k, j]]) = (cosine * a - sine * b, sine * a + cosine * b);
                }
            }
        }
    }
    (0..d).map(|k| m[[k, k]]).fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn eigenvalues_and_inverses_of_small_matrices() {
        let m = array![[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]];
        assert!((largest_eigenvalue(&m) - (2.0 + 2.0_f64.sqrt())).abs() < 1e-14);
        let product = m.dot(&inverse(&m).unwrap());
        assert!((product - identity(3)).iter().all(|value| value.abs() < 1e-14));
        assert!(inverse(&array![[1.0, 2.0], [2.0, 4.0]]).is_err());
    }
}
