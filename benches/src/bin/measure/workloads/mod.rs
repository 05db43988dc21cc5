//! The work that is measured, one module for each kind.

mod composite;
mod flops;
mod published;
mod transport;
mod unet;

use anyhow::Result;

use crate::cli::{Command, Options};
use crate::workload::Workload;

/// What a command measures.
pub(crate) fn of(options: &Options) -> Result<Workload> {
    match options.command {
        Command::TrainStep => published::workload(options, &["sgemm", "dsm", "dsm_fp"]),
        Command::Sample => published::workload(options, &["sgemm", "sample"]),
        Command::Peers => published::workload(options, &["sgemm", "dsm", "dsm_fp", "sample"]),
        Command::Cliffs => published::cliffs(options),
        Command::Unet => unet::workload(),
        Command::Composite => composite::workload(options),
        Command::Transport => transport::workload(options),
    }
}
