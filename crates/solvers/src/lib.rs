//! One loop, many steppers: samplers for the reverse-time SDEs and ODEs of score-based diffusion.
//!
//! A [`SamplerBuilder`] draws particles: a method, its stochasticity `eta` and a number of steps; an SDE and a score; how many
//! particles, in what shape, under what key.
//!
//! ```
//! use ndarray::Array2;
//! use sde_core::{Key, Vp, analytic::DataSet};
//! use solvers::{Method, Sampler};
//!
//! let vp = Vp::default();
//! let score = DataSet::Blob.under(&vp).expect("a mixture");
//! let like = Array2::zeros((1, 2));
//! let x = Sampler::builder(Method::DpmSolverPP2M, 0.0, 20).draw(&vp, &score, 1000, &like, Key::root(1))?;
//! assert_eq!(x.dim(), (1000, 2));
//! # Ok::<(), solvers::SolveError>(())
//! ```
//!
//! Beneath it, a [`Stepper`] is a pure function of a problem, a state and an interval; a [`Controller`] proposes
//! intervals and judges them; [`Noise`] gives Brownian increments; an [`Observer`] looks on.
//! [`solve`] is the only loop. [`sample`] cuts many particles into blocks and takes each block
//! through a whole solve on one thread. [`Method`] lists what there is.
//!
//! ```
//! use ndarray::Array2;
//! use sde_core::{Key, Reverse, State, TimeGrid, Vp, analytic::DataSet};
//! use solvers::{IndependentIncrements, Grid, Method, solve};
//!
//! let vp = Vp::default();
//! let score = DataSet::Blob.under(&vp).expect("a mixture");
//! let problem = Reverse::ode(&vp, &score);
//! let x = Array2::zeros((16, 2)).normals_like(Key::root(1), 0)?;
//! let mut grid = Grid::new(TimeGrid::LogSnr.times(&vp, 20, 1.0, 1e-3)?)?;
//! let noise = IndependentIncrements::new(Key::root(2), 0);
//! let stepper = Method::DpmSolverPP2M.stepper();
//! let solution = solve(&*stepper, &problem, x, 1.0, &mut grid, &noise, &mut ())?;
//! assert_eq!((solution.x.dim(), solution.stats.nfe), ((16, 2), 20));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;
mod builder;
mod constant;
mod control;
pub mod density;
mod end;
mod error;
mod gotta_go_fast;
mod info;
mod lambda_adaptive;
mod latent;
mod method;
mod newton;
mod noise;
mod observe;
mod phi;
mod rows;
mod sample;
mod scheme;
mod solve;
mod stepper;
pub mod steppers;
mod steps;
pub mod tableau;
mod tree;

pub use blocks::{Rows, Summary, solve_blocks};
pub use builder::SamplerBuilder;
pub use constant::Constant;
pub use control::{Adaptive, Controller, ErrorRule, Grid, PidGains, RestartInterval, StepDecision};
pub use end::{End, denoise};
pub use error::{Result, SolveError};
pub use gotta_go_fast::GottaGoFast;
pub use info::{Info, Order};
pub use lambda_adaptive::LambdaAdaptive;
pub use latent::{flow, slerp, temper};
pub use method::{ConfiguredMethod, Method};
pub use noise::{BrownianGrid, IndependentIncrements, Noise, NoiselessEnd};
pub use observe::{Event, Observer, Trajectory};
pub use rows::{BadRows, Request};
pub use sample::{Sampler, sample, sample_from};
pub use scheme::{CustomStepper, Scheme};
pub use solve::{Solution, Stats, solve};
pub use stepper::{Past, Step, Stepper};
pub use steps::Control;
pub use tree::BrownianTree;
