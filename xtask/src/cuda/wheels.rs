//! Wheels of CUDA 13.0, downloaded one by one: what is there is not fetched again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// A package of the index, in the version that goes with the others.
#[derive(Clone, Copy)]
pub(super) struct Wheel {
    name: &'static str,
    version: &'static str,
}

/// What a build needs: compiler, its parts and headers, the runtime that is linked.
pub(super) const BUILD: &[Wheel] = &[
    Wheel { name: "nvidia-cuda-nvcc", version: "13.0.88" },
    Wheel { name: "nvidia-cuda-crt", version: "13.0.88" },
    Wheel { name: "nvidia-nvvm", version: "13.0.88" },
    Wheel { name: "nvidia-cuda-cccl", version: "13.0.85" },
    Wheel { name: "nvidia-cuda-runtime", version: "13.0.96" },
    Wheel { name: "nvidia-cuda-nvrtc", version: "13.0.88" },
    Wheel { name: "nvidia-curand", version: "10.4.0.35" },
];

/// What a program needs besides, to run on a machine that has a driver and no CUDA.
pub(super) const RUNTIME: &[Wheel] = &[Wheel { name: "nvidia-cublas", version: "13.0.2.14" }];

impl Wheel {
    /// `name==version`, as pip takes it.
    pub(super) fn pin(self) -> String {
        format!("{}=={}", self.name, self.version)
    }

    /// Its file in `dir`, where it is there.
    fn file(self, dir: &Path) -> Option<PathBuf> {
        let start = format!("{}-{}-", self.name.replace('-', "_"), self.version);
        let entries = std::fs::read_dir(dir).ok()?;
        entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&start) && name.ends_with(".whl")
        })
    }

    /// Its file in `dir`, downloaded where it is not there.
    pub(super) fn fetch(self, dir: &Path) -> Result<PathBuf> {
        if let Some(file) = self.file(dir) {
            return Ok(file);
        }
        eprintln!("cuda-toolchain: downloading {}", self.pin());
        // pip moves a file here when it is whole, so that one that is here is.
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "--disable-pip-version-check", "--retries", "2", "--timeout", "30"]);
        pip.args(["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"]).arg(dir);
        said(pip.arg(self.pin())).with_context(|| format!("cannot download {}", self.pin()))?;
        let shown = dir.display();
        self.file(dir).with_context(|| format!("pip left no wheel of {} in {shown}", self.pin()))
    }
}

/// Unpacks a wheel into `tree`.
pub(super) fn unpack(wheel: &Path, tree: &Path) -> Result<()> {
    let mut unzip = Command::new("python3");
    said(unzip.args(["-m", "zipfile", "-e"]).arg(wheel).arg(tree))
        .with_context(|| format!("cannot unpack {} (delete it to fetch it again)", wheel.display()))
}

/// One line where python, its pip or gcc is missing.
pub(super) fn tools() -> Result<()> {
    for (program, words, needs) in [
        ("python3", &["--version"][..], "python3 on the PATH"),
        ("python3", &["-m", "pip", "--version"], "pip in python3 (python3 -m ensurepip)"),
        ("gcc", &["--version"], "gcc on the PATH"),
    ] {
        let quiet =
            Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
        ensure!(quiet.is_ok_and(|status| status.success()), "cuda-toolchain needs {needs}");
    }
    Ok(())
}

/// Runs a command to its end; the last line it says is the error.
pub(super) fn said(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    bail!("{program}: {}", reason(&String::from_utf8_lossy(&output.stderr)))
}

/// What went wrong, of all that was said: the line that names the network, or the last error.
fn reason(text: &str) -> &str {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let network = ["Temporary failure", "Connection", "timed out", "ProxyError", "Name or service"];
    let about = |line: &&str| network.iter().any(|word| line.contains(word));
    let error = |line: &&str| line.starts_with("ERROR") || line.contains("error");
    lines()
        .find(about)
        .map(|_| "no connection to the package index")
        .or_else(|| lines().rfind(error))
        .or_else(|| lines().next_back())
        .unwrap_or("failed without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_found_by_name_and_version() {
        let dir = std::env::temp_dir().join(format!("xtask-wheels-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        let (wheel, other) = (BUILD[0], BUILD[1]);
        let name = "nvidia_cuda_nvcc-13.0.88-py3-none-manylinux2014_x86_64.whl";
        std::fs::write(dir.join(name), "").expect("a file");
        std::fs::write(dir.join("nvidia_cuda_crt-13.0.8-py3-none-any.whl"), "").expect("a file");
        assert_eq!(wheel.file(&dir), Some(dir.join(name)));
        assert_eq!(other.file(&dir), None);
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn one_line_of_all_that_pip_says() {
        let offline = "WARNING: Retrying after connection broken by 'NewConnectionError('<pip: Failed to \
                       establish a new connection: [Errno -3] Temporary failure in name resolution')'\n\
                       ERROR: Could not find a version that satisfies the requirement a==1\n\
                       ERROR: No matching distribution found for a==1\n";
        assert_eq!(reason(offline), "no connection to the package index");
        let unknown =
            "ERROR: Could not find\nERROR: No matching distribution found for a==1\n\n[notice] x\n";
        assert_eq!(reason(unknown), "ERROR: No matching distribution found for a==1");
        assert_eq!(reason("\n"), "failed without a word");
    }
}
