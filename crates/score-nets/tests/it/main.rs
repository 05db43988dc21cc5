//! Integration tests of the networks, their files and their training.

mod common;
mod derivatives;
mod draws;
mod files;
mod kernels;
mod published;
mod settings;
mod training;
