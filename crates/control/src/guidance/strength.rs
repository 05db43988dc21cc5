//! How strongly a model is steered, as a function of time.

use std::sync::Arc;

use sde_core::sde::check_time;
use sde_core::{Error, Result, Sde};

/// The weight `w` of guidance at a time.
///
/// ```
/// use control::Strength;
/// use sde_core::Edm;
/// // alpha = 1 and sigma = t.
/// let middle = Strength::Interval { weight: 3.0, lowest: 0.3, highest: 5.0 };
/// assert_eq!([0.3, 0.4, 5.0, 6.0].map(|t| middle.at(&Edm::default(), t).unwrap()), [1.0, 3.0, 3.0, 1.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Strength {
    /// The same at all times.
    Constant(f64),
    /// `weight` at noise levels `lowest < sigma / alpha <= highest`, and 1 elsewhere.
    ///
    /// # Reference
    /// Kynkaanniemi et al. 2024, arXiv 2404.07724, equation 5.
    Interval {
        /// Inside.
        weight: f64,
        /// The lower noise level.
        lowest: f64,
        /// The higher noise level.
        highest: f64,
    },
    /// CFG++ on the steps between `times`, from the first down: `w = weight / (1 - e^{-h})`, `h` the change of
    /// `log(alpha / sigma)` in the step that begins at the time or before it. DDIM with this weight moves to
    ///
    /// `x1 = alpha1 (D_u + weight (D_c - D_u)) + sigma1 eps_u`:
    ///
    /// the data are guided, and noised again by the unconditional model.
    ///
    /// # Reference
    /// Chung et al. 2024, arXiv 2406.08070, algorithm 2.
    PlusPlus {
        /// The weight of the data, in `[0, 1]`.
        weight: f64,
        /// The times of the steps.
        times: Arc<[f64]>,
    },
}

impl Strength {
    /// The weight at a time.
    ///
    /// # Errors
    /// [`Error::Time`] for a time outside `[0, T]`; [`Error::Parameter`] for one that is in none of the steps of CFG++.
    pub fn at(&self, sde: &dyn Sde, t: f64) -> Result<f64> {
        let t = check_time(sde, t)?;
        match self {
            Self::Constant(w) => Ok(*w),
            Self::Interval { weight, lowest, highest } => {
                let m = sde.marginal(t);
                // Noise without signal is above every level.
                let level = m.sigma / m.alpha;
                Ok(if *lowest < level && level <= *highest { *weight } else { 1.0 })
            }
            Self::PlusPlus { weight, times } => {
                let Some(step) = times.windows(2).find(|w| w[1] < t && t <= w[0]) else {
                    let reason = "is in none of the steps".into();
                    return Err(Error::Parameter {
                        name: "t".into(),
                        value: t.to_string(),
                        reason,
                    });
                };
                let (from, to) = (sde.marginal(step[0]), sde.marginal(step[1]));
                // e^{-h}; zero from no signal and to no noise.
                let left = (to.sigma / to.alpha) * (from.alpha / from.sigma);
                Ok(weight / (1.0 - left))
            }
        }
    }
}

impl From<f64> for Strength {
    fn from(weight: f64) -> Self {
        Self::Constant(weight)
    }
}
