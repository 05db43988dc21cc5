//! With what CUDA a build is made: this machine's, or the cross-building tree.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Tree;
use crate::cargo;

/// The compute capability that kernels are made for where none is said: H100 and H200. Newer devices
/// compile them on first use.
const COMPUTE_CAP: &str = "90";

/// The environment of a build of the feature `cuda`.
pub(crate) struct Toolkit {
    variables: Vec<(&'static str, String)>,
    /// Where the built program finds its libraries, where the machine itself does not know.
    libraries: Option<PathBuf>,
}

impl Toolkit {
    /// This machine's CUDA where there is a compiler, otherwise the tree, which is made first.
    ///
    /// With the tree a program runs where there is a driver; `to_run` fetches the libraries for that.
    pub(crate) fn find(to_run: bool) -> Result<Self> {
        if own_compiler() {
            return Ok(Self { variables: Vec::new(), libraries: None });
        }
        let tree = Tree::at(None)?;
        tree.make(to_run)?;
        Self::of_tree(&tree)
    }

    /// The environment of a tree.
    pub(super) fn of_tree(tree: &Tree) -> Result<Self> {
        let home = tree.home();
        let (bin, lib) = (home.join("bin"), home.join("lib"));
        let before = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths([bin.clone()].into_iter().chain(std::env::split_paths(&before)));
        let path = path.context("PATH")?.to_string_lossy().into_owned();
        let shown = |path: &PathBuf| path.to_string_lossy().into_owned();
        let search = format!("-L native={} -L native={}", tree.stubs().display(), lib.display());
        let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        let cap = std::env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| COMPUTE_CAP.into());
        let variables = vec![
            ("CUDA_HOME", shown(&home)),
            ("CUDA_COMPUTE_CAP", cap),
            ("NVCC", shown(&bin.join("nvcc"))),
            ("PATH", path),
            ("RUSTFLAGS", format!("{flags} {search}").trim().to_owned()),
        ];
        Ok(Self { variables, libraries: Some(lib) })
    }

    /// A cargo that builds with it, in a target folder of its own: other features and flags than the
    /// build for the CPU, whose output stays as it is.
    pub(crate) fn cargo(&self) -> Result<Command> {
        let mut command = cargo::cargo();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("CARGO_TARGET_DIR", cargo::target_dir()?.join("cuda"));
        Ok(command)
    }

    /// Lets a program that was built with it find its libraries.
    pub(crate) fn runs(&self, program: &mut Command) -> Result<()> {
        if let Some(lib) = &self.libraries {
            let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
            let paths = [lib.clone()].into_iter().chain(std::env::split_paths(&before));
            program.env("LD_LIBRARY_PATH", std::env::join_paths(paths).context("LD_LIBRARY_PATH")?);
        }
        Ok(())
    }

    /// Lines for a shell.
    pub(super) fn exports(&self) -> Vec<String> {
        let quoted = |value: &str| value.replace('\'', r"'\''");
        self.variables
            .iter()
            .map(|(name, value)| match *name {
                // The shell that reads this has a PATH of its own.
                "PATH" => "export PATH=\"$CUDA_HOME/bin:$PATH\"".to_owned(),
                _ => format!("export {name}='{}'", quoted(value)),
            })
            .collect()
    }
}

/// Whether there is a compiler where the build looks for one.
fn own_compiler() -> bool {
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(std::env::var_os);
    let own = std::env::var_os("NVCC").map(PathBuf::from).into_iter();
    let own = own.chain(homes.map(|home| PathBuf::from(home).join("bin/nvcc")));
    own.chain([PathBuf::from("nvcc")]).any(|nvcc| {
        let mut command = Command::new(nvcc);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}
