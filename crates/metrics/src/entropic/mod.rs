//! Entropic optimal transport and the Sinkhorn divergence.

mod divergence;
mod newton;
mod options;
mod plan;
mod solve;
mod transport;

pub use divergence::{SinkhornDivergence, sinkhorn_divergence};
pub use options::{EntropicTransport, Sinkhorn};
pub use transport::entropic_transport;
