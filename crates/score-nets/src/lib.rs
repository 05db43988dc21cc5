//! Score networks on candle: networks with exact input derivatives, their training and their files.

mod activation;
pub mod atomic;
mod backend;
mod config;
mod error;
pub mod fused;
mod gradients;
mod io;
mod jet;
mod mlp;
mod net;
mod network;
mod parameters;
mod time;
mod train;

pub use activation::Activation;
pub use backend::Backend;
pub use config::{Base, NetConfig, Output, TimeEmbedding, TimeFeature};
pub use error::{Error, Result};
pub use gradients::Gradients;
pub use io::inspect_pickle;
pub use jet::Jet;
pub use net::{GraphDerivatives, Kernels, OperatorRow, RowOperator, ScoreJacobian, ScoreNet};
pub use network::{Condition, Network, Training, Vjp, check_inputs, jvp, vjp};
pub use parameters::Parameters;
pub use train::{
    AdamConfig, DataSource, Draws, Dsm, EmaConfig, FnSource, Model, Objective, Optimiser, Outcome,
    Phase, Progress, Proposal, Schedule, ScoreBatch, SoapConfig, Tails, TimeLaw, TrainConfig,
    Trainer, Weighting, as_share,
};
