//! The binary, from the outside, and the files it writes.

mod bad_input;
mod bad_rows;
mod commands;
mod damage;
mod density;
mod devices;
mod files;
mod fuzz;
mod fuzz_flags;
mod limits;
mod messages;
mod metrics;
mod mutations;
mod networks;
mod npy;
mod ode_sde_gap;
mod own_experiment;
mod points;
mod published;
mod report;
mod sampling;
mod signals;
mod smoke;
mod studies;
mod support;
mod verify;
