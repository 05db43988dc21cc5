//! Langevin dynamics on an energy.

use crate::{Dynamics, Result, Score, State};

/// Overdamped Langevin dynamics `dX = s(X, t) dtau + sqrt(2) dW` on the score at one fixed time `t`,
/// forward in a fictitious time `tau`: its stationary law is `p_t`, and for a potential `phi` the
/// Gibbs law of the energy `-phi`. Annealed, the time `t` falls to that one in levels first.
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
    annealing: Option<Annealing>,
}

/// Levels of the time, geometric from `hottest` down.
struct Annealing {
    hottest: f64,
    levels: usize,
    /// The fictitious time of all of them together.
    length: f64,
}

impl<'a, S> Langevin<'a, S> {
    /// Langevin dynamics on the score at time `t`.
    pub fn new(score: &'a dyn Score<S>, t: f64) -> Self {
        Self { score, t, annealing: None }
    }

    /// With levels of the time, geometric from `hottest` down to that of the dynamics, over the first
    /// `length` of the fictitious time (Song, Ermon 2019, algorithm 1).
    ///
    /// ```
    /// use ndarray::array;
    /// use sde_core::{Dynamics, Langevin, Score, Vp, analytic::DataSet};
    /// let vp = Vp::default();
    /// let score = DataSet::Blob.under(&vp).expect("a mixture");
    /// let langevin = Langevin::new(&score, 0.01).annealed(1.0, 2, 4.0);
    /// let x = array![[0.3, 0.0]];
    /// // Levels of 1 and, from the middle on, of the root of 0.01.
    /// assert_eq!(langevin.drift(&x, 0.0)?, score.score(&x, 1.0)?);
    /// assert_eq!(langevin.drift(&x, 2.0)?, score.score(&x, 0.1)?);
    /// assert_eq!(langevin.drift(&x, 4.0)?, score.score(&x, 0.01)?);
    /// # Ok::<(), sde_core::Error>(())
    /// ```
    #[must_use]
    pub fn annealed(self, hottest: f64, levels: usize, length: f64) -> Self {
        Self { annealing: Some(Annealing { hottest, levels, length }), ..self }
    }
}

impl<S: State> Dynamics<S> for Langevin<'_, S> {
    fn drift(&self, x: &S, tau: f64) -> Result<S> {
        let t = match self.annealing {
            Some(Annealing { hottest, levels, length }) if tau < length => {
                let share = (tau / length * levels as f64).floor() / levels as f64;
                hottest * (self.t / hottest).powf(share)
            }
            _ => self.t,
        };
        self.score.score(x, t)
    }

    fn diffusion(&self, _tau: f64) -> f64 {
        std::f64::consts::SQRT_2
    }
}
