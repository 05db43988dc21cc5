//! Scores that are steered: combinations of models, and models with an approximate likelihood.

mod classifier;
mod covariance;
mod mix;
mod reconstruction;
mod strength;
mod twist;

pub use classifier::ClassifierGuidance;
pub use covariance::Covariance;
pub use mix::Guidance;
pub use reconstruction::ReconstructionGuidance;
pub use strength::Strength;
pub use twist::{Twist, Twisted};
