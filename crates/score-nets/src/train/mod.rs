//! Training: data, losses, optimiser, loop.

mod adam;
mod data;
mod draws;
mod dsm;
mod objective;
mod optimiser;
mod schedule;
mod soap;
mod tails;
mod time_law;
mod trainer;

pub use adam::{AdamConfig, EmaConfig};
pub use data::{DataSource, FnSource};
pub use draws::Draws;
pub use dsm::{Dsm, ScoreBatch, Weighting};
pub use objective::{Model, Objective, as_share};
pub use optimiser::Optimiser;
pub use schedule::{Phase, Schedule};
pub use soap::SoapConfig;
pub use tails::Tails;
pub use time_law::{Proposal, TimeLaw};
pub(crate) use trainer::TrainState;
pub use trainer::{Outcome, Progress, TrainConfig, Trainer};
