//! Mixtures of Gaussians with full covariances.

use ndarray::Array2;

use super::components::{At, Components, Parts, Want};
use super::spectrum::{spectrum, variances};
use crate::{Error, Key, Result};

/// A mixture of Gaussians, `sum_k w_k N(m_k, S_k)`; a covariance may be rank-deficient.
///
/// Under a linear SDE it stays one, with means `alpha m_k` and covariances
/// `alpha^2 S_k + sigma^2 I`.
///
/// # Shapes
/// `K` weights, means `[K, D]`, `K` covariances `[D, D]`.
///
/// ```
/// use ndarray::array;
/// use sde_core::{Key, analytic::GaussianMixture};
/// let target = GaussianMixture::new(
///     &[0.5, 0.5],
///     &array![[-1.0, 0.0], [1.0, 0.0]],
///     &[array![[0.1, 0.05], [0.05, 0.1]], array![[0.2, 0.0], [0.0, 0.2]]],
/// )?;
/// assert_eq!(target.sample(Key::root(0), 0, 5).dim(), (5, 2));
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GaussianMixture {
    dim: usize,
    weights: Vec<f64>,
    /// `[K]`, for weights beside which others are zero as well.
    log_weights: Vec<f64>,
    /// `[K, D]`.
    means: Vec<f64>,
    /// `[K, D]`, the eigenvalues of the covariances.
    eigenvalues: Vec<f64>,
    /// `[K, D, D]`, eigenvectors as rows; `None` when every covariance is diagonal.
    axes: Option<Vec<f64>>,
}

impl GaussianMixture {
    /// The mixture of the given weights (of any size: normalised here), means and covariances. A covariance
    /// need be symmetric to single precision, and positive semi-definite to rounding.
    ///
    /// # Errors
    /// [`Error::Shape`] when the arguments do not fit each other; [`Error::Parameter`] for a weight
    /// that is not positive, an element that is not finite, or a covariance that is not symmetric
    /// and positive semi-definite.
    pub fn new(weights: &[f64], means: &Array2<f64>, covs: &[Array2<f64>]) -> Result<Self> {
        let (k, dim) = means.dim();
        if weights.len() != k || covs.len() != k || k == 0 || dim == 0 {
            let found = vec![weights.len(), covs.len(), k, dim];
            return Err(Error::Shape {
                expected: vec![k.max(1), k.max(1), k.max(1), dim.max(1)],
                found,
            });
        }
        let refuse = |name: String, value: f64, reason: &str| Error::Parameter {
            name,
            value: format!("{value:?}"),
            reason: reason.into(),
        };
        if let Some(k) = weights.iter().position(|w| !(w.is_finite() && *w > 0.0)) {
            let name = format!("weight {k}");
            return Err(refuse(name, weights[k], "must be finite and positive"));
        }
        if let Some(((k, i), m)) = means.indexed_iter().find(|(_, m)| !m.is_finite()) {
            return Err(refuse(format!("mean {k}, entry {i}"), *m, "must be finite"));
        }
        let off = |((i, j), c): ((usize, usize), &f64)| i != j && *c != 0.0;
        let diagonal = !covs.iter().any(|c| c.indexed_iter().any(off));
        let (mut eigenvalues, mut axes) = (vec![], vec![]);
        for (k, cov) in covs.iter().enumerate() {
            if cov.dim() != (dim, dim) {
                return Err(Error::Shape { expected: vec![dim, dim], found: cov.shape().to_vec() });
            }
            if diagonal {
                eigenvalues.extend(variances(k, cov)?);
            } else {
                let found = spectrum(k, cov)?;
                eigenvalues.extend(found.values);
                axes.extend(found.axes);
            }
        }
        if let Some(l) = eigenvalues.iter().find(|l| **l > LARGEST) {
            return Err(refuse("variance".into(), *l, "is too large for double precision"));
        }
        let (weights, log_weights) = normalised(weights);
        Ok(Self {
            dim,
            weights,
            log_weights,
            means: means.iter().copied().collect(),
            eigenvalues,
            axes: (!diagonal).then_some(axes),
        })
    }

    /// The mixture of isotropic Gaussians with standard deviations `stds`.
    ///
    /// # Errors
    /// As [`GaussianMixture::new`].
    pub fn isotropic(weights: &[f64], means: &Array2<f64>, stds: &[f64]) -> Result<Self> {
        let covs: Vec<_> = stds.iter().map(|s| Array2::eye(means.ncols()) * (s * s)).collect();
        Self::new(weights, means, &covs)
    }

    /// The dimension `D`.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The weights `[K]`, which add to one. A weight below the range of double precision is zero.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The means `[K, D]`.
    pub fn means(&self) -> Array2<f64> {
        let shape = (self.weights.len(), self.dim);
        Array2::from_shape_vec(shape, self.means.clone()).expect("a mean a component")
    }

    /// The covariance `[D, D]` of component `k`.
    ///
    /// # Panics
    /// When there is no such component.
    pub fn covariance(&self, k: usize) -> Array2<f64> {
        let d = self.dim;
        let values = &self.eigenvalues[k * d..][..d];
        let Some(axes) = &self.axes else {
            return Array2::from_diag(&ndarray::ArrayView1::from(values));
        };
        let axes = &axes[k * d * d..][..d * d];
        let entry = |i: usize, j: usize| -> f64 {
            values.iter().zip(axes.chunks(d)).map(|(l, q)| l * q[i] * q[j]).sum()
        };
        Array2::from_shape_fn((d, d), |(i, j)| entry(i.min(j), i.max(j)))
    }

    /// Mean `[D]` and covariance `[D, D]` of the whole.
    pub fn moments(&self) -> (Vec<f64>, Array2<f64>) {
        let d = self.dim;
        let mut mean = vec![0.0; d];
        for (w, m) in self.weights.iter().zip(self.means.chunks(d)) {
            mean.iter_mut().zip(m).for_each(|(mean, m)| *mean += w * m);
        }
        let mut cov = Array2::zeros((d, d));
        for (k, w) in self.weights.iter().enumerate() {
            let off: Vec<f64> = self.means[k * d..].iter().zip(&mean).map(|(a, b)| a - b).collect();
            cov.scaled_add(*w, &self.covariance(k));
            let spread = |(i, j): (usize, usize)| w * off[i] * off[j];
            cov += &Array2::from_shape_fn((d, d), spread);
        }
        (mean, cov)
    }

    /// The logarithms of the weights `[K]`.
    pub(super) fn log_weights(&self) -> &[f64] {
        &self.log_weights
    }

    /// The same components with weights given by their logarithms, which add to one.
    pub(super) fn with_log_weights(mut self, log_weights: Vec<f64>) -> Self {
        self.weights = log_weights.iter().map(|l| l.exp()).collect();
        self.log_weights = log_weights;
        self
    }

    /// Some of the components, by their numbers, with weights in the same proportion.
    pub(super) fn some(&self, which: &[usize]) -> Self {
        let d = self.dim;
        let pick = |from: &[f64], len: usize| -> Vec<f64> {
            which.iter().flat_map(|k| from[k * len..][..len].iter().copied()).collect()
        };
        let total = log_sum_exp(&pick(&self.log_weights, 1));
        let chosen = Self {
            dim: d,
            weights: vec![],
            log_weights: vec![],
            means: pick(&self.means, d),
            eigenvalues: pick(&self.eigenvalues, d),
            axes: self.axes.as_ref().map(|axes| pick(axes, d * d)),
        };
        let log_weights = which.iter().map(|k| self.log_weights[*k] - total).collect();
        chosen.with_log_weights(log_weights)
    }

    /// Particles number `first_row` to `first_row + n` of the key, as `[n, D]`.
    pub fn sample(&self, key: Key, first_row: u64, n: usize) -> Array2<f64> {
        let d = self.dim;
        let (mut u, mut z) = (vec![0.0; n], vec![0.0; n * d]);
        key.fold(0).fill_uniforms(first_row, &mut u);
        key.fold(1).fill_normals(first_row * d as u64, &mut z);
        let mut out = vec![0.0; n * d];
        for ((u, z), x) in u.iter().zip(z.chunks(d)).zip(out.chunks_mut(d)) {
            let k = self.component(*u);
            for (i, z) in z.iter().enumerate() {
                let z = z * self.eigenvalues[k * d + i].sqrt();
                match &self.axes {
                    None => x[i] += z,
                    Some(axes) => {
                        for (x, q) in x.iter_mut().zip(&axes[(k * d + i) * d..][..d]) {
                            *x += z * q;
                        }
                    }
                }
            }
            for (x, m) in x.iter_mut().zip(&self.means[k * d..]) {
                *x += m;
            }
        }
        Array2::from_shape_vec((n, d), out).expect("n rows of d")
    }

    fn component(&self, u: f64) -> usize {
        let mut left = u;
        for (k, w) in self.weights.iter().enumerate() {
            left -= w;
            if left < 0.0 {
                return k;
            }
        }
        self.weights.len() - 1
    }
}

/// `log sum_i exp(l_i)`.
pub(super) fn log_sum_exp(l: &[f64]) -> f64 {
    let top = l.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return top;
    }
    top + l.iter().map(|l| (l - top).exp()).sum::<f64>().ln()
}

/// The largest variance, with room for the factors of a density.
const LARGEST: f64 = 1e300;

/// Weights that add to one, and their logarithms.
fn normalised(weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    // Of a size that a sum of them keeps in range: by a power of two, which changes no digit.
    let unit = if largest > 1e300 { 0.5_f64.powi(64) } else { 1.0 };
    let unit = if largest < 1e-200 { 2.0_f64.powi(512) } else { unit };
    // By its bits where the process takes subnormal numbers for zero; in this unit 2^-562 is 2^-1074.
    let sized = |w: &f64| match w.is_subnormal() && unit > 1.0 {
        true => w.to_bits() as f64 * 2.0_f64.powi(-562),
        false => w * unit,
    };
    let total: f64 = weights.iter().map(sized).sum();
    let share = |w: &f64| sized(w) / total;
    let log = |w: &f64| {
        let share = share(w);
        // A share below the range of normal numbers has lost digits, or all.
        if share.is_normal() { share.ln() } else { w.ln() + unit.ln() - total.ln() }
    };
    (weights.iter().map(share).collect(), weights.iter().map(log).collect())
}

/// The coordinate along the `i`-th axis of a component; `None` for the axes of the space.
#[inline(always)]
fn along(axis: Option<&[f64]>, i: usize, f: impl Fn(usize) -> f64) -> f64 {
    match axis {
        None => f(i),
        Some(q) => q.iter().enumerate().map(|(j, q)| q * f(j)).sum(),
    }
}

/// Adds `c` times the `i`-th axis.
#[inline(always)]
fn add(axis: Option<&[f64]>, i: usize, c: f64, to: &mut [f64]) {
    match axis {
        None => to[i] += c,
        Some(q) => to.iter_mut().zip(q).for_each(|(t, q)| *t += c * q),
    }
}

/// What of a mixture depends on the time only.
pub(super) struct Prepared {
    at: At,
    /// `[K, D]`, `1 / (alpha^2 l + sigma^2)`.
    precision: Vec<f64>,
    /// `[K]`, `log w - (1/2) sum log(2 pi v)`.
    log_scale: Vec<f64>,
}

impl Components for GaussianMixture {
    type Prepared = Prepared;

    fn dim(&self) -> usize {
        self.dim
    }

    fn count(&self) -> usize {
        self.weights.len()
    }

    fn prepare(&self, at: At) -> Result<Prepared> {
        let vars: Vec<f64> =
            self.eigenvalues.iter().map(|l| at.alpha * at.alpha * l + at.var).collect();
        if let Some(v) = vars.iter().find(|v| !v.is_normal()) {
            let reason = match *v {
                0.0 => "the density of a rank-deficient Gaussian needs sigma(t) > 0".into(),
                v => format!("a variance of {v:?} is out of the range of double precision"),
            };
            let (name, value) = ("t".into(), at.t.to_string());
            return Err(Error::Parameter { name, value, reason });
        }
        let log_scale = self.log_weights.iter().zip(vars.chunks(self.dim)).map(|(w, v)| {
            w - 0.5 * v.iter().map(|v| (std::f64::consts::TAU * v).ln()).sum::<f64>()
        });
        let log_scale = log_scale.collect();
        Ok(Prepared { at, precision: vars.iter().map(|v| 1.0 / v).collect(), log_scale })
    }

    fn parts(&self, p: &Prepared, x: &[f64], want: Want<'_>, out: &mut Parts) {
        let (d, at) = (self.dim, p.at);
        out.grad.fill(0.0);
        out.hv.fill(0.0);
        for k in 0..self.count() {
            let mean = &self.means[k * d..][..d];
            let (mut square, mut trace, mut d_t) = (0.0, 0.0, 0.0);
            for i in 0..d {
                let axis = self.axes.as_ref().map(|a| &a[(k * d + i) * d..][..d]);
                let y = along(axis, i, |j| x[j] - at.alpha * mean[j]);
                let precision = p.precision[k * d + i];
                let z = y * precision;
                square += y * z;
                add(axis, i, -z, &mut out.grad[k * d..][..d]);
                match want {
                    Want::Score => {}
                    Want::Jvp(v) => {
                        let c = -precision * along(axis, i, |j| v[j]);
                        add(axis, i, c, &mut out.hv[k * d..][..d]);
                    }
                    Want::Everything => {
                        trace -= precision;
                        // y' = -alpha' m and v' = 2 a v + g^2.
                        let dy = -at.a * at.alpha * along(axis, i, |j| mean[j]);
                        let half_dv = at.a + 0.5 * at.g2 * precision; // v' / (2 v)
                        d_t += -z * dy + (y * z - 1.0) * half_dv;
                    }
                }
            }
            out.log[k] = p.log_scale[k] - 0.5 * square;
            out.trace[k] = trace;
            out.d_t[k] = d_t;
        }
        let nowhere = |l: &f64| *l == f64::NEG_INFINITY;
        if out.log.iter().any(nowhere) && !out.log.iter().all(nowhere) {
            // Components without a share in the density: an infinity times nothing would be NaN.
            for k in (0..self.count()).filter(|k| nowhere(&out.log[*k])) {
                out.grad[k * d..][..d].fill(0.0);
                out.hv[k * d..][..d].fill(0.0);
                (out.trace[k], out.d_t[k]) = (0.0, 0.0);
            }
        }
    }

    /// `m + alpha S (alpha^2 S + sigma^2)^{-1} (x - alpha m)`.
    fn data(&self, p: &Prepared, x: &[f64], out: &mut [f64]) {
        let d = self.dim;
        for k in 0..self.count() {
            let mean = &self.means[k * d..][..d];
            let data = &mut out[k * d..][..d];
            data.copy_from_slice(mean);
            for i in 0..d {
                let axis = self.axes.as_ref().map(|a| &a[(k * d + i) * d..][..d]);
                let y = along(axis, i, |j| x[j] - p.at.alpha * mean[j]);
                let gain = p.at.alpha * self.eigenvalues[k * d + i] * p.precision[k * d + i];
                add(axis, i, gain * y, data);
            }
        }
    }
}
