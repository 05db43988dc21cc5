//! Orders, references and invariances of `solvers`. One binary; `RUN_SLOW=1` adds the tests named
//! `slow_*`.

mod common;
mod dpm;
mod gaussian;
mod invariance;
mod lambda;
mod noise;
mod order;
mod pfode;
mod refusals;
mod weak;
