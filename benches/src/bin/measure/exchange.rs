//! The inputs as files that any software reads: little-endian f32 and one manifest.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::flops::SGEMM;
use crate::ours::{Gradient, in_order};
use crate::work::{BATCH, PARTICLES, PATHS, POINTS, Work};

/// Writes everything that a peer needs into `folder`.
pub(crate) fn write(work: &Work, folder: &Path) -> Result<()> {
    let (d, sde) = (work.net.dim(), work.net.sde());
    let array = |name: &str, values: &[f32], shape: &[usize]| -> Result<Value> {
        let file = format!("{name}.bin");
        write_floats(&folder.join(&file), values)?;
        Ok(json!({ "file": file, "shape": shape }))
    };
    let narrow = |name: &str, values: &[f64], shape: &[usize]| {
        let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        array(name, &values, shape)
    };
    let vars = work.net.parameters().iter().map(|(_, values)| Some(values.clone())).collect();
    let weights = in_order(work, &Gradient { loss: 0.0, tensors: vars })?;
    let parameters: Vec<Value> = weights
        .iter()
        .zip(work.parameters())
        .map(|(values, (name, shape))| array(&name, values, &shape))
        .collect::<Result<_>>()?;
    let manifest = json!({
        "parameters": parameters,
        "beta": 100.0,
        "drift": sde.drift_coef(0.0),
        "diffusion": sde.diffusion(0.0),
        "prior_std": sde.prior_std(),
        "dsm": {
            "t": narrow("dsm.t", &work.batch.t, &[BATCH, 1])?,
            "x": narrow("dsm.x", &work.batch.x, &[BATCH, d])?,
            "target": narrow("dsm.target", &work.batch.target, &[BATCH, d])?,
        },
        "residual": {
            "t": narrow("residual.t", &work.points.t, &[POINTS, 1])?,
            "x": narrow("residual.x", &work.points.x, &[POINTS, d])?,
        },
        "sample": { "particles": PARTICLES, "times": work.times },
        "starts": array("starts", &work.starts, &[PATHS, d])?,
        "sgemm": SGEMM,
    });
    let path = folder.join("manifest.json");
    std::fs::write(&path, manifest.to_string())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The floats in a file.
pub(crate) fn read_floats(path: &Path) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect())
}

pub(crate) fn write_floats(path: &Path, values: &[f32]) -> Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
