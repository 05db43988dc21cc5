//! The command line and the experiments behind it: one config, one finished, reproducible run.
//!
//! - [`cli`]: what the `experiment` binary understands, one file a command;
//! - [`run`]: the experiments by name; `runs`: one run, its folder, record and log;
//! - [`ode_sde_gap`]: the main experiment and its page; `studies`: the others, all on one frame;
//! - `distance`: squared W2 with standard errors and floors, and the tests of what a report says;
//! - [`device_check`]: what a device computes, held against the CPU;
//! - [`verify`]: recomputes published reference numbers from the shell;
//! - [`coupling`]: data and noise of a batch, paired by exact transport;
//! - [`model`], [`npy`], [`atomic`]: models by file name, arrays on disk, files that are whole or absent.

pub mod atomic;
mod checks;
pub mod cli;
pub mod coupling;
pub mod device_check;
pub(crate) mod distance;
pub mod model;
pub mod npy;
pub(crate) mod number;
pub mod ode_sde_gap;
pub mod run;
mod runs;
pub(crate) mod shell;
pub(crate) mod signals;
pub(crate) mod studies;
pub mod verify;
