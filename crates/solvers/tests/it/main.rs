//! Orders, references and invariances of `solvers`. One binary; `RUN_SLOW=1` adds the tests named
//! `slow_*`.

mod areas;
mod authors;
mod bad_rows;
mod common;
mod correctors;
mod defect;
mod density;
mod dpm;
mod dynamic;
mod gaussian;
mod invariance;
mod lambda;
mod latent;
mod limits;
mod moments;
mod noise;
mod order;
mod paths;
mod pfode;
mod refusals;
mod resolution;
mod stochastic;
mod weak;
