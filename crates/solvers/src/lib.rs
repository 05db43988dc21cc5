//! One loop, many steppers: samplers for the reverse-time SDEs and ODEs of score-based diffusion.
//!
//! A [`Plan`] draws particles: a method, its stochasticity `eta` and a number of steps; an SDE and a score; how many
//! particles, in what shape, under what key.
//!
//! ```
//! use ndarray::Array2;
//! use sde_core::{Key, Vp, analytic::DataSet};
//! use solvers::{Method, Plan};
//!
//! let vp = Vp::default();
//! let score = DataSet::Blob.under(&vp).expect("a mixture");
//! let like = Array2::zeros((1, 2));
//! let x = Plan::new(Method::DpmSolverPP2M, 0.0, 20).draw(&vp, &score, 1000, &like, Key::root(1))?;
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
//! use solvers::{Fresh, Grid, Method, solve};
//!
//! let vp = Vp::default();
//! let score = DataSet::Blob.under(&vp).expect("a mixture");
//! let problem = Reverse::ode(&vp, &score);
//! let x = Array2::zeros((16, 2)).normals_like(Key::root(1), 0)?;
//! let mut grid = Grid::new(TimeGrid::LogSnr.times(&vp, 20, 1.0, 1e-3)?)?;
//! let noise = Fresh::new(Key::root(2), 0);
//! let stepper = Method::DpmSolverPP2M.stepper();
//! let solution = solve(&*stepper, &problem, x, 1.0, &mut grid, &noise, &mut ())?;
//! assert_eq!((solution.x.dim(), solution.stats.nfe), ((16, 2), 20));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;
mod control;
mod control_dynamic;
mod control_lambda;
pub mod density;
mod end;
mod error;
mod latent;
mod method;
mod newton;
mod noise;
mod observe;
mod phi;
mod plan;
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
pub use control::{Adaptive, Climb, Controller, ErrorRule, Gains, Grid, Verdict};
pub use control_dynamic::Dynamic;
pub use control_lambda::LambdaAdaptive;
pub use end::{End, denoise};
pub use error::{Result, SolveError};
pub use latent::{flow, slerp, temper};
pub use method::{Constant, Info, Method, Order, Tuned};
pub use noise::{BrownianGrid, Fresh, Noise, QuietEnd};
pub use observe::{Event, Observer, Trajectory};
pub use plan::Plan;
pub use rows::{BadRows, Request};
pub use sample::{Sampler, sample, sample_from};
pub use scheme::{Own, Scheme};
pub use solve::{Solution, Stats, solve};
pub use stepper::{Past, Step, Stepper};
pub use steps::Control;
pub use tree::BrownianTree;
