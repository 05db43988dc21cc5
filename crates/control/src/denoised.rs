//! The denoised data of a score, and its derivatives.

use ndarray::Array2;
use sde_core::sde::check_time;
use sde_core::{Marginal, Pullback, Result, ScoreVjp, Sde, State};

/// A score at a point with what guidance makes of it.
pub(crate) struct Denoiser<'a> {
    pub(crate) marginal: Marginal,
    pub(crate) score: Array2<f64>,
    /// `D = E[x_0 | x]`.
    pub(crate) data: Array2<f64>,
    pull: Pullback<'a, Array2<f64>>,
}

impl<'a> Denoiser<'a> {
    /// At `x` and `t`; nothing where there is no signal (`alpha = 0`), and a score of zero where there is no noise.
    pub(crate) fn at<V: ScoreVjp<Array2<f64>> + ?Sized>(
        sde: &dyn Sde,
        score: &'a V,
        x: &Array2<f64>,
        t: f64,
    ) -> Result<Option<Self>> {
        let marginal = sde.marginal(check_time(sde, t)?);
        if marginal.alpha == 0.0 {
            return Ok(None);
        }
        if marginal.sigma == 0.0 {
            // The data are certain, and no model need be asked where its score may be infinite.
            let (score, data) = (Array2::zeros(x.dim()), x / marginal.alpha);
            let pull = Box::new(|v: &Array2<f64>| Ok(Array2::zeros(v.dim())));
            return Ok(Some(Self { marginal, score, data, pull }));
        }
        let (s, pull) = score.score_vjp(x, t)?;
        let var = marginal.sigma * marginal.sigma;
        let data = State::lincomb(&[(1.0 / marginal.alpha, x), (var / marginal.alpha, &s)])?;
        Ok(Some(Self { marginal, score: s, data, pull }))
    }

    /// `J^T v = (v + sigma^2 (ds/dx)^T v) / alpha`, `J = dD/dx`.
    pub(crate) fn pull(&self, v: &Array2<f64>) -> Result<Array2<f64>> {
        let Marginal { alpha, sigma } = self.marginal;
        State::lincomb(&[(1.0 / alpha, v), (sigma * sigma / alpha, &(self.pull)(v)?)])
    }

    /// `sigma^2 / alpha`, by which `J` is the covariance of the data given `x`.
    pub(crate) fn scale(&self) -> f64 {
        self.marginal.sigma * self.marginal.sigma / self.marginal.alpha
    }
}
