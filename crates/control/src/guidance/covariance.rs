//! Gaussian approximations of `p(y | x_t)`: the mean is the denoised data, the covariance one of these.

use faer::{Mat, Side};
use ndarray::{Array2, Axis, Zip};
use sde_core::{Error, Result};

use crate::Measurement;
use crate::denoised::Denoiser;

/// The covariance `C(x)` of the data given `x_t` in `p(y | x_t) ~ N(y; A D, A C A^T + s^2 I)`.
///
/// The exact one is `(sigma^2 / alpha) J`, `J = dD/dx`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Covariance {
    /// `C = 0`: the guidance of DPS, as a gradient. It costs one vector-Jacobian product.
    ///
    /// # Reference
    /// Chung et al. 2023, arXiv 2209.14687, equation 16.
    Zero,
    /// `C = r^2 I`, `r^2 = v sigma^2 / (alpha^2 v + sigma^2)` for data of variance `v`: PiGDM, exact for isotropic Gaussian
    /// data. One product.
    ///
    /// # Reference
    /// Song, Vahdat, Mardani, Kautz 2023, "Pseudoinverse-guided diffusion models for inverse problems", equation 7.
    Isotropic {
        /// `v`; 1 in the paper.
        data_variance: f64,
    },
    /// `A C A^T` replaced by the diagonal of its row sums `(sigma^2 / alpha) A J^T A^T 1`, those below zero by zero. Two
    /// products.
    ///
    /// # Reference
    /// Boys et al. 2023, arXiv 2310.06721, section 4.1.
    RowSum,
    /// The diagonal of `(sigma^2 / alpha) A J^T A^T`. `M + 1` products.
    Diagonal,
    /// `(sigma^2 / alpha) A J^T A^T`, its symmetric part, without what is below zero: TMPD, exact for Gaussian data. `M`
    /// products and an eigendecomposition a row.
    ///
    /// # Reference
    /// Boys et al. 2023, arXiv 2310.06721, equation 9.
    Full,
}

/// `log N(y; A D, C)` of every row, and `J^T A^T C^{-1} (y - A D)`.
pub(super) struct Fit {
    pub(super) log: Vec<f64>,
    pub(super) gradient: Array2<f64>,
}

impl Covariance {
    pub(super) fn fit(self, at: &Denoiser<'_>, seen: &Measurement) -> Result<Fit> {
        let residual = seen.residual(&at.data)?;
        let s2 = seen.noise() * seen.noise();
        match self {
            Self::Zero => isotropic(at, seen, &residual, 0.0),
            Self::Isotropic { data_variance: v } => {
                let (alpha, sigma) = (at.marginal.alpha, at.marginal.sigma);
                let var = sigma * sigma;
                isotropic(at, seen, &residual, v * var / (alpha * alpha * v + var))
            }
            Self::RowSum => {
                let ones = Array2::ones(residual.dim());
                let pulled = at.pull(&seen.operator().apply_adjoint(&ones)?)?;
                let sums = seen.operator().apply(&pulled)? * at.scale();
                diagonal(at, seen, &residual, &sums.mapv(|v| v.max(0.0) + s2))
            }
            Self::Diagonal => {
                let mut vars = Array2::zeros(residual.dim());
                for j in 0..residual.ncols() {
                    let seen_j = seen.operator().apply(&column(at, seen, j)?)?;
                    vars.column_mut(j).assign(&seen_j.column(j));
                }
                let vars = vars.mapv(|v: f64| (at.scale() * v).max(0.0) + s2);
                diagonal(at, seen, &residual, &vars)
            }
            Self::Full => full(at, seen, &residual, s2),
        }
    }
}

/// `J^T A^T e_j` of every row.
fn column(at: &Denoiser<'_>, seen: &Measurement, j: usize) -> Result<Array2<f64>> {
    let mut unit = Array2::zeros((at.data.nrows(), seen.operator().output_len()));
    unit.column_mut(j).fill(1.0);
    at.pull(&seen.operator().apply_adjoint(&unit)?)
}

fn certain<T>() -> Result<T> {
    Err(Error::Parameter {
        name: "noise".into(),
        value: "0".into(),
        reason: "without noise the likelihood has no gradient where the data are certain: stop before t = 0, or give some"
            .into(),
    })
}

const LOG_TAU: f64 = 1.837_877_066_409_345_3;

fn isotropic(
    at: &Denoiser<'_>,
    seen: &Measurement,
    residual: &Array2<f64>,
    r2: f64,
) -> Result<Fit> {
    let (a, s2) = (seen.operator(), seen.noise() * seen.noise());
    let d = a.singular_values();
    if r2 + s2 == 0.0 {
        return certain();
    }
    let weighed = a.solve(r2, s2, residual)?;
    // Without noise a measurement has no part outside the range.
    let outside = if s2 > 0.0 { (a.output_len() - d.len()) as f64 } else { 0.0 };
    let log_det = d.iter().map(|d| (r2 * d * d + s2).ln()).sum::<f64>()
        + if outside > 0.0 { outside * s2.ln() } else { 0.0 };
    let scale = log_det + (d.len() as f64 + outside) * LOG_TAU;
    let log = (residual * &weighed).sum_axis(Axis(1)).mapv(|q| -0.5 * (q + scale)).to_vec();
    Ok(Fit { log, gradient: at.pull(&a.apply_adjoint(&weighed)?)? })
}

fn diagonal(
    at: &Denoiser<'_>,
    seen: &Measurement,
    residual: &Array2<f64>,
    vars: &Array2<f64>,
) -> Result<Fit> {
    if vars.iter().any(|v| *v == 0.0) {
        return certain();
    }
    let weighed = residual / vars;
    let terms = Zip::from(residual).and(vars).map_collect(|r, v| r * r / v + v.ln() + LOG_TAU);
    let log = terms.sum_axis(Axis(1)).mapv(|sum| -0.5 * sum).to_vec();
    Ok(Fit { log, gradient: at.pull(&seen.operator().apply_adjoint(&weighed)?)? })
}

fn full(at: &Denoiser<'_>, seen: &Measurement, residual: &Array2<f64>, s2: f64) -> Result<Fit> {
    let m = residual.ncols();
    let columns = (0..m).map(|j| column(at, seen, j)).collect::<Result<Vec<_>>>()?;
    let products = columns.iter().map(|c| seen.operator().apply(c)).collect::<Result<Vec<_>>>()?;
    let (mut log, mut gradient) = (vec![], Array2::zeros(at.data.dim()));
    for (b, r) in residual.rows().into_iter().enumerate() {
        let entry = |i: usize, j: usize| products[j][[b, i]];
        let spread = Mat::from_fn(m, m, |i, j| at.scale() * 0.5 * (entry(i, j) + entry(j, i)));
        let Ok(found) = spread.self_adjoint_eigen(Side::Lower) else {
            return Err(Error::NonFinite { what: "the Jacobian", value: f64::NAN, row: b });
        };
        let most = (0..m).map(|k| found.S()[k]).fold(0.0, f64::max);
        // Without noise there is nothing to learn along an axis without variance.
        let least = if s2 == 0.0 { most * m as f64 * f64::EPSILON } else { 0.0 };
        let (mut sum, mut weighed) = (0.0, vec![0.0; m]);
        for k in 0..m {
            let var = found.S()[k].max(0.0) + s2;
            if var <= least {
                continue;
            }
            let along: f64 = (0..m).map(|i| found.U()[(i, k)] * r[i]).sum();
            sum += along * along / var + var.ln() + LOG_TAU;
            weighed.iter_mut().enumerate().for_each(|(i, w)| *w += found.U()[(i, k)] * along / var);
        }
        if most + s2 == 0.0 {
            return certain();
        }
        log.push(-0.5 * sum);
        let mut gradient = gradient.row_mut(b);
        for (w, column) in weighed.iter().zip(&columns) {
            gradient.scaled_add(*w, &column.row(b));
        }
    }
    Ok(Fit { log, gradient })
}
