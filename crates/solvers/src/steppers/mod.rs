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
