//! Files that are whole or absent: written under a temporary name in the same folder, then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

/// A file being written. Dropped before [`AtomicFile::commit`], it leaves nothing behind.
///
/// A target that exists and is no regular file (a device, a pipe) is written in place: renaming
/// over it would replace the device.
///
/// ```
/// use std::io::Write;
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a.txt");
/// let mut file = experiments::atomic::AtomicFile::create(&path)?;
/// file.write_all(b"whole")?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert_eq!(std::fs::read(&path)?, b"whole");
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    out: Out,
}

#[derive(Debug)]
enum Out {
    Renamed(BufWriter<NamedTempFile>),
    InPlace(BufWriter<File>),
}

impl AtomicFile {
    /// Opens a temporary file beside `path`.
    ///
    /// # Errors
    /// When `path` is a folder, or its folder does not exist or cannot be written to.
    pub fn create(path: &Path) -> Result<Self> {
        let shown = path.display();
        // A link keeps pointing where it did: what it points at is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let out = match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => bail!("cannot write {shown}: it is a folder"),
            Ok(meta) if !meta.is_file() => {
                let file = File::options().write(true).open(&path);
                Out::InPlace(BufWriter::new(file.with_context(|| format!("cannot write {shown}"))?))
            }
            _ => {
                let file = temporary(&path).with_context(|| format!("cannot write {shown}"))?;
                Out::Renamed(BufWriter::with_capacity(1 << 18, file))
            }
        };
        Ok(Self { path, out })
    }

    /// Puts the finished file in its place.
    ///
    /// # Errors
    /// When the device is full or the file cannot be renamed; nothing is left behind then.
    pub fn commit(self) -> Result<()> {
        let Self { path, out } = self;
        let written = match out {
            Out::InPlace(mut file) => file.flush(),
            Out::Renamed(file) => {
                file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
                    file.as_file().sync_all()?;
                    file.persist(&path).map_err(|e| e.error)?;
                    Ok(())
                })
            }
        };
        written.with_context(|| format!("cannot write {}", path.display()))
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
    file.write_all(contents).with_context(|| format!("cannot write {}", path.display()))?;
    file.commit()
}

fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?;
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{}.", name.to_string_lossy());
    builder.prefix(&prefix).suffix(".tmp");
    // As any new file: the process's umask decides, not the private mode of temporary files.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}
