//! The one error type of the crate.

use sde_core::Short;

/// Why a metric was refused or could not be computed.
///
/// Every message carries the offending values; none of the metrics repairs its input silently.
///
/// ```
/// use ndarray::array;
/// let x = array![[0.0, 0.0], [1.0, f64::NAN]];
/// let y = array![[0.0, 0.0]];
/// let error = metrics::w2(x.view(), y.view()).unwrap_err();
/// assert_eq!(error.to_string(), "first cloud holds NaN at row 1, column 1");
/// ```
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A coordinate is NaN or infinite.
    #[error("{what} holds {} at row {row}, column {column}", Short(*.value))]
    NonFinite {
        /// Which argument.
        what: &'static str,
        /// Row of the first offending entry.
        row: usize,
        /// Column of the first offending entry.
        column: usize,
        /// The offending value.
        value: f64,
    },
    /// A weight is NaN, infinite or negative.
    #[error("{what} holds the weight {} at index {index}, expected a finite value >= 0", Short(*.value))]
    InvalidWeight {
        /// Which argument.
        what: &'static str,
        /// Flat index of the first offending weight.
        index: usize,
        /// The offending value.
        value: f64,
    },
    /// The two sides carry different masses, so no transport plan exists.
    #[error(
        "masses differ: {} on the left, {} on the right, by {:.1e} of the larger",
        Short(*.left), Short(*.right), (left - right).abs() / left.max(*.right)
    )]
    UnequalMass {
        /// Total mass of the first argument.
        left: f64,
        /// Total mass of the second argument.
        right: f64,
    },
    /// A side carries no mass at all.
    #[error("{what} has no mass: total {}", Short(*.total))]
    NoMass {
        /// Which argument.
        what: &'static str,
        /// The total found.
        total: f64,
    },
    /// The clouds live in spaces of different dimension.
    #[error("dimensions differ: {left} on the left, {right} on the right")]
    DimensionMismatch {
        /// Number of columns of the first cloud.
        left: usize,
        /// Number of columns of the second cloud.
        right: usize,
    },
    /// An array has another shape than its partner asks for.
    #[error("{what}: expected {expected:?}, found {found:?}")]
    ShapeMismatch {
        /// Which argument.
        what: &'static str,
        /// The shape that was expected.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// Fewer rows than the metric needs (an unbiased estimate needs two).
    #[error("{what} has {found} rows, expected at least {needed}")]
    TooFewRows {
        /// Which argument.
        what: &'static str,
        /// Rows found.
        found: usize,
        /// Rows needed.
        needed: usize,
    },
    /// A parameter asks for more rows than there are.
    #[error("{what} has {found} rows, expected at least {needed}: {parameter} is {value}")]
    TooFewRowsFor {
        /// Name of the parameter.
        parameter: &'static str,
        /// Its value.
        value: usize,
        /// Which argument.
        what: &'static str,
        /// Rows found.
        found: usize,
        /// Rows needed.
        needed: usize,
    },
    /// A result that no double holds.
    #[error(
        "{what} is {}: it, or a power of a length on the way to it, is beyond the range of a double",
        Short(*value)
    )]
    OutOfRange {
        /// The result.
        what: &'static str,
        /// What came of it: zero, infinity or NaN.
        value: f64,
    },
    /// A parameter lies outside its range.
    #[error("{name} must be {expected}, found {}", Short(*.value))]
    InvalidParameter {
        /// Name of the parameter.
        name: &'static str,
        /// The range, in words.
        expected: &'static str,
        /// The value found.
        value: f64,
    },
    /// No metric has this name.
    #[error("no metric `{name}`; there are {known}")]
    UnknownMetric {
        /// The name.
        name: String,
        /// All names there are.
        known: String,
    },
    /// A metric was given samples of a kind that it is not defined for.
    #[error("{metric} takes {takes}, found {found}")]
    NotTaken {
        /// The metric.
        metric: &'static str,
        /// What it takes.
        takes: String,
        /// What it was given.
        found: &'static str,
    },
    /// Counts that no run can end with.
    #[error(transparent)]
    Excess(sde_core::counts::Excess),
    /// The points are not known to be what a solver needs to finish: rounding swamped the costs.
    #[error("no optimal plan after {rounds} pricing rounds: violation {} exceeds {}", Short(*.violation), Short(*.tolerance))]
    NotConverged {
        /// Pricing rounds spent.
        rounds: usize,
        /// Largest violated dual constraint left.
        violation: f64,
        /// What it had to fall to.
        tolerance: f64,
    },
}

/// Shorthand used throughout the crate.
pub type Result<T> = std::result::Result<T, Error>;
