//! Scores conditioned on a linear measurement by a Gaussian approximation of its likelihood.

use ndarray::Array2;
use sde_core::{Result, Score, ScoreVjp, Sde};

use super::{Covariance, Strength, Twist, Twisted};
use crate::Measurement;
use crate::denoised::Denoiser;

/// Reconstruction guidance: with `D = E[x_0 | x]` and its Jacobian `J`, for `y = A x_0 + s n`,
///
/// `s(x, t) + w J^T A^T (A C A^T + s^2 I)^{-1} (y - A D)`,
///
/// the gradient of `log N(y; A D, A C A^T + s^2 I)` with the covariance held. [`Covariance`] says which `C`: zero (DPS),
/// `r^2 I` (PiGDM), or the exact one and approximations of it (TMPD).
///
/// | data | exact |
/// |---|---|
/// | isotropic Gaussian of variance `v` | PiGDM with `v`, TMPD |
/// | any Gaussian | TMPD |
/// | other | none; [`crate::TwistedSmc`] corrects it |
///
/// As a score it goes to any sampler. A particle belongs to its measurement ([`Measurement::particles_each`]).
///
/// ```
/// use control::{Dense, Measurement, ReconstructionGuidance};
/// use ndarray::array;
/// use sde_core::{Score, Vp, analytic::GaussianMixture};
///
/// let vp = Vp::default();
/// let prior = GaussianMixture::new(&[1.0], &array![[1.0, 0.0]], &[array![[0.5, 0.2], [0.2, 0.3]]])?;
/// let a = array![[1.0, -1.0]];
/// let posterior = prior.given(&a, &[0.4], 0.1)?.mixture().under(&vp);
/// let score = prior.under(&vp);
/// let guided =
///     ReconstructionGuidance::tmpd(&vp, &score, Measurement::new(Dense::new(a)?, array![[0.4]], 0.1)?);
/// let x = array![[0.3, 1.0]];
/// assert!((guided.score(&x, 0.3)? - posterior.score(&x, 0.3)?).iter().all(|e| e.abs() < 1e-9));
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ReconstructionGuidance<'a, V> {
    sde: &'a dyn Sde,
    score: V,
    measurement: Measurement,
    covariance: Covariance,
    strength: Strength,
}

impl<'a, V> ReconstructionGuidance<'a, V> {
    /// Guidance with this covariance, at weight 1.
    pub fn new(
        sde: &'a dyn Sde,
        score: V,
        measurement: Measurement,
        covariance: Covariance,
    ) -> Self {
        Self { sde, score, measurement, covariance, strength: Strength::Constant(1.0) }
    }

    /// DPS as a gradient of a likelihood; [`crate::steppers::DpsStep`] is the published step.
    pub fn dps(sde: &'a dyn Sde, score: V, measurement: Measurement) -> Self {
        Self::new(sde, score, measurement, Covariance::Zero)
    }

    /// PiGDM, for data of unit variance.
    pub fn pigdm(sde: &'a dyn Sde, score: V, measurement: Measurement) -> Self {
        Self::new(sde, score, measurement, Covariance::Isotropic { data_variance: 1.0 })
    }

    /// TMPD with the full Jacobian.
    pub fn tmpd(sde: &'a dyn Sde, score: V, measurement: Measurement) -> Self {
        Self::new(sde, score, measurement, Covariance::Full)
    }

    /// The same with another weight `w`.
    #[must_use]
    pub fn strength(mut self, strength: impl Into<Strength>) -> Self {
        self.strength = strength.into();
        self
    }

    fn with<W>(&self, score: W, rows: &[u64]) -> Result<ReconstructionGuidance<'a, W>> {
        Ok(ReconstructionGuidance {
            sde: self.sde,
            score,
            measurement: self.measurement.for_rows(rows)?,
            covariance: self.covariance,
            strength: self.strength.clone(),
        })
    }
}

impl<V: ScoreVjp<Array2<f64>>> ReconstructionGuidance<'_, V> {
    /// The twist, and the denoised data with `sigma^2 / alpha`, where there is signal.
    fn evaluate(&self, x: &Array2<f64>, t: f64) -> Result<(Twisted<Array2<f64>>, Option<Data>)> {
        let Some(at) = Denoiser::at(self.sde, &self.score, x, t)? else {
            // Without signal x says nothing of y.
            let (log_likelihood, gradient) = (vec![0.0; x.nrows()], Array2::zeros(x.dim()));
            let score = self.score.score(x, t)?;
            return Ok((Twisted { score, log_likelihood, gradient }, None));
        };
        let fit = self.covariance.fit(&at, &self.measurement)?;
        let scale = at.scale();
        let twisted = Twisted { score: at.score, log_likelihood: fit.log, gradient: fit.gradient };
        Ok((twisted, Some(Data { data: at.data, scale })))
    }
}

/// The denoised data and what of the score's change they move by.
struct Data {
    data: Array2<f64>,
    scale: f64,
}

impl<V: ScoreVjp<Array2<f64>>> Score<Array2<f64>> for ReconstructionGuidance<'_, V> {
    fn score(&self, x: &Array2<f64>, t: f64) -> Result<Array2<f64>> {
        let w = self.strength.at(self.sde, t)?;
        let (found, _) = self.evaluate(x, t)?;
        // Without noise the twist has not asked for it.
        let noisy = self.sde.marginal(t).sigma > 0.0;
        let score = if noisy { found.score } else { self.score.score(x, t)? };
        Ok(score + found.gradient * w)
    }

    /// `D + w sigma^2 / alpha grad log p`.
    fn denoised(&self, x: &Array2<f64>, t: f64) -> Result<Option<Array2<f64>>> {
        let w = self.strength.at(self.sde, t)?;
        Ok(match self.evaluate(x, t)? {
            (found, Some(Data { data, scale })) => Some(data + found.gradient * (w * scale)),
            (_, None) => None,
        })
    }

    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<Array2<f64>> + '_>> {
        Ok(Box::new(self.with(self.score.vjp_for_rows(rows)?, rows)?))
    }
}

impl<V: ScoreVjp<Array2<f64>>> Twist<Array2<f64>> for ReconstructionGuidance<'_, V> {
    fn twist(&self, x: &Array2<f64>, t: f64) -> Result<Twisted<Array2<f64>>> {
        Ok(self.evaluate(x, t)?.0)
    }

    fn twist_for_rows(&self, rows: &[u64]) -> Result<Box<dyn Twist<Array2<f64>> + '_>> {
        Ok(Box::new(self.with(self.score.vjp_for_rows(rows)?, rows)?))
    }
}
