//! Files that are whole or absent: written under a temporary name in the same folder, then renamed.
//!
//! Temporary files are removed when their value is dropped, when a signal ends the process (its
//! handler calls [`remove_all`]), and, after a process that had no chance to, by the next one that
//! writes the same file.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tempfile::NamedTempFile;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot write: {reason}", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What stands against it, in one line.
    pub reason: String,
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(path: &Path, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        let reason = reason.lines().next().unwrap_or("unwritable").to_string();
        Self { path: path.to_path_buf(), reason }
    }
}

/// The temporary files of this process. Whoever holds the lock keeps files from coming and going.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every temporary file of this process, which must be about to end: as long as the guard
/// that is handed back lives, files that are being written are neither begun nor put in place.
#[must_use]
pub fn remove_all() -> impl Sized {
    let files = live();
    for file in files.iter() {
        let _ = fs::remove_file(file);
    }
    files
}

/// A file being written. Dropped before [`AtomicFile::commit`], it leaves nothing behind.
///
/// A target that exists and is no regular file (a device, a pipe) is written in place: renaming
/// over it would replace the device.
///
/// ```
/// use std::io::Write;
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a.txt");
/// let mut file = atomic_file::AtomicFile::create(&path)?;
/// file.write_all(b"whole")?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert_eq!(std::fs::read(&path)?, b"whole");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    out: Out,
}

#[derive(Debug)]
enum Out {
    Renamed(BufWriter<Temporary>),
    InPlace(BufWriter<File>),
}

/// A file in [`LIVE`] for as long as it has its temporary name.
#[derive(Debug)]
struct Temporary(Option<NamedTempFile>);

impl AtomicFile {
    /// Opens a temporary file beside `path`.
    ///
    /// # Errors
    /// [`Error`] when `path` is a folder, or its folder does not exist or cannot be written to.
    pub fn create(path: &Path) -> Result<Self> {
        let refuse = |e: io::Error| Error::new(path, e);
        // A link keeps pointing where it did: what it points at is replaced.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let out = match fs::metadata(&real) {
            Ok(meta) if meta.is_dir() => {
                return Err(Error::new(path, "it is a folder"));
            }
            Ok(meta) if !meta.is_file() => {
                let file = File::options().write(true).open(&real).map_err(refuse)?;
                Out::InPlace(BufWriter::new(file))
            }
            _ => {
                let file = Temporary::beside(&real).map_err(refuse)?;
                Out::Renamed(BufWriter::with_capacity(1 << 18, file))
            }
        };
        Ok(Self { path: real, out })
    }

    /// Puts the finished file in its place.
    ///
    /// # Errors
    /// [`Error`] when the device is full or the file cannot be renamed; nothing is left behind
    /// then.
    pub fn commit(self) -> Result<()> {
        let Self { path, out } = self;
        let written = match out {
            Out::InPlace(mut file) => file.flush(),
            Out::Renamed(file) => file
                .into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(|file| file.persist(&path)),
        };
        written.map_err(|e| Error::new(&path, e))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Out::Renamed(file) => file.write(bytes),
            Out::InPlace(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::Renamed(file) => file.flush(),
            Out::InPlace(file) => file.flush(),
        }
    }
}

/// Writes `contents` to `path`, whole or not at all.
///
/// # Errors
/// As [`AtomicFile::create`] and [`AtomicFile::commit`].
pub fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(contents).map_err(|e| Error::new(path, e))?;
    file.commit()
}

const ENDING: &str = ".tmp";

impl Temporary {
    /// A new file in the folder of `path`, `.<name>.<random>.tmp`, locked as long as it is open.
    fn beside(path: &Path) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
        let prefix = format!(".{}.", name.to_string_lossy());
        sweep(folder, &prefix);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(ENDING);
        // As any new file: the process's umask decides, not the private mode of temporary files.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        loop {
            let mut live = live();
            let file = builder.tempfile_in(folder)?;
            let locked = file.as_file().lock().is_ok();
            // Another process may have swept it before it was locked.
            if !locked || file.path().exists() {
                live.insert(file.path().to_path_buf());
                return Ok(Self(Some(file)));
            }
        }
    }

    fn persist(mut self, path: &Path) -> io::Result<()> {
        let Some(file) = self.0.take() else { return Ok(()) };
        let synced = file.as_file().sync_all();
        let mut live = live();
        live.remove(file.path());
        synced?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            let mut live = live();
            live.remove(file.path());
            drop(file);
        }
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(0), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), |file| file.flush())
    }
}

/// Removes what killed processes left of a file: the lock on it ended with them.
fn sweep(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let random = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(ENDING));
        if random.is_none_or(|r| r.len() != 6 || !r.chars().all(char::is_alphanumeric)) {
            continue;
        }
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        names.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_is_written_now_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        fs::write(folder.path().join(".a.npy.Ab3dE9.tmp"), "left").unwrap();
        // Names that are not of this form, or of another file, are somebody else's.
        let others = [".a.npy.longer-name.tmp", ".b.npy.Ab3dE9.tmp", "a.npy.Ab3dE9.tmp"];
        for name in others {
            fs::write(folder.path().join(name), "kept").unwrap();
        }
        let mut first = AtomicFile::create(&path).unwrap();
        first.write_all(b"first").unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        first.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        let mut left = listing(folder.path());
        left.sort();
        let mut expected: Vec<String> = others.map(String::from).to_vec();
        expected.push("a.npy".into());
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn an_error_or_a_panic_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let inside = path.clone();
        let ended = std::panic::catch_unwind(move || {
            let _file = AtomicFile::create(&inside).unwrap();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(ended.is_err());
        assert!(listing(folder.path()).is_empty());
        assert!(!live().iter().any(|p| p.starts_with(folder.path())));
    }
}
