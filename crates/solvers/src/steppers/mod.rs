//! One file a method.

mod dpm_solver_pp;
mod euler_maruyama;
mod heun;
mod runge_kutta;
mod sdirk;

pub use dpm_solver_pp::DpmSolverPP2M;
pub use euler_maruyama::EulerMaruyama;
pub use heun::Heun;
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
