//! How far a model is from solving the Fokker-Planck equation of its forward SDE
//! `dX = a(t) X dt + g(t) dW`: residuals, exact and estimated divergences, and a training penalty.
//!
//! A potential `phi` that is the log-density of the process up to a constant has the residual
//!
//! `R = d_t phi + div f + f . grad phi - (g^2/2) (Lap phi + |grad phi|^2) = 0`, `f = a x`.
//!
//! Where it vanishes, the reverse SDE and the probability-flow ODE of the model have the same
//! marginals; the gap between the two is a functional of `R`. Use [`log_density_residual`] to measure
//! it on anything that has [`sde_core::Derivatives`]. With the feature `networks`, which brings candle, there are
//! `FokkerPlanckPenalty` to train against it, and `score_form_residual` for its gradient, which also exists for scores
//! that are no gradient.
//!
//! `R` is not gauge invariant: adding `c(t)` to `phi` adds `c'(t)` to `R` and changes no sampler.
//!
//! ```
//! use fp_residual::potential_residual;
//! use ndarray::array;
//! use sde_core::{Vp, analytic::GaussianMixture};
//! let target = GaussianMixture::isotropic(&[0.4, 0.6], &array![[-1.0, 0.5], [2.0, 0.0]], &[0.3, 0.5])?;
//! let sde = Vp::default();
//! let x = array![[0.1, -0.2], [1.5, 0.3]];
//! let residual = potential_residual(&target.under(&sde), &x, &[0.2, 0.9], &sde)?;
//! assert!(residual.iter().all(|r| r.abs() < 1e-9));
//! # Ok::<(), sde_core::Error>(())
//! ```

pub mod bounds;
mod correction;
pub mod fokker_planck;
mod hutchinson;
#[cfg(feature = "networks")]
mod penalty;
#[cfg(feature = "networks")]
mod probed;
#[cfg(feature = "networks")]
mod regularisers;
#[cfg(feature = "networks")]
mod residual;
#[cfg(feature = "networks")]
mod score_form;
#[cfg(feature = "networks")]
mod time_weight;

pub use correction::{CorrectedFlow, GapGradient, PathStates, gap_paths, prior_mismatch};
#[cfg(feature = "networks")]
pub use correction::{
    CorrectionData, CorrectionMatching, ImplicitCorrection, PathLevel, correction_config,
    residual_gradient, without_correction,
};
pub use hutchinson::{Estimate, hutchinson_divergence};
#[cfg(feature = "networks")]
pub use penalty::{Collocation, CollocationPoints, FokkerPlanckPenalty, residual_loss_and_grad};
#[cfg(feature = "networks")]
pub use probed::{ProbedPenalty, residual_along, squared_residual};
#[cfg(feature = "networks")]
pub use regularisers::{
    AdaptivePenalty, CentredPenalty, CurlPenalty, DualScoreMatching, MartingalePenalty,
    Regulariser, RegulariserInfo, RegulariserSettings, Scheduled, SecondOrderMatching, WeakPenalty,
    WeightSchedule, time_score,
};
#[cfg(feature = "networks")]
pub use residual::{network_residual, residual_graph};
#[cfg(feature = "networks")]
pub use score_form::{ScoreFormPenalty, score_form_residual, score_residual_graph};
pub use sde_core::{Probe, log_density_residual, potential_residual};
#[cfg(feature = "networks")]
pub use time_weight::TimeWeight;
