//! One file a method.

mod dpm_multistep;
mod dpm_schedule;
mod dpm_singlestep;
mod euler_maruyama;
mod expansion;
mod heun;
mod runge_kutta;
mod sdirk;

pub use dpm_multistep::DpmMultistep;
pub use dpm_schedule::{DpmSchedule, DpmScheduled};
pub use dpm_singlestep::DpmSinglestep;
pub use euler_maruyama::EulerMaruyama;
pub use expansion::{Expansion, LowerOrderEnd, Prediction};
pub use heun::Heun;
pub use runge_kutta::RungeKutta;
pub use sdirk::Sdirk2;
mod unipc;
pub use unipc::{UniPc, Variant};
