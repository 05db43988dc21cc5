//! The binary, from the outside, and the files it writes.

mod bad_input;
mod density;
mod files;
mod metrics;
mod ode_sde_gap;
mod points;
mod report;
mod sampling;
mod studies;
mod support;
mod verify_refs;
