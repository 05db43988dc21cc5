//! The names of tensors in files, translated to those of the networks.

use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor};
use sde_core::NoiseTable;

use crate::{
    Architecture, Error, Result,
    unet::{Constant, EdmPrecond},
};

type Tensors = BTreeMap<String, Tensor>;

/// The table of noise levels of EDM's iDDPM, which belongs to the wrapper itself.
pub(super) const LEVELS: &str = "u";

/// Takes off what wrappers put before the names: `module.` of a parallel module, `model.` of a
/// preconditioning; returns the wrapper's own tensor, where it has one.
pub(super) fn unwrap(tensors: &mut Tensors) -> Option<Tensor> {
    let mut levels = None;
    for prefix in ["module.", "model."] {
        let wrapper = |name: &String| prefix == "model." && name == LEVELS;
        if tensors.keys().all(|name| name.starts_with(prefix) || wrapper(name)) {
            let all = std::mem::take(tensors).into_iter();
            for (name, tensor) in all {
                match name.strip_prefix(prefix) {
                    Some(inner) => drop(tensors.insert(inner.to_string(), tensor)),
                    None => levels = Some(tensor),
                }
            }
        }
    }
    levels
}

/// Brings the names to those of the architecture, fills in constants, and returns the architecture as it is
/// in the file.
pub(super) fn fit(
    architecture: Architecture,
    tensors: &mut Tensors,
    path: &Path,
) -> Result<Architecture> {
    let architecture = match architecture {
        Architecture::Diffusers(config) => {
            rename_diffusers(tensors);
            Architecture::Diffusers(config)
        }
        Architecture::Edm(mut config) => {
            // Labels of augmentation are an input of training alone.
            match tensors.get("map_augment.weight") {
                Some(_) if config.augment_dim == 0 => drop(tensors.remove("map_augment.weight")),
                None => config.augment_dim = 0,
                Some(_) => {}
            }
            Architecture::Edm(config)
        }
        other => other,
    };
    for constant in architecture.constants().map_err(|e| Error::file(path, e))? {
        check_constant(tensors, constant, path)?;
    }
    Ok(architecture)
}

/// The noise levels that an iDDPM wrapper had among its tensors, upwards.
///
/// # Errors
/// [`Error::File`] for levels that are no table, or not as many as the arguments say.
pub(super) fn levels(
    architecture: &Architecture,
    levels: Option<Tensor>,
    path: &Path,
) -> Result<Option<NoiseTable>> {
    let precond = match architecture {
        Architecture::Edm(config) => config.precond,
        _ => None,
    };
    let (Some(levels), Some(EdmPrecond::Iddpm { m, .. })) = (levels, precond) else {
        return Ok(None);
    };
    let mut levels = levels.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    if levels.len() != m + 1 {
        let (found, expected) = (levels.len(), m + 1);
        let reason = format!("`u` has {found} noise levels, {expected} by the arguments");
        return Err(Error::file(path, reason));
    }
    // In the file from the largest down.
    levels.reverse();
    let named = |e: sde_core::Error| Error::file(path, format!("`u`: {e}"));
    NoiseTable::new(levels).map(Some).map_err(named)
}

/// A constant that is not there is put there; another one contradicts the arguments.
fn check_constant(tensors: &mut Tensors, constant: Constant, path: &Path) -> Result<()> {
    let Constant { name, shape, values } = constant;
    let Some(found) = tensors.get(&name) else {
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
        return Ok(());
    };
    if found.dims() != shape {
        return Ok(()); // Listed with the other shapes later.
    }
    let found = found.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    let agrees = |a: f64, b: f64| (a - b).abs() <= 1e-3 * b.abs() + 1e-12;
    if let Some(i) = found.iter().zip(&values).position(|(a, b)| !agrees(*a, *b)) {
        let (a, b) = (found[i], values[i]);
        let reason = format!("`{name}` contradicts the arguments: {a} in the file, {b} by them");
        return Err(Error::file(path, reason));
    }
    Ok(())
}

/// Names of old versions of diffusers.
fn rename_diffusers(tensors: &mut Tensors) {
    let old = std::mem::take(tensors);
    for (name, tensor) in old {
        let mut parts: Vec<&str> = name.split('.').collect();
        if parts.contains(&"attentions") {
            for part in &mut parts {
                *part = match *part {
                    "query" => "to_q",
                    "key" => "to_k",
                    "value" => "to_v",
                    "proj_attn" => "to_out.0",
                    other => other,
                };
            }
        }
        if parts.iter().any(|p| *p == "downsamplers" || *p == "upsamplers") {
            for part in &mut parts {
                if *part == "op" || *part == "Conv2d_0" {
                    *part = "conv";
                }
            }
        }
        if parts == ["time_proj", "W"] {
            parts[1] = "weight";
        }
        tensors.insert(parts.join("."), tensor);
    }
}
