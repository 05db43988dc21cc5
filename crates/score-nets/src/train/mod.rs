//! Training: data, losses, optimiser, loop.

mod adam;
mod coupling;
mod data;
mod distributions;
mod dsm;
mod ema;
mod importance;
mod log_variance;
mod noising;
mod objective;
mod optimiser;
mod outlier_weighting;
mod schedule;
mod sigma_data;
mod soap;
mod time_distribution;
mod trainer;
mod weighting;

pub use adam::{AdamConfig, EmaConfig};
pub use coupling::{Coupling, Independent};
pub use data::{DataSource, FnSource};
pub use dsm::Dsm;
pub use ema::{
    Averages, EmaProfile, Reconstruction, Snapshot, combine, power_gamma, power_sigma_rel,
    reconstruction,
};
pub use importance::{VarianceFactor, importance_integral, variance_factor};
pub(crate) use log_variance::LogVarianceHead;
pub use log_variance::{LogVariance, log_variance};
pub use noising::{Draws, NoisedRows, Noising};
pub use objective::{Model, Objective, as_share};
pub use optimiser::Optimiser;
pub use outlier_weighting::OutlierWeighting;
pub use schedule::{Phase, Schedule};
pub(crate) use sigma_data::enough_rows;
pub use sigma_data::{SigmaData, sigma_data};
pub use soap::SoapConfig;
pub use time_distribution::{Proposal, TimeDistribution};
pub use trainer::{Outcome, Progress, TrainConfig, Trainer};
pub use weighting::{Reduction, Weighting};
