use std::fmt::Display;
use std::path::Path;

/// What is wrong with data or their files, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that is not what it should be.
    #[error("{file}: {reason}")]
    File {
        /// The file, with the place in it where there is one.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that a data set cannot have, or a transform cannot take.
    #[error("row {row}, column {column}: {reason}")]
    Value {
        /// The row, from 0.
        row: usize,
        /// The column's name.
        column: String,
        /// What is wrong with the value, which it contains.
        reason: String,
    },
    /// Data that do not fit what is done with them.
    #[error("{0}")]
    Data(String),
    /// Counts beyond what this machine can hold.
    #[error(transparent)]
    TooLarge(#[from] sde_core::counts::Excess),
    /// A file that cannot be written.
    #[error(transparent)]
    Written(#[from] atomic_file::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn file(path: &Path, reason: impl Display) -> Self {
        Self::File { file: path.display().to_string(), reason: line(reason) }
    }

    pub(crate) fn value(row: usize, column: impl Into<String>, reason: impl Display) -> Self {
        Self::Value { row, column: column.into(), reason: line(reason) }
    }

    pub(crate) fn data(reason: impl Display) -> Self {
        Self::Data(line(reason))
    }

    /// The same, said of a file.
    pub(crate) fn of(self, path: &Path) -> Self {
        match self {
            Self::File { .. } | Self::Written(_) => self,
            other => Self::file(path, other),
        }
    }
}

/// The first line of a message, the rest of which would repeat the input.
fn line(reason: impl Display) -> String {
    reason.to_string().lines().next().unwrap_or("unreadable").to_owned()
}
