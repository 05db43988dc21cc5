//! Entropic optimal transport and the Sinkhorn divergence.

mod divergence;
mod newton;
mod plan;
mod solve;

pub use divergence::{SinkhornDivergence, sinkhorn_divergence};
pub use solve::{EntropicTransport, Sinkhorn, entropic_transport};
