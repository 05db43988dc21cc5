//! PyTorch archives: a zip with a pickled description and the raw storages beside it.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::{
    archive::Archive,
    floats,
    pickle::{TensorRef, Value, parse},
};

type Result<T> = std::result::Result<T, String>;

/// The parameters of a pickled module, or the tensors of a `state_dict`, by dotted name.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let archive = Archive::open(bytes)?;
    let description = archive.find("/data.pkl");
    let description = description.ok_or("not a PyTorch archive: no member `data.pkl`")?;
    let folder = description.trim_end_matches("data.pkl");
    if let Ok(order) = archive.read(&format!("{folder}byteorder"))
        && order != b"little"
    {
        return Err("the archive's numbers are not little-endian".into());
    }
    let mut refs = Vec::new();
    collect(&parse(archive.read(description)?)?, "", &mut refs);
    if refs.is_empty() {
        return Err("the archive describes no tensors".into());
    }
    let mut tensors = BTreeMap::new();
    for (name, r) in refs {
        let raw = archive.read(&format!("{folder}data/{}", r.key))?;
        let tensor = match r.kind.as_str() {
            "torch.FloatStorage" => view(&name, &r, &floats(raw, f32::from_le_bytes))?,
            "torch.DoubleStorage" => view(&name, &r, &floats(raw, f64::from_le_bytes))?,
            kind => return Err(format!("tensor `{name}` is a {kind}, not f32 or f64")),
        };
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn collect(value: &Value, prefix: &str, found: &mut Vec<(String, TensorRef)>) {
    let entries = match value {
        Value::Object(state) => match state.as_ref() {
            Value::Dict(entries) => entries,
            _ => return,
        },
        Value::Dict(entries) => entries,
        _ => return,
    };
    for (key, value) in entries {
        let Value::Str(key) = key else { continue };
        match value {
            Value::Tensor(t) => found.push((format!("{prefix}{key}"), t.clone())),
            // A module keeps its own tensors and its children under these names.
            Value::Dict(_) if key == "_parameters" || key == "_modules" => {
                collect(value, prefix, found);
            }
            Value::Object(_) => collect(value, &format!("{prefix}{key}."), found),
            _ => {}
        }
    }
}

fn view<T: candle_core::WithDType>(name: &str, r: &TensorRef, storage: &[T]) -> Result<Tensor> {
    let fail = |what: &str| format!("tensor `{name}` {what}");
    if r.shape.len() != r.stride.len() {
        return Err(fail("has sizes and strides of different length"));
    }
    let count = r.shape.iter().try_fold(1_usize, |n, &s| n.checked_mul(s));
    let count = count.filter(|&n| n <= storage.len());
    let count = count.ok_or_else(|| {
        fail(&format!("of shape {:?} does not fit its {} stored values", r.shape, storage.len()))
    })?;
    let mut values = Vec::with_capacity(count);
    for i in 0..count {
        let (mut rest, mut at) = (i, r.offset);
        for (&size, &stride) in r.shape.iter().zip(&r.stride).rev() {
            at = (rest % size)
                .checked_mul(stride)
                .and_then(|s| at.checked_add(s))
                .unwrap_or(usize::MAX);
            rest /= size;
        }
        values.push(*storage.get(at).ok_or_else(|| fail("reaches beyond its storage"))?);
    }
    Tensor::from_vec(values, r.shape.as_slice(), &Device::Cpu).map_err(|e| fail(&e.to_string()))
}
