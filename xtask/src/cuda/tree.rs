//! The cross-building tree: made step by step, so that an interrupted one goes on where it was.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{stubs, wheels};
use crate::cargo;

/// A folder with a CUDA toolkit in it, and libraries to link against.
///
/// ```text
/// wheels/            as downloaded
/// nvidia/cu13/       the toolkit: bin, include, lib, nvvm
/// stubs/             libcuda.so and others without content
/// complete           what was made of what: nothing is left to do where it agrees
/// ```
pub(super) struct Tree {
    root: PathBuf,
}

/// Counted up when the tree is made another way.
const LAYOUT: u32 = 1;

impl Tree {
    /// The tree in `dir`, or in the target folder.
    pub(super) fn at(dir: Option<PathBuf>) -> Result<Self> {
        ensure!(cfg!(target_os = "linux"), "the CUDA toolchain is made of wheels for Linux");
        let root = match dir {
            Some(dir) => std::path::absolute(dir).context("--dir")?,
            None => cargo::target_dir()?.join("cuda-toolchain"),
        };
        // They stand in RUSTFLAGS, which is cut at spaces.
        let shown = root.display().to_string();
        ensure!(!shown.contains(char::is_whitespace), "{shown}: no space may be in it, give --dir");
        Ok(Self { root })
    }

    /// The toolkit: `CUDA_HOME`.
    pub(super) fn home(&self) -> PathBuf {
        self.root.join("nvidia/cu13")
    }

    /// Libraries that are linked against and not run with.
    pub(super) fn stubs(&self) -> PathBuf {
        self.root.join("stubs")
    }

    /// Does what is left to do; `runtime` adds what a program needs to run without a CUDA of the machine's.
    pub(super) fn make(&self, runtime: bool) -> Result<()> {
        let wanted = if runtime {
            [wheels::BUILD, wheels::RUNTIME].concat()
        } else {
            wheels::BUILD.to_vec()
        };
        let cudarc = stubs::cudarc()?;
        let mut stamp = format!("layout {LAYOUT}\n{}\n", cudarc.display());
        stamp.extend(wanted.iter().map(|wheel| format!("{}\n", wheel.pin())));
        let complete = self.root.join("complete");
        if fs::read_to_string(&complete).is_ok_and(|made| made.starts_with(&stamp)) {
            return Ok(());
        }
        wheels::tools()?;
        let folder = self.root.join("wheels");
        create(&folder)?;
        let files = wanted.iter().map(|wheel| wheel.fetch(&folder)).collect::<Result<Vec<_>>>()?;
        remove(&complete)?;
        self.unpack(&files)?;
        self.link_stubs(&cudarc)?;
        fs::write(&complete, stamp)
            .with_context(|| format!("cannot write {}", complete.display()))?;
        eprintln!("cuda-toolchain: complete in {}", self.root.display());
        Ok(())
    }

    /// The toolkit from its wheels: under another name until it is whole.
    fn unpack(&self, files: &[PathBuf]) -> Result<()> {
        let (part, done) = (self.root.join("unpacked.part"), self.root.join("nvidia"));
        remove(&part)?;
        remove(&done)?;
        create(&part)?;
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            eprintln!("cuda-toolchain: unpacking {name}");
            wheels::unpack(file, &part)?;
        }
        let home = part.join("nvidia/cu13");
        for folder in ["bin", "nvvm/bin"] {
            executable(&home.join(folder))?;
        }
        link("lib", &home.join("lib64"))?;
        link("libcudart.so.13", &home.join("lib/libcudart.so"))?;
        fs::rename(part.join("nvidia"), &done)
            .with_context(|| format!("cannot write {}", done.display()))?;
        remove(&part)
    }

    fn link_stubs(&self, cudarc: &Path) -> Result<()> {
        let (part, done) = (self.root.join("stubs.part"), self.stubs());
        remove(&part)?;
        remove(&done)?;
        create(&part)?;
        eprintln!("cuda-toolchain: compiling stubs of the libraries");
        stubs::build(&part, cudarc)?;
        fs::rename(&part, &done).with_context(|| format!("cannot write {}", done.display()))
    }
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// Removes a file or a folder, if there is one.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// A zip archive as Python unpacks it keeps no rights.
#[cfg(unix)]
fn executable(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let entries =
        fs::read_dir(folder).with_context(|| format!("the wheels hold no {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("cannot make {} executable", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(target: &str, place: &Path) -> Result<()> {
    remove(place)?;
    std::os::unix::fs::symlink(target, place)
        .with_context(|| format!("cannot link {}", place.display()))
}

#[cfg(not(unix))]
fn executable(_: &Path) -> Result<()> {
    anyhow::bail!("the CUDA toolchain is made of wheels for Linux")
}

#[cfg(not(unix))]
fn link(_: &str, _: &Path) -> Result<()> {
    anyhow::bail!("the CUDA toolchain is made of wheels for Linux")
}
