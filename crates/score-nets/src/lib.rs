//! Score networks on candle: networks with exact input derivatives, their training and their files.

mod activation;
mod architecture;
mod backend;
pub mod checkpoint;
mod classifier;
mod config;
mod error;
pub mod fused;
mod gradients;
mod io;
mod jet;
pub mod layers;
mod mlp;
mod model;
mod net;
mod network;
pub mod ops;
mod parameters;
mod residual_mlp;
mod time;
mod train;
pub mod unet;

pub use activation::Activation;
pub use architecture::Architecture;
pub use atomic_file as atomic;
pub use backend::Backend;
pub use classifier::{Classifier, ClassifierConfig, CrossEntropy, LabelledClassifier};
pub use config::{Base, NetConfig, Output, TimeEmbedding, TimeFeature};
pub use error::{Error, Result};
pub use gradients::Gradients;
pub use io::{Described, inspect_pickle};
pub use jet::Jet;
pub use model::{Build, Denoising, LabelledModel, ModelConfig, Quantity, Samples, ScoreModel};
pub use net::{
    GraphDerivatives, Kernels, OperatorRow, RowOperator, ScoreBatch, ScoreJacobian, ScoreNet,
};
pub use network::{Condition, Network, Training, Vjp, check_inputs, jvp, vjp};
pub use parameters::Parameters;
pub use residual_mlp::{ResidualMlp, ResidualMlpConfig};
pub use train::{
    AdamConfig, Averages, Coupling, DataSource, Draws, Dsm, EmaConfig, EmaProfile, FnSource,
    Independent, LogVariance, Model, NoisedRows, Noising, Objective, Optimiser, Outcome,
    OutlierWeighting, Phase, Progress, Proposal, Reconstruction, Reduction, Schedule, SigmaData,
    Snapshot, SoapConfig, TimeDistribution, TrainConfig, Trainer, VarianceFactor, Weighting,
    as_share, combine, importance_integral, log_variance, power_gamma, power_sigma_rel,
    reconstruction, sigma_data, variance_factor,
};
