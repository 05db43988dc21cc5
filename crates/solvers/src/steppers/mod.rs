//! One file a method.

mod corrector;
mod discrete;
mod dpm_solver_pp;
mod dpm_solver_sde;
mod er_sde;
mod euler_maruyama;
mod exponential;
mod exponential_euler_maruyama;
mod heun;
mod restart;
mod runge_kutta;
mod sa_solver;
mod sdirk;
mod seeds;
mod sra;

pub use corrector::{AnnealedLangevin, Corrector, PredictorCorrector, Stay};
pub use discrete::{Ancestral, ReverseDiffusion};
pub use dpm_solver_pp::DpmSolverPP2M;
pub use dpm_solver_sde::{Correction, DpmSolverPP2MSde, DpmSolverPP3MSde, DpmSolverPPSde};
pub use er_sde::{ErSde, NoiseScale};
pub use euler_maruyama::EulerMaruyama;
pub use exponential_euler_maruyama::ExponentialEulerMaruyama;
pub use heun::Heun;
pub use restart::Restart;
pub use runge_kutta::RungeKutta;
pub use sdirk::Sdirk2;

mod deis;
mod edm;
mod k_diffusion;
mod pndm;
mod quadrature;
mod ratio;
mod rho_runge_kutta;

pub use deis::{Deis, Polynomial};
pub use edm::{Clock, EdmChurn, EdmHeun};
pub use k_diffusion::{EulerAncestral, Kdpm2};
pub use pndm::{Ipndm, Pndm};
pub use rho_runge_kutta::RhoRungeKutta;
pub use sa_solver::SaSolver;
pub use seeds::Seeds;
pub use sra::{Sea, Shark, Sra1};
