//! Files that are whole or absent; networks write theirs in the same way.

use std::path::Path;

use anyhow::Result;
pub use score_nets::atomic::AtomicFile;

/// Writes `contents` to `path`, whole or not at all.
///
/// # Errors
/// When `path` is a folder or cannot be written to, or the device is full.
pub fn write(path: &Path, contents: &[u8]) -> Result<()> {
    Ok(score_nets::atomic::write(path, contents)?)
}
