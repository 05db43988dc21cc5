//! What a model of the score must be able to do.

use crate::Result;

/// A score `s(x, t) = grad_x log p_t(x)`, or a model of it.
pub trait Score<S>: Send + Sync {
    /// The score of every row of `x` at the common time `t`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when `x` does not fit the model; whatever the model fails with.
    fn score(&self, x: &S, t: f64) -> Result<S>;

    /// The expected data `E[x_0 | x_t = x] = (x + sigma^2 s(x, t)) / alpha` of every row, as the model
    /// knows it apart from its score: that formula has no digit left where `alpha` is small beside the
    /// rounding of `sigma`. Closed forms and models of `x_0`, of `v = alpha eps - sigma x_0` and of
    /// Karras et al. have it; `None` from a model that knows its score alone.
    ///
    /// # Errors
    /// As [`Score::score`].
    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        let _ = (x, t);
        Ok(None)
    }
}

impl<S, T: Score<S> + ?Sized> Score<S> for &T {
    fn score(&self, x: &S, t: f64) -> Result<S> {
        (**self).score(x, t)
    }

    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        (**self).denoised(x, t)
    }
}

impl<S, T: Score<S> + ?Sized> Score<S> for std::sync::Arc<T> {
    fn score(&self, x: &S, t: f64) -> Result<S> {
        (**self).score(x, t)
    }

    fn denoised(&self, x: &S, t: f64) -> Result<Option<S>> {
        (**self).denoised(x, t)
    }
}

/// A score with exact directional derivatives in `x`.
pub trait ScoreJvp<S>: Score<S> {
    /// Score and its directional derivative, `(s(x, t), ds/dx . v)`, row by row.
    ///
    /// # Errors
    /// As [`Score::score`].
    fn score_jvp(&self, x: &S, t: f64, v: &S) -> Result<(S, S)>;

    /// The divergence `sum_i ds_i/dx_i` of every row, exactly.
    ///
    /// # Errors
    /// As [`Score::score`].
    fn divergence(&self, x: &S, t: f64) -> Result<Vec<f64>>;
}

/// A potential with everything the Fokker-Planck equation asks of it, one value (or row) a point.
#[derive(Clone, Debug)]
pub struct Derivatives<S> {
    /// `phi(x, t)`, an unnormalised log-density (normalised for analytic targets).
    pub potential: Vec<f64>,
    /// `grad_x phi`, in the shape of `x`.
    pub score: S,
    /// `d phi / d t`.
    pub d_t: Vec<f64>,
    /// `sum_i d^2 phi / d x_i^2`.
    pub laplacian: Vec<f64>,
}

/// A score that is the gradient of a known potential `phi(x, t)`.
pub trait Potential<S>: Score<S> {
    /// Potential, score, time derivative and Laplacian; row `b` of `x` at its own time `t[b]`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when `x` or `t` does not fit; whatever the model fails with.
    fn derivatives(&self, x: &S, t: &[f64]) -> Result<Derivatives<S>>;
}
