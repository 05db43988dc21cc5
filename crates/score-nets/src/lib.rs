//! Score networks on candle: networks with exact input derivatives, their training and their files.

mod activation;
pub mod atomic;
mod config;
mod error;
pub mod fused;
mod io;
mod jet;
mod mlp;
mod net;
mod time;
mod train;

pub use activation::Activation;
pub use config::{Base, NetConfig, Output, TimeEmbedding, TimeFeature};
pub use error::{Error, Result};
pub use io::inspect_pickle;
pub use jet::Jet;
pub use net::{GraphDerivatives, Kernels, OperatorRow, RowOperator, ScoreJacobian, ScoreNet};
pub use train::{
    AdamConfig, DataSource, Draws, Dsm, EmaConfig, FnSource, Objective, Optimiser, Outcome, Phase,
    Progress, Proposal, Schedule, ScoreBatch, SoapConfig, Tails, TimeLaw, TrainConfig, Trainer,
    Weighting,
};
