//! Shared objects to link against where the libraries of CUDA are not: every name, no content.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::wheels::said;
use crate::cargo;

/// A library that the program finds on the machine it runs on.
struct Library {
    /// What the linker looks for: `lib{name}.so`.
    name: &'static str,
    /// What the program will ask for.
    soname: &'static str,
    /// The module of the crate cudarc that declares its functions.
    module: &'static str,
    /// How their names begin.
    prefix: &'static str,
}

const LIBRARIES: &[Library] = &[
    Library { name: "cuda", soname: "libcuda.so.1", module: "driver", prefix: "cu" },
    Library { name: "nvrtc", soname: "libnvrtc.so.13", module: "nvrtc", prefix: "nvrtc" },
    Library { name: "curand", soname: "libcurand.so.10", module: "curand", prefix: "curand" },
    Library { name: "cublas", soname: "libcublas.so.13", module: "cublas", prefix: "cublas" },
    Library { name: "cublasLt", soname: "libcublasLt.so.13", module: "cublaslt", prefix: "cublas" },
];

/// Writes and compiles all of them in `dir`.
pub(super) fn build(dir: &Path, cudarc: &Path) -> Result<()> {
    for library in LIBRARIES {
        let declared = cudarc.join("src").join(library.module).join("sys/mod.rs");
        let text = std::fs::read_to_string(&declared)
            .with_context(|| format!("cannot read {}", declared.display()))?;
        let names = functions(&text, library.prefix);
        ensure!(!names.is_empty(), "{}: no function {}...", declared.display(), library.prefix);
        let source = dir.join(format!("{}.c", library.name));
        let body: String = names.iter().map(|name| format!("void {name}(void) {{}}\n")).collect();
        std::fs::write(&source, body)
            .with_context(|| format!("cannot write {}", source.display()))?;
        let mut gcc = Command::new("gcc");
        gcc.args(["-w", "-shared", "-fPIC", "-fno-builtin"]);
        gcc.arg(format!("-Wl,-soname,{}", library.soname)).arg("-o");
        gcc.arg(dir.join(format!("lib{}.so", library.name))).arg(&source);
        said(&mut gcc).with_context(|| format!("cannot compile a stub of {}", library.soname))?;
    }
    Ok(())
}

/// The functions that a module of cudarc declares, by name.
fn functions(text: &str, prefix: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| {
            let (before, rest) = line.trim_start().split_once("fn ")?;
            let name = rest.split('(').next()?;
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let declared = matches!(before, "pub " | "pub unsafe ");
            // A capital follows the prefix: cuInit, and not what cudarc calls `culib` for itself.
            let own = name.strip_prefix(prefix)?.starts_with(|c: char| c.is_ascii_uppercase());
            (declared && plain && own).then(|| name.to_owned())
        })
        .collect()
}

/// The folder of the crate cudarc in the version that the workspace has locked.
pub(super) fn cudarc() -> Result<PathBuf> {
    let metadata = cargo::metadata_with_dependencies()?;
    let empty = Vec::new();
    let packages = metadata["packages"].as_array().unwrap_or(&empty);
    let manifest = packages.iter().find(|package| package["name"] == "cudarc");
    let manifest = manifest.and_then(|package| package["manifest_path"].as_str());
    let manifest = manifest.context("cargo metadata lists no package cudarc")?;
    Ok(Path::new(manifest).parent().map(Path::to_path_buf).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_declared() {
        let text = "pub type cuHostFn = unsafe extern \"C\" fn(data: *mut c_void);\n\
                    pub unsafe fn cuInit(flags: u32) -> CUresult {\n    \
                    type _F = unsafe extern \"C\" fn(u32) -> CUresult;\n        \
                    pub fn cuInit(flags: u32) -> CUresult;\n\
                    pub unsafe fn cuMemAlloc_v2(a: *mut u64) -> CUresult {\n\
                    pub unsafe fn culib() -> &'static Lib {\n\
                    pub fn from_env() -> Self {\n";
        let names: Vec<String> = functions(text, "cu").into_iter().collect();
        assert_eq!(names, ["cuInit", "cuMemAlloc_v2"]);
        assert!(functions(text, "nvrtc").is_empty());
    }
}
