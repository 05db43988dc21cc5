//! Exact optimal transport.

mod basis;
mod candidates;
mod cloud;
mod cost;
mod exact;
mod kd_tree;
mod line;
mod masses;

pub(crate) use basis::SpanningTree;
pub use cost::GroundCost;
pub use exact::{ExactTransport, Transport, TransportPlan, w1, w2};
pub(crate) use masses::integer_masses;
