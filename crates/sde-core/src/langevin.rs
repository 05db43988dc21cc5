//! Langevin dynamics on an energy.

use crate::{Dynamics, Result, Score, State};

/// Overdamped Langevin dynamics `dX = s(X, t) dtau + sqrt(2) dW` on the score at one fixed time `t`,
/// forward in a fictitious time `tau`: its stationary law is `p_t`, and for a potential `phi` the
/// Gibbs law of the energy `-phi`.
///
/// # Reference
/// Roberts, Tweedie 1996, "Exponential convergence of Langevin distributions"; with a learned score:
/// Song, Ermon 2019, arXiv 1907.05600, equation 4.
///
/// ```
/// use ndarray::array;
/// use sde_core::{Dynamics, Langevin, Sde, Vp, analytic::DataSet};
/// let vp = Vp::default();
/// let score = DataSet::Blob.under(&vp).expect("a mixture");
/// let langevin = Langevin::new(&score, 0.1);
/// assert_eq!(langevin.drift(&array![[0.0, 0.0]], 7.0)?, langevin.drift(&array![[0.0, 0.0]], 0.0)?);
/// # Ok::<(), sde_core::Error>(())
/// ```
pub struct Langevin<'a, S> {
    score: &'a dyn Score<S>,
    t: f64,
}

impl<'a, S> Langevin<'a, S> {
    /// Langevin dynamics on the score at time `t`.
    pub fn new(score: &'a dyn Score<S>, t: f64) -> Self {
        Self { score, t }
    }
}

impl<S: State> Dynamics<S> for Langevin<'_, S> {
    fn drift(&self, x: &S, _tau: f64) -> Result<S> {
        self.score.score(x, self.t)
    }

    fn diffusion(&self, _tau: f64) -> f64 {
        std::f64::consts::SQRT_2
    }
}
