//! Variances and axes of a covariance as it comes: rounded, in whatever precision, of any condition.

use faer::{Mat, Side};
use ndarray::Array2;

use crate::{Error, Result};

/// Rounding of double precision, of the largest entry: less is no variance, and so far below zero is zero.
const NO_VARIANCE: f64 = 1e-14;
const ROUNDING: f64 = 1e-12;
/// The same of single precision.
const ROUNDING_F32: f64 = 5e-7;
/// What two entries that should be equal may differ by: two roundings of single precision.
const SKEW: f64 = 2.4e-7;
/// Below this share of the largest, an eigenvalue of the plain decomposition has lost digits.
const ILL: f64 = 1e-6;

/// Eigenvalues, and eigenvectors as rows.
pub(super) struct Spectrum {
    pub(super) values: Vec<f64>,
    pub(super) axes: Vec<f64>,
}

fn refuse<T>(name: String, value: f64, reason: String) -> Result<T> {
    Err(Error::Parameter { name, value: format!("{value:?}"), reason })
}

/// The spectrum of covariance number `k`; symmetric up to single precision, and then taken as symmetric.
/// Eigenvalues that are zero up to rounding are zero. Where the covariance is `D C D` with a definite
/// correlation matrix `C`, every eigenvalue has its digits, however different the variances are.
///
/// # Errors
/// [`Error::Parameter`] for an entry that is not finite, entries that differ from their mirror image, and
/// for an eigenvalue below zero.
pub(super) fn spectrum(k: usize, cov: &Array2<f64>) -> Result<Spectrum> {
    let d = cov.nrows();
    let entry = |i: usize, j: usize| format!("covariance {k}, entry [{i},{j}]");
    check_finite(k, cov)?;
    let std = |i: usize| cov[[i, i]].abs().sqrt();
    for ((i, j), &a) in cov.indexed_iter() {
        let b = cov[[j, i]];
        let off = (a - b).abs();
        if off > SKEW * a.abs().max(b.abs()).max(std(i) * std(j)) {
            let reason = format!("entry [{j},{i}] is {b:?}, {off:e} off: must be symmetric");
            return refuse(entry(i, j), a, reason);
        }
    }
    let size = cov.iter().fold(0.0_f64, |s, c| s.max(c.abs()));
    // By a power of two, where squares of the entries would leave the range.
    let unit = if (1e-100..1e100).contains(&size) { 1.0 } else { 2.0_f64.powi(exponent(size)) };
    let matrix = Array2::from_shape_fn((d, d), |(i, j)| {
        0.5 * (cov[[i, j]] / unit) + 0.5 * (cov[[j, i]] / unit)
    });
    let size = size / unit;
    let mut found = eigen(&matrix)?;
    if let Some(l) = found.values.iter().find(|l| **l < -rounding(cov) * size) {
        let name = format!("covariance {k}, eigenvalue");
        return refuse(name, l * unit, "must not be negative".into());
    }
    if found.values.iter().any(|l| *l < ILL * size) {
        match by_correlation(&matrix)? {
            Some(better) => found = better,
            None => {
                let clip = |l: &mut f64| *l = if *l > NO_VARIANCE * size { *l } else { 0.0 };
                found.values.iter_mut().for_each(clip);
            }
        }
    }
    found.values.iter_mut().for_each(|l| *l *= unit);
    Ok(found)
}

/// The variances of a diagonal covariance, which are its entries; zero for rounding below zero.
///
/// # Errors
/// As [`spectrum`].
pub(super) fn variances(k: usize, cov: &Array2<f64>) -> Result<Vec<f64>> {
    check_finite(k, cov)?;
    let size = cov.diag().iter().fold(0.0_f64, |s, c| s.max(c.abs()));
    let least = -rounding(cov) * size;
    if let Some((i, v)) = cov.diag().iter().enumerate().find(|(_, v)| **v < least) {
        return refuse(
            format!("covariance {k}, entry [{i},{i}]"),
            *v,
            "must not be negative".into(),
        );
    }
    Ok(cov.diag().iter().map(|v| v.max(0.0)).collect())
}

fn check_finite(k: usize, cov: &Array2<f64>) -> Result<()> {
    match cov.indexed_iter().find(|(_, c)| !c.is_finite()) {
        Some(((i, j), c)) => {
            refuse(format!("covariance {k}, entry [{i},{j}]"), *c, "must be finite".into())
        }
        None => Ok(()),
    }
}

/// What an eigenvalue may lie below zero, in units of the largest entry: more where all entries are of
/// single precision.
fn rounding(cov: &Array2<f64>) -> f64 {
    if cov.iter().all(|c| f64::from(*c as f32) == *c) { ROUNDING_F32 } else { ROUNDING }
}

/// The exponent of a power of two of a positive number's size; 0 for zero.
fn exponent(x: f64) -> i32 {
    if x == 0.0 { 0 } else { x.log2().floor().clamp(-1000.0, 1000.0) as i32 }
}

fn eigen(matrix: &Array2<f64>) -> Result<Spectrum> {
    let d = matrix.nrows();
    let found = Mat::from_fn(d, d, |i, j| matrix[[i, j]]).self_adjoint_eigen(Side::Lower);
    let found = found.map_err(|e| Error::Parameter {
        name: "covariance".into(),
        value: format!("{matrix}"),
        reason: format!("no eigendecomposition: {e:?}"),
    })?;
    let values = (0..d).map(|i| found.S()[i]).collect();
    let pairs = (0..d).flat_map(|i| (0..d).map(move |j| (i, j)));
    Ok(Spectrum { values, axes: pairs.map(|(i, j)| found.U()[(j, i)]).collect() })
}

/// The spectrum of `D C D = G G^T`, `G = D Q L^(1/2)` with the correlations `C = Q L Q^T`, by one-sided Jacobi
/// rotations of the rows of `G`; `None` where `C` is indefinite.
///
/// # Reference
/// Demmel, Veselic 1992, "Jacobi's method is more accurate than QR".
fn by_correlation(matrix: &Array2<f64>) -> Result<Option<Spectrum>> {
    let d = matrix.nrows();
    let std: Vec<f64> = matrix.diag().iter().map(|v| v.max(0.0).sqrt()).collect();
    let correlations = Array2::from_shape_fn((d, d), |(i, j)| match std[i].min(std[j]) {
        0.0 => 0.0,
        _ if i == j => 1.0,
        _ => matrix[[i, j]] / std[i] / std[j],
    });
    let Spectrum { values, axes } = eigen(&correlations)?;
    if values.iter().any(|l| *l < -ROUNDING) {
        return Ok(None);
    }
    let root = |l: f64| if l > NO_VARIANCE { l.sqrt() } else { 0.0 };
    let row = |i: usize| (0..d).map(|j| std[i] * axes[j * d + i] * root(values[j])).collect();
    let mut rows: Vec<Vec<f64>> = (0..d).map(row).collect();
    let unit = |i: usize| (0..d).map(|j| f64::from(u8::from(i == j))).collect();
    let mut axes: Vec<Vec<f64>> = (0..d).map(unit).collect();
    orthogonalise(&mut rows, &mut axes);
    let values: Vec<f64> = rows.iter().map(|r| dot(r, r)).collect();
    Ok(Some(Spectrum { values, axes: axes.concat() }))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Rotates pairs of rows, and of `axes` with them, until all are orthogonal.
fn orthogonalise(rows: &mut [Vec<f64>], axes: &mut [Vec<f64>]) {
    // It converges quadratically: a handful of sweeps.
    const SWEEPS: usize = 60;
    let rotate = |of: &mut [Vec<f64>], p: usize, q: usize, cos: f64, sin: f64| {
        let (head, tail) = of.split_at_mut(q);
        for (a, b) in head[p].iter_mut().zip(&mut tail[0]) {
            (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
        }
    };
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for q in 1..rows.len() {
            for p in 0..q {
                let (a, b) = (dot(&rows[p], &rows[p]), dot(&rows[q], &rows[q]));
                let c = dot(&rows[p], &rows[q]);
                if c.abs() <= f64::EPSILON * a.sqrt() * b.sqrt() {
                    continue;
                }
                let zeta = 0.5 * (b - a) / c;
                let tan = 1.0_f64.copysign(zeta) / (zeta.abs() + zeta.hypot(1.0));
                let cos = 1.0 / tan.hypot(1.0);
                rotate(rows, p, q, cos, cos * tan);
                rotate(axes, p, q, cos, cos * tan);
                rotated |= tan != 0.0;
            }
        }
        if !rotated {
            break;
        }
    }
}
