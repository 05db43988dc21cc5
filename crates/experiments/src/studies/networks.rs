//! Networks of a folder, each with the data set that its name says.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use candle_core::{DType, Device};
use score_nets::ScoreNet;
use sde_core::analytic::DataSet;

/// A network in the plane.
pub(super) struct Network {
    pub(super) name: String,
    pub(super) net: ScoreNet,
    pub(super) set: DataSet,
}

/// The checkpoints of a folder, by name; not the states of trainings that lie beside them.
fn checkpoints(dir: &str) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {dir}"))?;
    let paths = entries.filter_map(|e| Some(e.ok()?.path()));
    let is_network = |p: &PathBuf| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".safetensors") && !name.ends_with(".training.safetensors")
    };
    let mut found: Vec<PathBuf> = paths.filter(is_network).collect();
    found.sort();
    ensure!(!found.is_empty(), "{dir} has no checkpoint to evaluate");
    Ok(found)
}

/// Their names and paths, for a run's record; none without a folder.
pub(super) fn given(dir: Option<&str>) -> Result<Vec<(String, PathBuf)>> {
    let paths = dir.map_or(Ok(Vec::new()), checkpoints)?;
    let named = |p: PathBuf| (p.file_name().unwrap_or_default().to_string_lossy().into_owned(), p);
    Ok(paths.into_iter().map(named).collect())
}

/// The networks themselves; `SET_w...` belongs to the data set `SET`.
pub(super) fn networks(dir: &str) -> Result<Vec<Network>> {
    let open = |path: PathBuf| -> Result<Network> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let set = name.split("_w").next().unwrap_or_default();
        let set = DataSet::parse(set).with_context(|| path.display().to_string())?;
        let net = ScoreNet::open_published(&path, DType::F32, &Device::Cpu)
            .with_context(|| path.display().to_string())?;
        ensure!(net.dim() == 2, "{name}: a network in the plane is needed");
        Ok(Network { name, net, set })
    };
    checkpoints(dir)?.into_iter().map(open).collect()
}
