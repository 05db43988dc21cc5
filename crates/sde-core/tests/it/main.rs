//! Laws and oracles of `sde-core`. One binary; `RUN_SLOW=1` adds the tests named `slow_*`.

mod analytic;
mod discrete;
mod grid;
mod key;
mod mixture_input;
mod sde;
mod shared;
mod state;
