use sde_core::Short;

/// Why a solve failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// The state, or the estimate of its error, is infinite or not a number.
    #[error("the state is not finite after a step from t = {} by h = {}", Short(*.t), Short(*.h))]
    NonFinite {
        /// Where the step began.
        t: f64,
        /// Its length, negative backward in time.
        h: f64,
    },
    /// Step-size control asks for steps below the resolution of time.
    #[error("the step size h = {} at t = {} is too small: the problem is too stiff for tolerances abs = {}, rel = {}", Short(*.h), Short(*.t), Short(*.abs), Short(*.rel))]
    StepTooSmall {
        /// Where the step began.
        t: f64,
        /// Its length.
        h: f64,
        /// The absolute tolerance.
        abs: f64,
        /// The relative tolerance.
        rel: f64,
    },
    /// Step-size control asks for steps below the resolution of the noise.
    #[error(
        "the step size h = {h:?} at t = {t:?} is below {least:?}, the least interval of the noise there: tolerances abs = {abs:?}, rel = {rel:?} ask for more than it can resolve; give larger ones, or a time grid"
    )]
    StepBelowNoise {
        /// Where the step began.
        t: f64,
        /// Its length.
        h: f64,
        /// [`crate::Noise::least_interval`].
        least: f64,
        /// The absolute tolerance.
        abs: f64,
        /// The relative tolerance.
        rel: f64,
    },
    /// The end was not reached in the steps allowed.
    #[error("{limit} steps did not reach the end: at t = {} with h = {}", Short(*.t), Short(*.h))]
    TooManySteps {
        /// The limit.
        limit: u64,
        /// The time reached.
        t: f64,
        /// The step that would have followed.
        h: f64,
    },
    /// Adaptive steps need noise that is a function of any interval (a Brownian path): redrawing
    /// it after a rejection would bias the samples.
    #[error("adaptive steps at t = {} need noise that is a Brownian path: use a `BrownianTree`", Short(*.t))]
    NotAPath {
        /// Where it was found.
        t: f64,
    },
    /// A method for ODEs was given noise.
    #[error("the method solves ODEs only, but the noise amplitude is {} at t = {}", Short(*.amplitude), Short(*.t))]
    NotAnOde {
        /// Where it was found.
        t: f64,
        /// The amplitude there.
        amplitude: f64,
    },
    /// Step-size control of a method that estimates no error.
    #[error("the method estimates no error: it cannot choose steps at t = {}; give it a time grid", Short(*.t))]
    NoErrorEstimate {
        /// Where it was found.
        t: f64,
    },
    /// A time grid that is not strictly monotone and finite, or does not begin where the solve does.
    #[error("time grid entry {index} is {} after {}: {reason}", Short(*.t), Short(*.previous))]
    BadGrid {
        /// Position in the grid.
        index: usize,
        /// The entry.
        t: f64,
        /// The one before (or the start of the solve).
        previous: f64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The problem failed inside a step.
    #[error("in a step from t = {} by h = {}: {source}", Short(*.t), Short(*.h))]
    Model {
        /// Where the step began.
        t: f64,
        /// Its length.
        h: f64,
        /// What failed.
        source: sde_core::Error,
    },
    /// A row, by its number among all, that cannot be solved.
    #[error("row {row}: {source}")]
    InRow {
        /// The row.
        row: u64,
        /// Why.
        source: Box<SolveError>,
    },
    /// The arguments do not make sense.
    #[error(transparent)]
    Setup(#[from] sde_core::Error),
}

/// A result with this crate's [`SolveError`].
pub type Result<T, E = SolveError> = std::result::Result<T, E>;
