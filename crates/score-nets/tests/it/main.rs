//! Integration tests of the networks, their files and their training.

mod classifier;
mod common;
mod curvature;
mod derivatives;
mod devices;
mod draws;
mod files;
mod kernels;
mod log_variance;
mod models;
mod objectives;
mod potentials;
mod recipe;
mod settings;
mod training;
