//! Reading tensors from safetensors files and PyTorch archives.

use std::{collections::BTreeMap, path::Path};

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{
    Error, Result,
    io::{
        self,
        pickle::{TensorRef, Value},
        torch::Torch,
    },
};

use super::averages;

/// Which weights of a checkpoint that has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// The running averages, where there are some.
    #[default]
    Averaged,
    /// Those that were trained.
    Raw,
}

/// The tensors of a safetensors file or a PyTorch archive; element types of two bytes are widened to f32.
pub(super) fn tensors(path: &Path, weights: Weights) -> Result<BTreeMap<String, Tensor>> {
    let bytes =
        std::fs::read(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    of_bytes(&bytes, weights).map_err(|e| Error::file(path, e))
}

/// As [`tensors`], from the content of a file.
pub(super) fn of_bytes(bytes: &[u8], weights: Weights) -> Result<BTreeMap<String, Tensor>, String> {
    let found = if bytes.starts_with(b"PK\x03\x04") {
        archive(bytes, weights)?
    } else if bytes.starts_with(&[0x80]) && bytes.get(1).is_some_and(|v| *v < 6) {
        let reason = "is a bare pickle, of a torch before 1.6 or of EDM: write its state dict as safetensors";
        return Err(reason.into());
    } else {
        safe(bytes)?
    };
    if found.is_empty() {
        return Err("holds no tensors".into());
    }
    Ok(found)
}

fn safe(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| format!("not a complete safetensors file: {e}"))?;
    let view = |(name, view): (&str, TensorView<'_>)| {
        let tensor = numbers(&view).map_err(|e| format!("tensor `{name}` {e}"))?;
        Ok((name.to_string(), tensor))
    };
    file.iter().map(view).collect()
}

fn numbers(view: &TensorView<'_>) -> Result<Tensor, String> {
    let shape = view.shape();
    if io::count(shape).is_none() {
        return Err(format!("of shape {shape:?} is too large"));
    }
    let data = view.data();
    let tensor = match view.dtype() {
        Dtype::F16 => from(io::floats(data, |b| half::f16::from_le_bytes(b).to_f32()), shape),
        Dtype::BF16 => from(io::floats(data, |b| half::bf16::from_le_bytes(b).to_f32()), shape),
        Dtype::F32 => from(io::floats(data, f32::from_le_bytes), shape),
        Dtype::F64 => from(io::floats(data, f64::from_le_bytes), shape),
        Dtype::I64 => from(io::floats(data, |b| i64::from_le_bytes(b) as f64), shape),
        Dtype::I32 => from(io::floats(data, |b| f64::from(i32::from_le_bytes(b))), shape),
        Dtype::U8 | Dtype::BOOL => from(data.iter().map(|b| f64::from(*b)).collect(), shape),
        other => return Err(format!("has element type {other:?}")),
    };
    tensor.map_err(|e| e.to_string())
}

fn from<T: candle_core::WithDType>(values: Vec<T>, shape: &[usize]) -> candle_core::Result<Tensor> {
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// A state dict, or one below `model` or `state_dict` with averages below `ema`.
fn archive(bytes: &[u8], weights: Weights) -> Result<BTreeMap<String, Tensor>, String> {
    let mut file = Torch::open(bytes)?;
    let root = std::mem::replace(&mut file.root, Value::Other);
    let below = ["model", "state_dict"].iter().find_map(|key| entry(&root, key));
    let state = below.unwrap_or(&root);
    let mut found = BTreeMap::new();
    for (name, r) in named(state) {
        let tensor = file.tensor(name, r)?;
        found.insert(name.to_string(), tensor);
    }
    let ema = entry(&root, "ema").and_then(|ema| entry(ema, "shadow_params"));
    if let (Some(Value::List(list)), Weights::Averaged) = (ema, weights) {
        let refs = list.iter().enumerate().map(|(i, value)| match value {
            Value::Tensor(r) => file.tensor(&format!("ema.shadow_params.{i}"), r),
            _ => Err(format!("`ema.shadow_params` holds something other than a tensor at {i}")),
        });
        let refs = refs.collect::<Result<Vec<_>, String>>()?;
        averages::put(&mut found, refs)?;
    }
    Ok(found)
}

/// An entry of a dictionary.
fn entry<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let entries = match value {
        Value::Dict(entries) => entries,
        Value::Object(state) => return entry(state, key),
        _ => return None,
    };
    entries.iter().find(|(k, _)| matches!(k, Value::Str(k) if k == key)).map(|(_, v)| v)
}

/// The tensors of a flat dictionary.
fn named(value: &Value) -> Vec<(&str, &TensorRef)> {
    let Value::Dict(entries) = value else { return Vec::new() };
    let each = entries.iter().filter_map(|(k, v)| match (k, v) {
        (Value::Str(name), Value::Tensor(r)) => Some((name.as_str(), r)),
        _ => None,
    });
    each.collect()
}
