//! Targets whose densities, scores and derivatives are known in closed form at every time.

mod checker;
mod components;
mod data;
mod fit;
mod mixture;
mod score;
mod spectrum;
mod tail;

pub use data::DataSet;
pub use mixture::GaussianMixture;
pub use score::AnalyticScore;
