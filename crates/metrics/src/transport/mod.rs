//! Exact optimal transport.

mod basis;
mod candidates;
mod cloud;
mod cost;
mod exact;
mod fixed;
mod frame;
mod kd_tree;
mod line;
mod masses;
mod number;
mod plan;
mod proof;
mod range;
mod refine;
mod ruler;
mod side;

pub(crate) use basis::{FlowArc, SpanningTree};
pub use cost::GroundCost;
pub use exact::{ExactTransport, w1, w2};
pub(crate) use fixed::Fixed;
pub(crate) use masses::{Mass, integer_masses};
pub(crate) use number::Number;
pub use plan::{Transport, TransportPlan};
pub(crate) use range::{check_coordinates, check_range, proves, to_one};
pub(crate) use ruler::Ruler;
