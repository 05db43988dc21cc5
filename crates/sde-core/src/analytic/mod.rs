//! Targets whose densities, scores and derivatives are known in closed form at every time.

mod checker;
mod classes;
mod components;
mod data;
mod fit;
mod mixture;
mod posterior;
mod score;
mod spectrum;
mod tail;

pub use classes::{ClassLikelihood, MixtureClasses};
pub use data::DataSet;
pub use mixture::GaussianMixture;
pub use posterior::{Posterior, PosteriorLikelihood};
pub use score::AnalyticScore;
