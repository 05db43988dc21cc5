//! The law of Gaussian-mixture data given a linear measurement with Gaussian noise, in closed form.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use ndarray::Array2;

use super::mixture::{GaussianMixture, log_sum_exp};
use super::score::AnalyticScore;
use crate::{Error, LogLikelihood, Result, Score, Sde};

/// The law of `x_0` given `y = A x_0 + s n`, `n` standard normal, where `x_0` is a mixture: a mixture again,
///
/// `G_k = A S_k A^T + s^2 I`, `K_k = S_k A^T G_k^{-1}`, `m_k' = m_k + K_k (y - A m_k)`,
/// `S_k' = S_k - K_k A S_k`, `w_k' ~ w_k N(y; A m_k, G_k)`.
///
/// Its score under an SDE is the one that conditional sampling needs; by Bayes' rule,
/// `log p(y | x_t) = log p_t(x_t | y) - log p_t(x_t) + log p(y)`.
///
/// ```
/// use ndarray::array;
/// use sde_core::analytic::GaussianMixture;
/// let prior = GaussianMixture::isotropic(&[1.0], &array![[0.0, 0.0]], &[1.0])?;
/// // The first coordinate is seen, with noise of unit variance.
/// let posterior = prior.given(&array![[1.0, 0.0]], &[2.0], 1.0)?;
/// let (mean, cov) = posterior.mixture().moments();
/// assert!((mean[0] - 1.0).abs() < 1e-14 && (cov[[0, 0]] - 0.5).abs() < 1e-14);
/// assert!((posterior.log_evidence() + 1.0 + 0.5 * (2.0 * std::f64::consts::TAU).ln()).abs() < 1e-14);
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Posterior {
    prior: GaussianMixture,
    mixture: GaussianMixture,
    log_component_evidence: Vec<f64>,
    log_evidence: f64,
}

impl GaussianMixture {
    /// The law given the measurement `y = A x_0 + s n`.
    ///
    /// # Shapes
    /// `a` is `[M, D]`, `y` has `M` entries.
    ///
    /// # Errors
    /// [`Error::Shape`] when they do not fit; [`Error::Parameter`] for `s` below zero, an entry that is not finite, or a
    /// measurement without noise whose rows do not vary independently under a component.
    pub fn given(&self, a: &Array2<f64>, y: &[f64], s: f64) -> Result<Posterior> {
        let (m, d) = a.dim();
        if d != self.dim() || y.len() != m || m == 0 {
            let expected = vec![y.len().max(1), self.dim(), m.max(1)];
            return Err(Error::Shape { expected, found: vec![m, d, y.len()] });
        }
        if !(s.is_finite() && s >= 0.0) {
            let reason = "must be finite and not negative".into();
            return Err(Error::Parameter { name: "s".into(), value: s.to_string(), reason });
        }
        if let Some(v) = a.iter().chain(y).find(|v| !v.is_finite()) {
            let (name, reason) = ("measurement".into(), "must be finite".into());
            return Err(Error::Parameter { name, value: v.to_string(), reason });
        }
        let (means, mut evidence) = (self.means(), vec![]);
        let (mut new_means, mut covs) = (Array2::zeros(means.dim()), vec![]);
        for k in 0..means.nrows() {
            let found = Update::new(k, &self.covariance(k), a, s)?;
            let residual = Mat::from_fn(m, 1, |i, _| y[i] - a.row(i).dot(&means.row(k)));
            let shift = found.gain_t.transpose() * &residual;
            let solved = &found.root * &residual;
            let square: f64 = (0..m).map(|i| solved[(i, 0)].powi(2)).sum();
            let scale = found.log_det + m as f64 * std::f64::consts::TAU.ln();
            evidence.push(-0.5 * (square + scale));
            (0..d).for_each(|j| new_means[[k, j]] = means[[k, j]] + shift[(j, 0)]);
            covs.push(found.covariance);
        }
        let joint: Vec<f64> =
            self.log_weights().iter().zip(&evidence).map(|(w, e)| w + e).collect();
        let log_evidence = log_sum_exp(&joint);
        let mixture = GaussianMixture::new(&vec![1.0; covs.len()], &new_means, &covs)?;
        let mixture =
            mixture.with_log_weights(joint.into_iter().map(|l| l - log_evidence).collect());
        let prior = self.clone();
        Ok(Posterior { prior, mixture, log_component_evidence: evidence, log_evidence })
    }
}

/// What a component becomes, apart from its mean.
struct Update {
    /// `K^T`, `[M, D]`.
    gain_t: Mat<f64>,
    /// The inverse of the Cholesky factor of `G`.
    root: Mat<f64>,
    log_det: f64,
    covariance: Array2<f64>,
}

impl Update {
    fn new(k: usize, cov: &Array2<f64>, a: &Array2<f64>, s: f64) -> Result<Self> {
        let (m, d) = a.dim();
        let operator = Mat::from_fn(m, d, |i, j| a[[i, j]]);
        let cov = Mat::from_fn(d, d, |i, j| cov[[i, j]]);
        let cross = &operator * &cov;
        let seen = &cross * operator.transpose();
        let seen = Mat::from_fn(m, m, |i, j| {
            0.5 * (seen[(i, j)] + seen[(j, i)]) + if i == j { s * s } else { 0.0 }
        });
        let factor = seen.llt(Side::Lower).map_err(|_| {
            let reason =
                format!("the measurement has no density under component {k}: give it noise");
            Error::Parameter { name: "s".into(), value: s.to_string(), reason }
        })?;
        let gain_t = factor.solve(&cross);
        // Joseph's form, which is positive semi-definite whatever the rounding.
        let kept = Mat::<f64>::identity(d, d) - gain_t.transpose() * &operator;
        let noise = gain_t.transpose() * &gain_t;
        let left = &kept * &cov * kept.transpose();
        let entry = |i: usize, j: usize| left[(i, j)] + s * s * noise[(i, j)];
        let covariance = Array2::from_shape_fn((d, d), |(i, j)| 0.5 * (entry(i, j) + entry(j, i)));
        let lower = factor.L();
        let log_det = 2.0 * (0..m).map(|i| lower[(i, i)].ln()).sum::<f64>();
        let mut root = Mat::<f64>::identity(m, m);
        lower.solve_lower_triangular_in_place(&mut root);
        Ok(Self { gain_t, root, log_det, covariance })
    }
}

impl Posterior {
    /// The law itself.
    pub fn mixture(&self) -> &GaussianMixture {
        &self.mixture
    }

    /// The law without the measurement.
    pub fn prior(&self) -> &GaussianMixture {
        &self.prior
    }

    /// `log p(y)`.
    pub fn log_evidence(&self) -> f64 {
        self.log_evidence
    }

    /// `log p(y | k)` of every component of the prior.
    pub fn log_component_evidence(&self) -> &[f64] {
        &self.log_component_evidence
    }

    /// `log p(y | x_t)` at every time of `sde`, with its gradient: what guidance has to add to the prior's score.
    pub fn likelihood<'a>(&self, sde: &'a dyn Sde) -> PosteriorLikelihood<'a> {
        PosteriorLikelihood {
            prior: self.prior.under(sde),
            posterior: self.mixture.under(sde),
            log_evidence: self.log_evidence,
        }
    }
}

/// The exact `log p(y | x_t)` of a [`Posterior`], normalised.
pub struct PosteriorLikelihood<'a> {
    prior: AnalyticScore<'a>,
    posterior: AnalyticScore<'a>,
    log_evidence: f64,
}

impl LogLikelihood<Array2<f64>> for PosteriorLikelihood<'_> {
    fn log_likelihood(&self, x: &Array2<f64>, t: f64) -> Result<(Vec<f64>, Array2<f64>)> {
        let (with, without) = (self.posterior.log_density(x, t)?, self.prior.log_density(x, t)?);
        let log = with.iter().zip(&without).map(|(a, b)| a - b + self.log_evidence).collect();
        Ok((log, self.posterior.score(x, t)? - self.prior.score(x, t)?))
    }
}
