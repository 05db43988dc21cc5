/// What ends a solve before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// The state, or the estimate of its error, is infinite or not a number.
    #[error("the state is not finite after a step from t = {t} by h = {h}")]
    NonFinite {
        /// Where the step began.
        t: f64,
        /// Its length, negative backward in time.
        h: f64,
    },
    /// Step-size control asks for steps below the resolution of time.
    #[error(
        "the step size h = {h} at t = {t} is too small: the problem is too stiff for tolerances abs = {abs}, rel = {rel}"
    )]
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
    /// The end was not reached in the steps allowed.
    #[error("{limit} steps did not reach the end: at t = {t} with h = {h}")]
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
    #[error("adaptive steps at t = {t} need noise that is a Brownian path: use a `BrownianTree`")]
    NotAPath {
        /// Where it was found.
        t: f64,
    },
    /// A method for ODEs was given noise.
    #[error("the method solves ODEs only, but the noise amplitude is {amplitude} at t = {t}")]
    NotAnOde {
        /// Where it was found.
        t: f64,
        /// The amplitude there.
        amplitude: f64,
    },
    /// Step-size control of a method that estimates no error.
    #[error(
        "the method estimates no error: it cannot choose steps at t = {t}; give it a time grid"
    )]
    NoErrorEstimate {
        /// Where it was found.
        t: f64,
    },
    /// A time grid that is not strictly monotone and finite, or does not begin where the solve does.
    #[error("time grid entry {index} is {t} after {previous}: {reason}")]
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
    #[error("in a step from t = {t} by h = {h}: {source}")]
    Model {
        /// Where the step began.
        t: f64,
        /// Its length.
        h: f64,
        /// What failed.
        source: sde_core::Error,
    },
    /// The arguments do not make sense.
    #[error(transparent)]
    Setup(#[from] sde_core::Error),
}

/// A result with this crate's [`SolveError`].
pub type Result<T, E = SolveError> = std::result::Result<T, E>;
