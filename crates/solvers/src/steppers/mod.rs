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
pub use sa_solver::SaSolver;
pub use seeds::Seeds;
pub use sra::{Sea, Shark, Sra1};
