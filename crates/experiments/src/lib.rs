//! The command line and the experiments behind it: one config, one finished, reproducible run.
//!
//! - [`main`]: the `experiment` command, with experiments of one's own beside those of this crate;
//! - [`cli`]: what the command understands, one file a command;
//! - [`run`]: experiments by name, the trait [`run::Experiment`] and what it is given; `runs`: the life of
//!   a run, its folder, record and log;
//! - [`ode_sde_gap`]: the main experiment and its page; `studies`: the others;
//! - `fit`: models of the user's own data;
//! - `features`: features of images, and what they are made by; `events`: scalars and images for TensorBoard;
//! - `distance`: squared W2 with standard errors and floors, and the tests of what a report says; `noise_free`: squared W2 of the
//!   laws of a network without a sample;
//! - [`citations`]: the works that runs rest on;
//! - [`device_check`]: what a device computes, held against the CPU;
//! - [`coupling`]: data and noise of a batch, paired by exact transport;
//! - [`model`], [`named`], [`npy`], [`atomic`]: models by file name, values by name, arrays on disk, files
//!   that are whole or absent.

mod checks;
pub mod citations;
pub mod cli;
pub mod coupling;
pub mod device_check;
pub(crate) mod distance;
mod events;
mod features;
mod fit;
mod laws;
pub mod model;
pub mod named;
mod noise_free;
pub(crate) mod number;
pub mod ode_sde_gap;
pub(crate) mod on_rows;
mod particles;
mod presets;
pub mod run;
mod runs;
pub(crate) mod shell;
pub(crate) mod signals;
pub(crate) mod studies;

pub use data::npy;
pub use score_nets::atomic;

/// The whole `experiment` command, with these experiments beside those of this crate: what a `main` of one's own
/// calls, first thing. [`run::Experiment`] has an example.
pub fn main(own: &[run::Entry]) -> std::process::ExitCode {
    // Threads inherit the flag, so it must be set before the first one starts: softplus with
    // beta = 100 makes denormals by the million, and each costs a hundred times a normal number.
    score_nets::fused::prepare_process();
    if !own.is_empty() {
        shell::name_program();
    }
    cli::main(std::env::args_os(), &run::Registry::with(own))
}
