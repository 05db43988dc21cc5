//! Entropic optimal transport and the Sinkhorn divergence.

mod divergence;
mod newton;
mod plan;
mod solve;
mod transport;

pub use divergence::{SinkhornDivergence, sinkhorn_divergence};
pub use transport::{EntropicTransport, Sinkhorn, entropic_transport};
