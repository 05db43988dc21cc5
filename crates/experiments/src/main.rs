//! The `experiment` binary; everything it does is in the library beside it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Threads inherit the flag, so it must be set before the first one starts: softplus with
    // beta = 100 makes denormals by the million, and each costs a hundred times a normal number.
    score_nets::fused::prepare_process();
    experiments::cli::main(std::env::args_os())
}
