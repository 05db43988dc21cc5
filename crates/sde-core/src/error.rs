use crate::{Short, shorten};

/// The errors of this crate and of everything that implements its traits.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two states, or a state and a model, do not fit.
    #[error("expected shape {expected:?}, found {found:?}")]
    Shape {
        /// What the operation needs.
        expected: Vec<usize>,
        /// What it got.
        found: Vec<usize>,
    },
    /// A time outside the interval on which the SDE is defined.
    #[error("time t = {} is outside [0, {}]", Short(*.t), Short(*.horizon))]
    Time {
        /// The offending time.
        t: f64,
        /// The end of the interval.
        horizon: f64,
    },
    /// A constant that its model does not allow.
    #[error("{name} = {}: {reason}", shorten(.value))]
    Parameter {
        /// The constant's name.
        name: String,
        /// Its value as given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that is not in the registry it was looked up in.
    #[error("unknown {what} `{name}`: expected one of {}", expected.join(", "))]
    Unknown {
        /// What was looked up (`sde`, `time grid`, ...).
        what: &'static str,
        /// The name as given.
        name: String,
        /// The names there are.
        expected: Vec<String>,
    },
    /// A value that must be finite is not.
    #[error("{what} is {} at row {row}", Short(*.value))]
    NonFinite {
        /// What was computed.
        what: &'static str,
        /// The offending value.
        value: f64,
        /// The row it belongs to.
        row: usize,
    },
    /// An SDE whose parts contradict each other, see [`crate::sde::check`].
    #[error("{sde} at t = {}: `{what}` does not hold: {} and {}", Short(*.t), Short(*.found), Short(*.expected))]
    Inconsistent {
        /// The SDE's name.
        sde: String,
        /// The time.
        t: f64,
        /// What should hold.
        what: &'static str,
        /// The left side, or the offending value.
        found: f64,
        /// The right side.
        expected: f64,
    },
    /// Counts that no run can end with.
    #[error(transparent)]
    Excess(crate::counts::Excess),
    /// An error of a model behind one of the traits.
    #[error(transparent)]
    Model(Box<dyn std::error::Error + Send + Sync>),
    /// An error of candle.
    #[cfg(feature = "candle")]
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
