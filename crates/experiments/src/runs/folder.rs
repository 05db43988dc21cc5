//! The folder of a run, locked while it is written to.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::{End, Record};
use crate::atomic;

/// A run's folder that this process alone writes to, until the value is dropped.
#[derive(Debug)]
pub(crate) struct RunFolder {
    root: PathBuf,
    /// Held open for its lock, which ends with the process however that ends.
    _lock: File,
}

/// The files of a run that make it one.
const CONFIG: &str = "config.toml";
const LOCK: &str = ".lock";

impl RunFolder {
    /// Opens or creates the folder of the run with this configuration.
    ///
    /// # Errors
    /// When another process is writing to it, it holds another run or other files, or it cannot be
    /// written to.
    pub(crate) fn open(root: &Path, config: &str, resume: bool) -> Result<Self> {
        let shown = root.display();
        let before = fs::read_to_string(root.join(CONFIG)).ok();
        match &before {
            Some(old) if old != config => bail!(
                "{shown} holds another run ({}): choose another --out",
                first_difference(old, config)
            ),
            None if resume => bail!("nothing to resume in {shown}"),
            None if fs::read_dir(root)
                .is_ok_and(|mut d| d.any(|e| e.is_ok_and(|e| e.file_name() != LOCK))) =>
            {
                bail!("{shown} is not empty and holds no run: choose another --out")
            }
            _ => {}
        }
        let created = !root.exists();
        let opened = Self::lock(root);
        if opened.is_err() && created {
            // An empty folder that could not be used is not left behind.
            let _ = fs::remove_dir(root);
        }
        let folder = opened?;
        if before.is_none()
            && let Err(error) = atomic::write(&root.join(CONFIG), config.as_bytes())
        {
            drop(folder);
            let _ = fs::remove_file(root.join(LOCK));
            if created {
                let _ = fs::remove_dir(root);
            }
            return Err(error.into());
        }
        for sub in ["checkpoints", "samples", "plots"] {
            let path = root.join(sub);
            fs::create_dir_all(&path)
                .with_context(|| format!("cannot create {}", path.display()))?;
        }
        Ok(folder)
    }

    /// Opens a folder that holds a run, whatever its configuration.
    pub(crate) fn existing(root: &Path) -> Result<Self> {
        if !root.join(CONFIG).is_file() {
            bail!("{} holds no run: there is no {CONFIG}", root.display());
        }
        Self::lock(root)
    }

    fn lock(root: &Path) -> Result<Self> {
        let shown = root.display();
        fs::create_dir_all(root).with_context(|| format!("cannot create {shown}"))?;
        let path = root.join(LOCK);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot write to {shown}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let by = pid
                    .trim()
                    .parse::<u32>()
                    .map(|p| format!(" (process {p})"))
                    .unwrap_or_default();
                return Err(anyhow!("{shown} is being written by another run{by}"));
            }
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| format!("cannot lock {shown}"));
            }
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.with_context(|| format!("cannot write to {shown}"))?;
        Ok(Self { root: root.to_path_buf(), _lock: file })
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The configuration it was made with.
    pub(crate) fn config(&self) -> Result<String> {
        let path = self.path(CONFIG);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The record so far, or a new one.
    pub(crate) fn record(&self, experiment: &str, hash: &str) -> Result<Record> {
        let path = self.path("record.json");
        if !path.exists() {
            return Ok(Record::new(experiment, hash));
        }
        let record = Record::read(&path)?;
        let (shown, before) = (self.root.display(), &record.hash);
        ensure!(
            before == hash,
            "{shown} began as another run: its configuration, data or given networks were {before}, now {hash}; choose another --out"
        );
        Ok(record)
    }

    /// Whether everything has been done.
    pub(crate) fn finished(&self) -> bool {
        let done = Record::read(&self.path("record.json")).is_ok_and(|r| r.status == End::Finished);
        done && self.path("report.html").is_file() && self.path("results.json").is_file()
    }
}

/// The first line in which two configurations differ.
fn first_difference(old: &str, new: &str) -> String {
    let line = old.lines().zip(new.lines()).find(|(a, b)| a != b);
    line.map_or("of another length".into(), |(a, b)| {
        format!("{} there, {} here", a.trim(), b.trim())
    })
}
