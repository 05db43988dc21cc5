//! Terms of a training loss that make the two samplers of one network agree.

mod adaptive;
mod batch;
mod centred;
mod curl;
mod dual;
mod martingale;
mod scheduled;
mod second_order;
mod table;
mod weak;

pub use adaptive::AdaptivePenalty;
pub use centred::CentredPenalty;
pub use curl::CurlPenalty;
pub use dual::{DualScoreMatching, time_score};
pub use martingale::MartingalePenalty;
pub use scheduled::{Scheduled, WeightSchedule};
pub use second_order::SecondOrderMatching;
pub use table::{Regulariser, RegulariserInfo, RegulariserSettings};
pub use weak::WeakPenalty;
