//! A score with a correction that gives every sampler the density of the reverse SDE.

use sde_core::{Error, Result, Score, ScoreJvp, State};

/// The score `s - c grad psi` of a model `s` with a correction `psi ~ r = log p_S - phi`.
///
/// Here `p_S` is the density of the model's reverse SDE. At every time the family of samplers in `eta` that is driven by
///
/// `s_eta = s - (1 - eta^2)/(1 + eta^2) grad r`
///
/// has the one density `p_S`: the drift `f - (1 + eta^2)/2 g^2 s_eta` is `f - g^2 s + (1 - eta^2)/2 g^2 grad log p_S`. So
/// [`CorrectedFlow::ode`] subtracts the whole of it, and for `eta = 1` nothing is left to subtract. The derivatives in `x`
/// follow, and with them log-densities: those of the corrected ODE are those of the SDE's own samples.
///
/// # Reference
/// Song et al. 2021, arXiv 2011.13456, section 4.3 (the probability flow of an SDE); the difference of the velocities:
/// Deveney et al. 2025, arXiv 2311.15996.
///
/// ```
/// use fp_residual::CorrectedFlow;
/// use ndarray::{Array2, array};
/// use sde_core::{FnScore, Score};
/// let model = FnScore::new(|x: &Array2<f64>, _| Ok(x * -2.0));
/// let correction = FnScore::new(|x: &Array2<f64>, _| Ok(x * 0.5));
/// let x = array![[1.0, -2.0]];
/// assert_eq!(CorrectedFlow::ode(&model, &correction).score(&x, 0.3)?, array![[-2.5, 5.0]]);
/// let sde = CorrectedFlow::with_eta(&model, &correction, 1.0)?;
/// assert_eq!(sde.score(&x, 0.3)?, array![[-2.0, 4.0]]); // that of the model
/// # Ok::<(), sde_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CorrectedFlow<M, C> {
    model: M,
    correction: C,
    share: f64,
}

impl<M, C> CorrectedFlow<M, C> {
    /// For the probability-flow ODE.
    pub fn ode(model: M, correction: C) -> Self {
        Self { model, correction, share: 1.0 }
    }

    /// For the sampler of this `eta`.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `eta` is finite and not negative.
    pub fn with_eta(model: M, correction: C, eta: f64) -> Result<Self> {
        if !(eta.is_finite() && eta >= 0.0) {
            let reason = "must be finite and non-negative".into();
            return Err(Error::Parameter { name: "eta".into(), value: eta.to_string(), reason });
        }
        let share = (1.0 - eta * eta) / (1.0 + eta * eta);
        Ok(Self { model, correction, share })
    }

    /// The part of `grad psi` that is subtracted.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// The score of the SDE's own density as the two models know it, `grad log p_S ~ s + grad psi`.
    ///
    /// # Errors
    /// As [`Score::score`].
    pub fn density_score<S: State>(&self, x: &S, t: f64) -> Result<S>
    where
        M: Score<S>,
        C: Score<S>,
    {
        let (s, r) = (self.model.score(x, t)?, self.correction.score(x, t)?);
        S::lincomb(&[(1.0, &s), (1.0, &r)])
    }

    fn less<S: State>(&self, of_model: &S, of_correction: &S) -> Result<S> {
        S::lincomb(&[(1.0, of_model), (-self.share, of_correction)])
    }
}

impl<S: State + 'static, M: Score<S>, C: Score<S>> Score<S> for CorrectedFlow<M, C> {
    fn score(&self, x: &S, t: f64) -> Result<S> {
        self.less(&self.model.score(x, t)?, &self.correction.score(x, t)?)
    }

    fn for_rows(&self, rows: &[u64]) -> Result<Box<dyn Score<S> + '_>> {
        let (model, correction) = (self.model.for_rows(rows)?, self.correction.for_rows(rows)?);
        Ok(Box::new(CorrectedFlow { model, correction, share: self.share }))
    }
}

impl<S: State + 'static, M: ScoreJvp<S>, C: ScoreJvp<S>> ScoreJvp<S> for CorrectedFlow<M, C> {
    fn score_jvp(&self, x: &S, t: f64, v: &S) -> Result<(S, S)> {
        let (s, along) = self.model.score_jvp(x, t, v)?;
        let (r, bent) = self.correction.score_jvp(x, t, v)?;
        Ok((self.less(&s, &r)?, self.less(&along, &bent)?))
    }

    fn divergence(&self, x: &S, t: f64) -> Result<Vec<f64>> {
        let (s, r) = (self.model.divergence(x, t)?, self.correction.divergence(x, t)?);
        Ok(s.iter().zip(&r).map(|(s, r)| s - self.share * r).collect())
    }

    fn score_and_divergence(&self, x: &S, t: f64) -> Result<(S, Vec<f64>)> {
        let (score, divergence) = self.model.score_and_divergence(x, t)?;
        let (r, of_r) = self.correction.score_and_divergence(x, t)?;
        let divergence = divergence.iter().zip(&of_r).map(|(s, r)| s - self.share * r).collect();
        Ok((self.less(&score, &r)?, divergence))
    }

    fn jvp_for_rows(&self, rows: &[u64]) -> Result<Box<dyn ScoreJvp<S> + '_>> {
        let model = self.model.jvp_for_rows(rows)?;
        let correction = self.correction.jvp_for_rows(rows)?;
        Ok(Box::new(CorrectedFlow { model, correction, share: self.share }))
    }
}
