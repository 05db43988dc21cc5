//! Orders, laws and invariances of `solvers`; references of other software are held by the crate `references`.

mod areas;
mod bad_rows;
mod common;
mod correctors;
mod defect;
mod density;
mod dpm;
mod gaussian;
mod gotta_go_fast;
mod invariance;
mod lambda;
mod latent;
mod limits;
mod moments;
mod noise;
mod noised;
mod order;
mod outside;
mod paths;
mod recorded;
mod refusals;
mod resolution;
mod schemes;
mod stochastic;
mod terminal;
mod weak;
