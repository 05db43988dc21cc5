//! `measure`: a fixed piece of work, timed here and in other software on the same inputs.

mod check;
mod cli;
mod cliffs;
mod composite;
mod exchange;
mod flops;
mod machine;
mod ours;
mod overhead;
mod own;
mod peer;
mod peers;
mod quiet;
mod side;
mod table;
mod timing;
mod transport;
mod unet;
mod work;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Threads inherit what this sets, so it comes before the first of them.
    score_nets::fused::prepare_process();
    cli::main()
}
