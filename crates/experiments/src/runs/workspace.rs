//! Where an experiment works: parts that are computed once, saved, and read back ever after.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Progress, RunFolder, read_json};
use crate::atomic;
use crate::number::{Exact, Number};

/// What ends the work on a run after ctrl-c.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The folder of a run while it is worked on, with the bars that show how far it is.
#[derive(Debug)]
pub struct Workspace {
    pub(crate) folder: RunFolder,
    pub(crate) progress: Progress,
    pub(crate) stop: &'static AtomicBool,
    pub(super) hash: String,
    pub(super) start: Instant,
    /// Seconds of earlier sessions.
    pub(super) before: f64,
}

impl Workspace {
    /// The part of this name: read from the folder, or computed and saved there.
    ///
    /// A part must be a function of the configuration alone. What is handed back has always been
    /// through its file, so that a resumed run goes on with the same digits.
    ///
    /// # Errors
    /// [`Interrupted`] after ctrl-c; a damaged file; whatever the computation fails with.
    pub fn part<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let path = self.path(&format!("samples/{name}.json"));
        if !path.is_file() {
            self.go_on()?;
            let start = Instant::now();
            let value = compute().with_context(|| name.to_string())?;
            self.go_on()?;
            atomic::write(&path, &serde_json::to_vec(&value)?)?;
            let took = report::duration(start.elapsed().as_secs_f64());
            self.say(&format!("{name}: {took}"));
        }
        read_json(&path)
    }

    /// The same for bare numbers, of which some may not be finite.
    ///
    /// # Errors
    /// As [`Workspace::part`].
    pub(crate) fn numbers<T: Number>(
        &self,
        name: &str,
        compute: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        Ok(self.part(name, || compute().map(Exact))?.0)
    }

    /// Called now and then in long work, so that ctrl-c ends it.
    ///
    /// # Errors
    /// [`Interrupted`] after ctrl-c.
    pub fn go_on(&self) -> Result<()> {
        if self.interrupted() { Err(Interrupted.into()) } else { Ok(()) }
    }

    /// Whether ctrl-c was pressed.
    pub fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A file of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// A line for people, on standard error.
    pub fn say(&self, line: &str) {
        self.progress.say(line);
    }

    /// The hash of the run's configuration.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Seconds of work so far, all sessions together.
    pub fn seconds(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    /// A workspace in a folder inside this one, for a run that is a part of this run.
    ///
    /// # Errors
    /// When the folder holds something else.
    pub(crate) fn inner(&self, name: &str, config: &str) -> Result<Self> {
        let folder = RunFolder::open(&self.path(name), config, false)?;
        let (progress, hash) = (self.progress.clone(), self.hash.clone());
        Ok(Self { folder, progress, hash, ..*self })
    }
    /// A workspace that nobody interrupts, of no experiment.
    #[cfg(test)]
    pub(crate) fn of_a_test(dir: &std::path::Path) -> Result<Self> {
        static STOP: AtomicBool = AtomicBool::new(false);
        let (folder, progress) = (RunFolder::open(dir, "", false)?, Progress::new(0.0));
        let (hash, start) = (String::new(), Instant::now());
        Ok(Self { folder, progress, stop: &STOP, hash, start, before: 0.0 })
    }
}
