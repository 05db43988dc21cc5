//! Exact optimal transport.

mod basis;
mod candidates;
mod cloud;
mod cost;
mod exact;
mod frame;
mod kd_tree;
mod line;
mod masses;
mod range;
mod side;

pub(crate) use basis::SpanningTree;
pub use cost::GroundCost;
pub use exact::{ExactTransport, Transport, TransportPlan, w1, w2};
pub(crate) use masses::{Mass, integer_masses};
pub(crate) use range::{check_coordinates, check_range, to_one};
