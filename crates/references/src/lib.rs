//! Recomputes reference numbers of other implementations: how anyone checks an installation.
//!
//! A folder of references holds one sub-folder a family. Every case found is recomputed with the
//! public interfaces of the libraries, with the constants and targets that the files name; nothing
//! is known here about which cases there should be. `references/` at the root of the repository has
//! every family; a larger set of the same layout may lie elsewhere.

mod archive;
mod bits;
mod case;
mod diffusers;
mod features;
mod flow;
mod fokker_planck;
mod fokker_planck_bounds;
mod gaussian;
mod networks;
mod objectives;
mod pfode;
mod pinn;
mod posterior;
mod prelude;
mod read;
mod samplers;
mod schedules;
mod targets;
mod transport;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

pub use case::{Failure, Family, Skipped, Worst};
use data::npy;
use read::Folder;

/// Recomputes the cases of one family's folder.
type Recompute = fn(&Folder, &mut Family) -> Result<()>;

/// The families, by the name of their folder, which may lie in another.
const FAMILIES: &[(&str, Recompute)] = &[
    ("schedules", schedules::cases),
    ("gaussian", gaussian::cases),
    ("pfode", pfode::cases),
    ("ot", transport::cases),
    ("solvers", samplers::cases),
    ("recorded", samplers::cases),
    ("pinn", pinn::cases),
    ("fokker_planck", fokker_planck::cases),
    ("diffusers_tests", diffusers::cases),
    ("networks/unet", networks::cases),
    ("networks/adm", networks::cases),
    ("networks/objectives", objectives::cases),
    ("networks/fid", features::cases),
    ("networks/bits_per_dim", bits::cases),
    ("networks/posterior", posterior::cases),
];

/// Folders that belong to the layout and hold no cases.
const SHARED: &str = "common";

/// What a walk over a folder of references found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether every case that could be recomputed is within its tolerance.
    pub ok: bool,
    /// One entry a family, in a fixed order.
    pub families: Vec<Family>,
}

/// The larger set of references: `refs` in the folder that `SHARED_DIR` names, or in `shared` beside the checkout.
pub fn larger_set() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("SHARED_DIR").map_or_else(beside, PathBuf::from).join("refs")
}

/// The references that are part of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../references")
}

/// The names of the families: their folders, which may lie in another.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(name, _)| *name)
}

/// Recomputes the cases of one family below `dir`; `None` where it has no folder there.
///
/// A case that is damaged, cannot be computed or misses its tolerance is a failure; a case that needs
/// something this version does not have, or a file that is not there, is skipped with the reason.
pub fn family(dir: &Path, name: &str) -> Option<Family> {
    let (name, recompute) = FAMILIES.iter().find(|(known, _)| *known == name)?;
    let folder = Folder(dir.join(name));
    folder.0.is_dir().then(|| {
        let mut family = Family::new(name);
        family.group(name, |family| recompute(&folder, family));
        family
    })
}

/// Recomputes every family below `dir`; `done` sees each as it is finished. A folder that is no family is one
/// that is skipped.
///
/// # Errors
/// When `dir` cannot be read, or holds no family.
pub fn refs(dir: &Path, mut done: impl FnMut(&Family)) -> Result<Report> {
    let mut folders = Vec::new();
    for name in subfolders(dir)? {
        let outer = format!("{name}/");
        if families().any(|family| family.starts_with(&outer)) {
            folders.extend(subfolders(&dir.join(&name))?.iter().map(|inner| outer.clone() + inner));
        } else {
            folders.push(name);
        }
    }
    let (known, others): (Vec<String>, Vec<String>) =
        folders.into_iter().partition(|folder| families().any(|family| family == folder));
    ensure!(
        !known.is_empty(),
        "{} holds no family of references: expected at least one of the folders {}",
        dir.display(),
        families().collect::<Vec<_>>().join(", ")
    );
    let unknown = others.iter().filter(|folder| *folder != SHARED).map(|folder| {
        let mut family = Family::new(folder);
        family.skip("nothing here knows this family");
        family
    });
    let recomputed = families().filter_map(|name| family(dir, name));
    let families: Vec<Family> = recomputed.chain(unknown).inspect(|f| done(f)).collect();
    Ok(Report { ok: families.iter().all(|f| f.failed == 0), families })
}

/// The names of the folders in a folder, sorted.
fn subfolders(dir: &Path) -> Result<Vec<String>> {
    let read = || -> std::io::Result<Vec<String>> {
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.path().is_dir() {
                folders.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        folders.sort();
        Ok(folders)
    };
    read().with_context(|| format!("cannot read {}", dir.display()))
}
