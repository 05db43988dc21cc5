//! A score and a classifier of noised data.

use sde_core::{LogLikelihood, Result, Score, Sde, State};

use super::{Strength, Twist, Twisted};

/// Classifier guidance: `s(x, t) + w grad_x log p(c | x, t)`.
///
/// At `w = 1` with the exact classifier it is the score of the law given `c`.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, equation 14; Dhariwal, Nichol 2021, arXiv 2105.05233, section 4.
///
/// ```
/// use control::ClassifierGuidance;
/// use ndarray::array;
/// use sde_core::{Score, Vp, analytic::GaussianMixture};
/// let vp = Vp::default();
/// let both = GaussianMixture::isotropic(&[0.3, 0.7], &array![[-1.0], [1.0]], &[0.3, 0.3])?;
/// let classes = both.classes(&[0, 1])?;
/// let (all, classifier) = (both.under(&vp), classes.under(&vp).of(vec![1]));
/// let guided = ClassifierGuidance::new(&vp, &all, &classifier, 1.0);
/// let x = array![[0.2], [-0.4]];
/// let exact = classes.class(1).under(&vp).score(&x, 0.2)?;
/// assert!((guided.score(&x, 0.2)? - exact).iter().all(|e| e.abs() < 1e-12));
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ClassifierGuidance<'a, M, L> {
    sde: &'a dyn Sde,
    score: M,
    likelihood: L,
    strength: Strength,
}

impl<'a, M, L> ClassifierGuidance<'a, M, L> {
    /// The score of a model with the gradient of a likelihood.
    pub fn new(sde: &'a dyn Sde, score: M, likelihood: L, strength: impl Into<Strength>) -> Self {
        Self { sde, score, likelihood, strength: strength.into() }
    }
}

impl<S: State + 'static, M: Score<S>, L: LogLikelihood<S>> Score<S>
    for ClassifierGuidance<'_, M, L>
{
    fn score(&self, x: &S, t: f64) -> Result<S> {
        let (w, s) = (self.strength.at(self.sde, t)?, self.score.score(x, t)?);
        let (_, gradient) = self.likelihood.log_likelihood(x, t)?;
        S::lincomb(&[(1.0, &s), (w, &gradient)])
    }

    /// `D + w sigma^2 / alpha grad log p`, where the model knows `D`.
    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        let (w, m) = (self.strength.at(self.sde, t)?, self.sde.marginal(t));
        let Some(data) = self.score.denoised(x, t)?.filter(|_| m.alpha > 0.0) else {
            return Ok(None);
        };
        let (_, gradient) = self.likelihood.log_likelihood(x, t)?;
        Ok(Some(S::lincomb(&[(1.0, &data), (w * m.sigma * m.sigma / m.alpha, &gradient)])?))
    }

    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<S> + '_>> {
        let score = self.score.for_rows(rows)?;
        let likelihood = self.likelihood.likelihood_for_rows(rows)?;
        let (sde, strength) = (self.sde, self.strength.clone());
        Ok(Box::new(ClassifierGuidance { sde, score, likelihood, strength }))
    }
}

/// The likelihood itself, whatever the strength: particles are weighted for the law given `c`.
impl<S: State + 'static, M: Score<S>, L: LogLikelihood<S>> Twist<S>
    for ClassifierGuidance<'_, M, L>
{
    fn twist(&self, x: &S, t: f64) -> Result<Twisted<S>> {
        let score = self.score.score(x, t)?;
        let (log_likelihood, gradient) = self.likelihood.log_likelihood(x, t)?;
        Ok(Twisted { score, log_likelihood, gradient })
    }

    fn twist_for_rows(&self, rows: &[u64]) -> Result<Box<dyn Twist<S> + '_>> {
        let score = self.score.for_rows(rows)?;
        let likelihood = self.likelihood.likelihood_for_rows(rows)?;
        let (sde, strength) = (self.sde, self.strength.clone());
        Ok(Box::new(ClassifierGuidance { sde, score, likelihood, strength }))
    }
}
