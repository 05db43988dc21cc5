//! Controllable generation for any score: guidance, linear measurements and twisted sequential Monte Carlo.
//!
//! It knows no network: whatever implements [`sde_core::Score`], and [`sde_core::ScoreVjp`] where gradients through the
//! denoised data are needed, can be steered.
//!
//! | what is given | use | exact |
//! |---|---|---|
//! | a conditional and an unconditional model | [`Guidance`] (classifier-free, CFG++, autoguidance, noise intervals) | at weight 1 |
//! | a classifier of noised data | [`ClassifierGuidance`] | with the exact classifier at weight 1 |
//! | `y = A x_0 + s n`, gradients | [`ReconstructionGuidance`] (DPS, PiGDM, TMPD), [`steppers::DpsStep`] | TMPD for Gaussian data |
//! | `y = A x_0 + s n`, no gradients | [`steppers::Replacement`], [`steppers::TimeTravel`] (RePaint), [`steppers::Ddrm`], [`steppers::Ddnm`] | no |
//! | either, and many particles | [`TwistedSmc`] | as the number of particles grows |
//!
//! Everything is a [`sde_core::Score`] or a [`solvers::Stepper`], so each sampler of the registry takes it.
//!
//! ```
//! use control::{Groups, Measurement, ReconstructionGuidance};
//! use ndarray::{Array2, array};
//! use sde_core::{Key, Vp, analytic::DataSet};
//! use solvers::{Method, Sampler};
//!
//! let vp = Vp::default();
//! let prior = DataSet::Blob.under(&vp).expect("a mixture");
//! // The first coordinate is seen, with noise of standard deviation 0.1.
//! let seen = Measurement::new(Groups::columns(2, &[0])?, array![[1.3]], 0.1)?;
//! let posterior = ReconstructionGuidance::tmpd(&vp, &prior, seen);
//! let x = Sampler::builder(Method::EulerMaruyama, 1.0, 200)
//!     .draw(&vp, &posterior, 100, &Array2::zeros((1, 2)), Key::root(1))?;
//! let mean = x.column(0).mean().expect("samples");
//! assert!((mean - 1.3).abs() < 0.1);
//! # Ok::<(), solvers::SolveError>(())
//! ```

mod backward;
mod denoised;
mod guidance;
mod measurement;
mod operator;
mod smc;
pub mod steppers;

pub use guidance::{
    ClassifierGuidance, Covariance, Guidance, ReconstructionGuidance, Strength, Twist, Twisted,
};
pub use measurement::Measurement;
pub use operator::{Boundary, Dense, Grey, Groups, Linear, SeparableBlur, box_mask, random_mask};
pub use smc::{ParticleSystem, Proposal, TwistedSmc, systematic};
