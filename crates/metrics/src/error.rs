//! The one error type of the crate.

/// What can be wrong with the input of a metric.
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
    #[error("{what} holds {value} at row {row}, column {column}")]
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
    #[error("{what} holds the weight {value} at index {index}, expected a finite value >= 0")]
    InvalidWeight {
        /// Which argument.
        what: &'static str,
        /// Flat index of the first offending weight.
        index: usize,
        /// The offending value.
        value: f64,
    },
    /// The two sides carry different masses, so no transport plan exists.
    #[error("masses differ: {left} on the left, {right} on the right")]
    UnequalMass {
        /// Total mass of the first argument.
        left: f64,
        /// Total mass of the second argument.
        right: f64,
    },
    /// A side carries no mass at all.
    #[error("{what} has no mass: total {total}")]
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
    /// A parameter lies outside its range.
    #[error("{name} must be {expected}, found {value}")]
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
    /// Entropic transport whose marginals did not come within the tolerance.
    #[error(
        "marginals off by {marginal_error:e} after {iterations} iterations at epsilon {epsilon:e}, \
         expected at most {tolerance:e}"
    )]
    MarginalsNotMet {
        /// Iterations spent.
        iterations: usize,
        /// The regularisation.
        epsilon: f64,
        /// The least L1 error of the marginals that was reached.
        marginal_error: f64,
        /// What it had to fall to.
        tolerance: f64,
    },
    /// The points are not known to be what a solver needs to finish: rounding swamped the costs.
    #[error(
        "no optimal plan after {rounds} pricing rounds: violation {violation} exceeds {tolerance}"
    )]
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
