//! Checkpoints of other libraries: diffusers, score_sde, EDM, guided-diffusion.
//!
//! A folder of diffusers says what it holds (`config.json`, `scheduler_config.json`); beside a state dict of
//! score_sde_pytorch, EDM or guided-diffusion, `x.safetensors`, `x.pt` or `x.pth`, a file `x.json` must:
//! `{"architecture": "guided-diffusion", "args": {...}}` with the arguments of the constructor by their own
//! names. Nothing is guessed from names of tensors.

mod averages;
mod conventions;
mod diffusers;
mod names;
mod read;
mod setup;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use candle_core::Tensor;
use serde_json::Value;

use crate::{Architecture, Backend, Error, Parameters, Result};

pub use conventions::{Conventions, NoiseLevel, Prediction, Process};
pub use read::Weights;
pub use setup::ModelSetup;

/// A checkpoint that was read: architecture, tensors and conventions.
#[derive(Clone, Debug)]
pub struct LoadedCheckpoint {
    /// The network.
    pub architecture: Architecture,
    /// Its tensors, by the names of the architecture.
    pub tensors: BTreeMap<String, Tensor>,
    /// What the network's level and output mean, as far as the files say.
    pub conventions: Conventions,
    /// The file of the tensors.
    pub path: PathBuf,
}

/// Opens a folder of diffusers, or a state dict with a JSON beside it; averaged weights where there are some.
///
/// # Errors
/// [`Error::File`] for what cannot be read and for a state dict without a JSON; [`Error::Setting`] for
/// arguments that make no network.
pub fn open(path: impl AsRef<Path>) -> Result<LoadedCheckpoint> {
    open_as(path, Weights::Averaged)
}

/// As [`open`], with a choice between averaged and raw weights.
///
/// # Errors
/// As [`open`].
pub fn open_as(path: impl AsRef<Path>, weights: Weights) -> Result<LoadedCheckpoint> {
    let path = path.as_ref();
    if path.is_dir() {
        return diffusers::open(path);
    }
    let json = path.with_extension("json");
    let file = if path == json { weights_beside(path)? } else { path.to_path_buf() };
    if !json.is_file() {
        if !file.is_file() {
            return Err(Error::file(&file, "is not there"));
        }
        let name = json.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let known = Architecture::NAMES.join(", ");
        let reason = format!(
            "does not say which network it holds: needs `{name}` beside it with {{\"architecture\": one of \
             {known}, \"args\": {{...}}}}"
        );
        return Err(Error::file(&file, reason));
    }
    let value = read_json(&json)?;
    let architecture = Architecture::from_json(&value).map_err(|e| Error::file(&json, e))?;
    let mut opened = LoadedCheckpoint::read(architecture, &file, weights)?;
    opened.conventions.note(&value).map_err(|e| Error::file(&json, e))?;
    Ok(opened)
}

/// The tensors of a file by their own names without what wrappers add; averaged weights where there are some.
///
/// # Errors
/// [`Error::File`] for what cannot be read.
pub fn tensors(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = read::tensors(path.as_ref(), Weights::Averaged)?;
    let _ = names::unwrap(&mut tensors);
    Ok(tensors)
}

/// Reads the tensors in the content of a file, and says how many there are.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn inspect(bytes: &[u8]) -> std::result::Result<usize, String> {
    read::of_bytes(bytes, Weights::Averaged).map(|tensors| tensors.len())
}

impl LoadedCheckpoint {
    /// The tensors of a file for an architecture that is known otherwise.
    ///
    /// # Errors
    /// [`Error::File`] for what cannot be read, or does not agree with the arguments.
    pub fn new(architecture: Architecture, path: impl AsRef<Path>) -> Result<Self> {
        Self::read(architecture, path.as_ref(), Weights::Averaged)
    }

    fn read(architecture: Architecture, path: &Path, weights: Weights) -> Result<Self> {
        let mut tensors = read::tensors(path, weights)?;
        let mut levels = names::unwrap(&mut tensors);
        if let Architecture::Edm(_) = architecture {
            levels = levels.or(tensors.remove(names::LEVELS));
        }
        let levels = names::levels(&architecture, levels, path)?;
        let architecture = names::fit(architecture, &mut tensors, path)?;
        let conventions = Conventions { levels, ..Conventions::of(&architecture) };
        Ok(Self { architecture, tensors, conventions, path: path.to_path_buf() })
    }

    /// The parameters on a backend.
    ///
    /// # Errors
    /// [`Error::File`] that lists every tensor that is missing, superfluous, of another shape or not finite.
    pub fn parameters(&self, backend: &Backend) -> Result<Parameters> {
        Parameters::from_tensors(&self.tensors, &self.path, backend, |vb| {
            Ok(self.architecture.build(vb)?.buffers())
        })
    }
}

/// The tensors that belong to a JSON.
fn weights_beside(json: &Path) -> Result<PathBuf> {
    let mut files = ["safetensors", "pth", "pt", "bin"].iter().map(|e| json.with_extension(e));
    let reason =
        "has no file of tensors of the same name (.safetensors, .pth, .pt, .bin) beside it";
    files.find(|f| f.is_file()).ok_or_else(|| Error::file(json, reason))
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    serde_json::from_str(&text).map_err(|e| Error::file(path, format!("is no JSON: {e}")))
}
