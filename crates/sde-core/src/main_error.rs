//! An error of `main` that prints its message.

use std::error::Error;
use std::fmt;

/// Any error, as what `main` returns: Rust prints the `Debug` form of such an error, and that of this one is the message
/// and the causes that the message does not name, a line each.
///
/// ```
/// use sde_core::{MainError, sde};
///
/// fn main() -> Result<(), MainError> {
///     assert_eq!(sde::parse("vp:beta0=0.1")?.horizon(), 1.0);
///     let error = MainError::from(sde::parse("vq").unwrap_err());
///     assert!(format!("{error:?}").starts_with("unknown sde `vq`: expected one of "));
///     Ok(())
/// }
/// ```
pub struct MainError(Box<dyn Error + Send + Sync>);

impl<E: Error + Send + Sync + 'static> From<E> for MainError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Debug for MainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        f.write_str(&text)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let line = error.to_string();
            if !text.contains(&line) {
                write!(f, "\ncaused by: {line}")?;
            }
            (text, cause) = (line, error.source());
        }
        Ok(())
    }
}
