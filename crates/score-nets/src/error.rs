use std::path::{Path, PathBuf};

use sde_core::{Short, shorten};

/// The errors of networks, their files and their training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that no network or training run can have.
    #[error("{name} = {}: {reason}", shorten(.value))]
    Setting {
        /// The setting.
        name: String,
        /// Its value as given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor, a batch and a network do not fit.
    #[error("{what}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// What was looked at.
        what: String,
        /// The shape it must have.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// A file that is not what it should be.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, in one line.
        reason: String,
    },
    /// A value that must be finite is not.
    #[error("{what} is {} at step {step}", Short(*.value))]
    NonFinite {
        /// What was computed.
        what: String,
        /// The offending value.
        value: f64,
        /// The training step.
        step: u64,
    },
    /// A parameter that the loss does not depend on, or whose gradient was lost.
    #[error("parameter `{name}` received no gradient")]
    NoGradient {
        /// The parameter.
        name: String,
    },
    /// What was asked for needs another kind of network.
    #[error("{what} needs {needs}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// What it needs.
        needs: String,
    },
    /// An error of an SDE, a data source or an analytic model.
    #[error(transparent)]
    Sde(sde_core::Error),
    /// An error of candle.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<sde_core::Error> for Error {
    fn from(e: sde_core::Error) -> Self {
        match e {
            sde_core::Error::Candle(e) => Self::Candle(e),
            e => Self::Sde(e),
        }
    }
}

impl From<atomic_file::Error> for Error {
    fn from(e: atomic_file::Error) -> Self {
        Self::File { path: e.path, reason: format!("cannot write: {}", e.reason) }
    }
}

impl From<Error> for sde_core::Error {
    fn from(e: Error) -> Self {
        match e {
            Error::Candle(e) => Self::Candle(e),
            Error::Sde(e) => e,
            e => Self::Model(Box::new(e)),
        }
    }
}

impl Error {
    pub(crate) fn setting(name: &str, value: impl ToString, reason: impl ToString) -> Self {
        Self::Setting { name: name.into(), value: value.to_string(), reason: reason.to_string() }
    }

    pub(crate) fn file(path: &Path, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        let reason = reason.lines().next().unwrap_or("unreadable").to_string();
        Self::File { path: path.to_path_buf(), reason }
    }
}
