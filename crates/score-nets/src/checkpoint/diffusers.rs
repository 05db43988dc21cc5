//! Folders of diffusers.

use std::path::{Path, PathBuf};

use crate::{Architecture, Error, Result, unet::DiffusersConfig};

use super::{LoadedCheckpoint, Weights, read_json};

/// A folder of a model, or of a pipeline with `unet` and `scheduler` in it.
pub(super) fn open(path: &Path) -> Result<LoadedCheckpoint> {
    let inner = path.join("unet");
    let folder = if inner.join("config.json").is_file() { inner } else { path.to_path_buf() };
    let config = folder.join("config.json");
    if !config.is_file() {
        let reason = "is a folder without `config.json`: not a model of diffusers";
        return Err(Error::file(path, reason));
    }
    let args = DiffusersConfig::from_json(&read_json(&config)?);
    let args = args.map_err(|e| Error::file(&config, e))?;
    let files = ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"];
    let weights = files.iter().map(|f| folder.join(f)).find(|f| f.is_file());
    let reason = format!("holds neither {} nor {}", files[0], files[1]);
    let weights = weights.ok_or_else(|| Error::file(&folder, reason))?;
    let mut opened =
        LoadedCheckpoint::read(Architecture::Diffusers(args), &weights, Weights::Averaged)?;
    if let Some(scheduler) = scheduler(path, &folder) {
        let json = read_json(&scheduler)?;
        opened.conventions.schedule(&json).map_err(|e| Error::file(&scheduler, e))?;
    }
    Ok(opened)
}

/// The scheduler's settings, in any of the places where versions have kept them.
fn scheduler(path: &Path, folder: &Path) -> Option<PathBuf> {
    let near = [folder, path];
    let near = near.iter().map(|f| f.join("scheduler_config.json"));
    let inside = path.join("scheduler").join("scheduler_config.json");
    let beside = folder.join("..").join("scheduler").join("scheduler_config.json");
    near.chain([inside, beside]).find(|f| f.is_file())
}
