//! Where a study works: parts that are computed once, saved, and read back ever after.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::atomic;
use crate::number::{Exact, Number};
use crate::runs::{Progress, RunFolder, read_json};

/// What ends a study after ctrl-c.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The place of a run.
pub(crate) struct Desk<'a> {
    pub(crate) folder: &'a RunFolder,
    pub(crate) progress: Progress,
    pub(crate) stop: &'static AtomicBool,
}

impl Desk<'_> {
    /// The part of this name: read from the folder, or computed and saved there.
    ///
    /// A part must be a function of the configuration alone. What is handed back has always been
    /// through its file, so that a resumed run goes on with the same digits.
    ///
    /// # Errors
    /// [`Interrupted`] after ctrl-c; a damaged file; whatever the computation fails with.
    pub(crate) fn part<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let path = self.folder.path(&format!("samples/{name}.json"));
        if !path.is_file() {
            self.go_on()?;
            let start = Instant::now();
            let value = compute().with_context(|| name.to_string())?;
            self.go_on()?;
            atomic::write(&path, &serde_json::to_vec(&value)?)?;
            self.progress
                .say(&format!("{name}: {}", report::duration(start.elapsed().as_secs_f64())));
        }
        read_json(&path)
    }

    /// The same for bare numbers, of which some may not be finite.
    ///
    /// # Errors
    /// As [`Desk::part`].
    pub(crate) fn numbers<T: Number>(
        &self,
        name: &str,
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        Ok(self.part(name, || compute().map(Exact))?.0)
    }

    /// # Errors
    /// [`Interrupted`] after ctrl-c.
    pub(crate) fn go_on(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }
}
