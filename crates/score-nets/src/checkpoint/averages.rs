//! The nameless averages of score_sde_pytorch: a list in the order in which the modules registered their
//! trained parameters.

use std::collections::BTreeMap;

use candle_core::Tensor;

/// The parts of a module in the order of registration.
const PARTS: [&str; 12] = [
    "GroupNorm_0",
    "Conv_0",
    "Dense_0",
    "GroupNorm_1",
    "Conv_1",
    "Conv_2",
    "NIN_0",
    "NIN_1",
    "NIN_2",
    "NIN_3",
    "Conv2d_0",
    "Conv",
];

/// Where a parameter stands: number of its module, its part, weight before bias. `None` for what is not
/// trained.
fn place(name: &str) -> Option<(usize, usize, bool)> {
    let rest = name.strip_prefix("module.").unwrap_or(name).strip_prefix("all_modules.")?;
    let parts: Vec<&str> = rest.split('.').collect();
    let bias = |word: &str| word == "bias" || word == "b";
    match parts[..] {
        // The frequencies of Fourier features.
        [_, "W"] => None,
        [number, word] => Some((number.parse().ok()?, 0, bias(word))),
        [number, part, word] => {
            let part = PARTS.iter().position(|p| *p == part)?;
            Some((number.parse().ok()?, part, bias(word)))
        }
        _ => None,
    }
}

/// Names of trained parameters in the order of registration.
pub(super) fn in_order<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let mut placed: Vec<_> = names.filter_map(|name| Some((place(name)?, name))).collect();
    placed.sort();
    placed.into_iter().map(|(_, name)| name).collect()
}

/// Replaces trained parameters by their averages.
pub(super) fn put(
    tensors: &mut BTreeMap<String, Tensor>,
    averages: Vec<Tensor>,
) -> Result<(), String> {
    let names: Vec<String> = in_order(tensors.keys()).into_iter().cloned().collect();
    if names.len() != averages.len() {
        let (n, m) = (averages.len(), names.len());
        return Err(format!("holds {n} averages (`ema.shadow_params`) of {m} trained parameters"));
    }
    for (name, average) in names.into_iter().zip(averages) {
        let raw = &tensors[&name];
        if raw.dims() != average.dims() {
            let (a, b) = (average.dims(), raw.dims());
            return Err(format!("the average in the place of `{name}` has shape {a:?}, not {b:?}"));
        }
        tensors.insert(name, average);
    }
    Ok(())
}
