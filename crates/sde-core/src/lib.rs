//! Linear SDEs of diffusion models, their schedules, reverse-time dynamics, counter-based
//! randomness and targets whose densities and scores are known in closed form.
//!
//! This crate knows no network, no solver loop and no files. Solvers work on any [`State`]; the
//! crate implements it for `ndarray::Array2<f64>` and, behind the feature `candle`, for
//! `candle_core::Tensor`.
//!
//! ```
//! use sde_core::{Sde, Vp};
//! let sde = Vp::new(0.1, 20.0)?;
//! let m = sde.marginal(0.5);
//! assert!((m.alpha * m.alpha + m.sigma * m.sigma - 1.0).abs() < 1e-15);
//! # Ok::<(), sde_core::Error>(())
//! ```

pub mod analytic;
mod conditioning;
pub mod counts;
mod dynamics;
mod error;
mod grid;
mod key;
mod langevin;
mod main_error;
pub mod normal;
mod parametrisation;
mod preconditioning;
mod probe;
mod residual;
pub mod schedule;
mod score;
pub mod sde;
mod short;
mod state;

pub use conditioning::{LogLikelihood, Pullback, ScoreVjp};
pub use dynamics::{Dynamics, Reverse, Semilinear, flow_velocity};
pub use error::{Error, Result};
pub use grid::TimeGrid;
pub use key::{Key, KroneckerSequence};
pub use langevin::Langevin;
pub use main_error::MainError;
pub use parametrisation::{Combination, Level, Parametrisation, Rates, Target};
pub use preconditioning::{Coefficients, InputScale, Label, NoiseTable, Preconditioning};
pub use probe::Probe;
pub use residual::{log_density_residual, potential_residual};
pub use score::{Derivatives, FnScore, Potential, Score, ScoreJvp};
pub use sde::{
    Brownian, CosineVp, Discrete, Discretisation, Edm, Marginal, Ou, Rectified, Sde, SubVp, Ve, Vp,
};
pub use short::{Short, shorten};
pub use state::{State, Tolerance, Unit};
