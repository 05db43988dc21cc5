//! Files: this crate's checkpoints, the published safetensors, PyTorch archives.

mod archive;
mod checksum;
pub(crate) mod pickle;
pub(crate) mod torch;

use std::{
    collections::{BTreeMap, HashMap},
    io::Read,
    path::Path,
};

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Activation, Error, NetConfig, Output, Result};
use checksum::checksum;

/// What a file says about a kind of model.
pub trait Described: Serialize + DeserializeOwned + Clone + Send + Sync {
    /// The one metadata entry of its files; a single one, so that equal content is equal bytes.
    const ENTRY: &'static str;
}

impl Described for NetConfig {
    const ENTRY: &'static str = "score-nets";
}

/// The entry of files of [`crate::ScoreModel`].
pub(crate) const MODEL: &str = "score-model";

/// The entry of files of [`crate::Classifier`].
pub(crate) const CLASSIFIER: &str = "noise-classifier";

/// The entries of all kinds of files.
const ENTRIES: [&str; 3] = [NetConfig::ENTRY, MODEL, CLASSIFIER];

/// What a file says about its tensors; `T` is what training says about itself, which is read only where it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Header<C = NetConfig, T = serde_json::Value> {
    format: u32,
    pub(crate) config: C,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub(crate) train: Option<T>,
    /// CRC-32 of the header without it and of every tensor; files of before have none. It is written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<u32>,
}

fn none<T>() -> Option<T> {
    None
}

impl<C: Described> Header<C> {
    pub(crate) fn of_net(config: &C) -> Self {
        Self { format: 1, config: config.clone(), train: None, checksum: None }
    }
}

impl<C: Described, T> Header<C, T> {
    pub(crate) fn of_training(config: &C, train: T) -> Self {
        Self { format: 1, config: config.clone(), train: Some(train), checksum: None }
    }
}

/// The checksum of a file with a header, as it is written without one, and tensors in order of name.
fn checksum_of(header: &str, tensors: &[(&str, TensorView<'_>)]) -> u32 {
    let shapes: Vec<String> = tensors
        .iter()
        .map(|(name, view)| format!("{name} {:?} {:?}", view.dtype(), view.shape()))
        .collect();
    let tensors = shapes.iter().zip(tensors);
    let pieces = tensors.flat_map(|(shape, (_, view))| [shape.as_bytes(), view.data()]);
    checksum([header.as_bytes()].into_iter().chain(pieces))
}

/// The end of a header with a checksum.
fn ending(checksum: u32) -> String {
    format!(",\"checksum\":{checksum}}}")
}

/// Prefixes of the groups of tensors in a training checkpoint.
pub(crate) mod group {
    pub(crate) const NET: &str = "net/";
    pub(crate) const EMA: &str = "ema/";
    /// The average number `k`.
    pub(crate) fn average(k: usize) -> String {
        if k == 0 { EMA.into() } else { format!("average-{k}/") }
    }
    pub(crate) const FIRST: &str = "first-moment/";
    pub(crate) const SECOND: &str = "second-moment/";
    /// SOAP's two factors, then their eigenbases.
    pub(crate) const TURNED: [&str; 4] =
        ["factor-left/", "factor-right/", "basis-left/", "basis-right/"];
}

/// The tensors whose names start with `prefix`, without it.
pub(crate) fn strip(tensors: &BTreeMap<String, Tensor>, prefix: &str) -> BTreeMap<String, Tensor> {
    let strip = |(n, t): (&String, &Tensor)| Some((n.strip_prefix(prefix)?.to_string(), t.clone()));
    tensors.iter().filter_map(strip).collect()
}

/// Configuration and weights of whatever kind of file this is; the averaged weights of a training
/// checkpoint that has them.
pub(crate) fn read_net(
    path: &Path,
    nameless: Nameless,
) -> Result<(NetConfig, BTreeMap<String, Tensor>)> {
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    read_bytes(path, &bytes, nameless)
}

/// What weights without a word on their network are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nameless {
    /// Nothing.
    Refused,
    /// A network of Deveney et al., arXiv 2311.15996.
    Published,
}

impl Nameless {
    fn config(self, path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<NetConfig> {
        if self == Self::Published {
            return infer(path, tensors);
        }
        let reason = "does not say which network it holds, and weights alone fit many: where it is one of the \
                      published networks of arXiv 2311.15996, say so (`--architecture ode-sde-gap`, or \
                      `ScoreNet::open_published`)";
        Err(Error::file(path, reason))
    }
}

/// As [`read_net`], of a file's content.
pub(crate) fn read_bytes(
    path: &Path,
    bytes: &[u8],
    nameless: Nameless,
) -> Result<(NetConfig, BTreeMap<String, Tensor>)> {
    if bytes.starts_with(b"PK\x03\x04") {
        let tensors = torch::read(bytes).map_err(|reason| Error::file(path, reason))?;
        return Ok((nameless.config(path, &tensors)?, tensors));
    }
    let (header, tensors) = parse(path, bytes)?;
    match header {
        None => Ok((nameless.config(path, &tensors)?, tensors)),
        Some(header) => Ok(weights(header, tensors)),
    }
}

/// Reads the pickle that describes the tensors of a PyTorch archive, and says how many there are.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn inspect_pickle(bytes: &[u8]) -> std::result::Result<usize, String> {
    torch::count(bytes)
}

/// Everything in one of our own files.
pub(crate) fn read_own<C: Described>(path: &Path) -> Result<(Header<C>, BTreeMap<String, Tensor>)> {
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    match parse(path, &bytes)? {
        (Some(header), tensors) => Ok((header, tensors)),
        (None, _) => {
            let reason = format!("has no `{}` metadata: not a checkpoint", C::ENTRY);
            Err(Error::file(path, reason))
        }
    }
}

/// Configuration and weights of one of our own files; the averaged weights of a training checkpoint that has them.
pub(crate) fn read_weights<C: Described>(path: &Path) -> Result<(C, BTreeMap<String, Tensor>)> {
    let (header, tensors) = read_own::<C>(path)?;
    Ok(weights(header, tensors))
}

/// The weights among the tensors of a file: averages, where a training checkpoint has them.
fn weights<C>(
    header: Header<C>,
    tensors: BTreeMap<String, Tensor>,
) -> (C, BTreeMap<String, Tensor>) {
    if header.train.is_none() {
        return (header.config, tensors);
    }
    let mut weights = strip(&tensors, group::NET);
    weights.extend(strip(&tensors, group::EMA));
    (header.config, weights)
}

/// The kind of one of our own files: its metadata entry.
pub(crate) fn kind(path: &Path) -> Option<&'static str> {
    let mut start = Vec::new();
    let mut file = std::fs::File::open(path).ok()?.take(HEADER_LIMIT);
    file.read_to_end(&mut start).ok()?;
    let length = u64::from_le_bytes(*start.first_chunk()?) as usize;
    let json = start.get(8..8_usize.checked_add(length)?)?;
    let header: serde_json::Value = serde_json::from_slice(json).ok()?;
    let entries = header.get("__metadata__")?;
    ENTRIES.into_iter().find(|entry| entries.get(entry).is_some())
}

/// No header is longer.
const HEADER_LIMIT: u64 = 100_000_000;

type Parsed<C> = (Option<Header<C>>, BTreeMap<String, Tensor>);

fn parse<C: Described>(path: &Path, bytes: &[u8]) -> Result<Parsed<C>> {
    let broken = |e| Error::file(path, format!("not a complete safetensors file: {e}"));
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let entries = metadata.metadata().as_ref();
    let text = entries.and_then(|m| m.get(C::ENTRY));
    let header = header::<C>(path, entries, text)?;
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    let mut views: Vec<(&str, TensorView<'_>)> = file.iter().collect();
    views.sort_by_key(|(name, _)| *name);
    if let (Some(text), Some(stated)) = (text, header.as_ref().and_then(|h| h.checksum)) {
        let plain = text.strip_suffix(&ending(stated)).map(|begin| format!("{begin}}}"));
        if plain.is_none_or(|plain| checksum_of(&plain, &views) != stated) {
            return Err(Error::file(path, "is damaged: its checksum is wrong"));
        }
    }
    let mut tensors = BTreeMap::new();
    for (name, view) in views {
        tensors.insert(name.to_string(), tensor(path, name, &view)?);
    }
    one_dtype(path, &tensors)?;
    Ok((header, tensors))
}

/// Our header in a file's metadata; `None` in a file that is not ours.
fn header<C: Described>(
    path: &Path,
    entries: Option<&HashMap<String, String>>,
    text: Option<&String>,
) -> Result<Option<Header<C>>> {
    let entry = C::ENTRY;
    let Some(json) = text else {
        if let Some(other) = ENTRIES.iter().find(|e| entries.is_some_and(|m| m.contains_key(**e))) {
            let reason = format!("is a `{other}` file, where a `{entry}` file was expected");
            return Err(Error::file(path, reason));
        }
        // Without its name our header would be no more than a remark on somebody else's network.
        let ours = |(_, text): &(&String, &String)| text.starts_with("{\"format\":");
        if let Some((name, _)) = entries.and_then(|m| m.iter().find(ours)) {
            let reason = format!("its metadata are damaged: `{name}` where `{entry}` should be");
            return Err(Error::file(path, reason));
        }
        return Ok(None);
    };
    let header: Header<C> = serde_json::from_str(json)
        .map_err(|e| Error::file(path, format!("bad `{entry}` metadata: {e}")))?;
    if header.format != 1 {
        let reason = format!("format {} is not known to this version", header.format);
        return Err(Error::file(path, reason));
    }
    Ok(Some(header))
}

fn tensor(path: &Path, name: &str, view: &TensorView<'_>) -> Result<Tensor> {
    if count(view.shape()).is_none() {
        let reason = format!("tensor `{name}` of shape {:?} is too large", view.shape());
        return Err(Error::file(path, reason));
    }
    Ok(match view.dtype() {
        Dtype::F32 => {
            let values = floats(view.data(), f32::from_le_bytes);
            Tensor::from_vec(values, view.shape(), &Device::Cpu)?
        }
        Dtype::F64 => {
            let values = floats(view.data(), f64::from_le_bytes);
            Tensor::from_vec(values, view.shape(), &Device::Cpu)?
        }
        other => {
            let reason = format!("tensor `{name}` has element type {other:?}, not F32 or F64");
            return Err(Error::file(path, reason));
        }
    })
}

/// The elements of a shape; `None` where they could not be counted if lengths of 0 were 1.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().filter(|n| **n > 0).try_fold(1_usize, |all, n| all.checked_mul(*n))?;
    Some(shape.iter().product())
}

fn one_dtype(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let Some((first, dtype)) = tensors.iter().next().map(|(n, t)| (n, t.dtype())) else {
        return Err(Error::file(path, "holds no tensors"));
    };
    match tensors.iter().find(|(_, t)| t.dtype() != dtype) {
        None => Ok(()),
        Some((name, t)) => {
            let (a, b) = (dtype.as_str(), t.dtype().as_str());
            Err(Error::file(path, format!("tensor `{first}` is {a} but `{name}` is {b}")))
        }
    }
}

pub(crate) fn floats<T, const N: usize>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|c| read(*c)).collect()
}

/// Writes tensors, in order of name, to a temporary file that then takes the name.
pub(crate) fn write<C: Described, T: Serialize>(
    path: &Path,
    tensors: &[(String, Tensor)],
    header: &Header<C, T>,
) -> Result<()> {
    let fail = |e: &dyn std::fmt::Display| Error::file(path, format!("cannot write: {e}"));
    let mut payload = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
        let (dtype, bytes) = match tensor.dtype() {
            DType::F32 => {
                let values = flat.to_vec1::<f32>()?;
                (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
            }
            _ => {
                let values = flat.to_dtype(DType::F64)?.to_vec1::<f64>()?;
                (Dtype::F64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
            }
        };
        payload.push((name.as_str(), dtype, tensor.dims().to_vec(), bytes));
    }
    let mut views = Vec::with_capacity(payload.len());
    for (name, dtype, shape, bytes) in &payload {
        views.push((*name, TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| fail(&e))?));
    }
    views.sort_by_key(|(name, _)| *name);
    let mut json = serde_json::to_string(header).map_err(|e| fail(&e))?;
    let checksum = checksum_of(&json, &views);
    json.pop();
    json.push_str(&ending(checksum));
    let metadata = HashMap::from([(C::ENTRY.to_string(), json)]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| fail(&e))?;
    Ok(atomic_file::write(path, &bytes)?)
}

/// The configuration of the published weights, which come without one: an Ornstein-Uhlenbeck process,
/// softplus with `beta = 100`, inputs `(t, x)`, layers `input`, `hidden1`, ..., `output`.
fn infer(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<NetConfig> {
    let dims = |name: &str| match tensors.get(name).map(Tensor::dims) {
        Some(&[n_out, n_in]) => Ok((n_out, n_in)),
        Some(found) => {
            Err(Error::file(path, format!("tensor `{name}`: expected a matrix, found {found:?}")))
        }
        None => Err(Error::file(path, format!("tensor `{name}` is missing"))),
    };
    let (first, n_in) = dims("input.weight")?;
    let mut hidden = vec![first];
    while tensors.contains_key(&format!("hidden{}.weight", hidden.len())) {
        hidden.push(dims(&format!("hidden{}.weight", hidden.len()))?.0);
    }
    let (n_out, _) = dims("output.weight")?;
    let dim = n_in.saturating_sub(1);
    let output = match n_out {
        1 => Output::Potential,
        n if n == dim => Output::Score,
        n => {
            let reason = format!(
                "tensor `output.weight`: {n} outputs fit neither a potential nor a score in {dim} dimensions"
            );
            return Err(Error::file(path, reason));
        }
    };
    let activation = Activation::Softplus { beta: 100.0 };
    let config = NetConfig { dim, hidden, activation, output, ..NetConfig::published() };
    config.validate().map_err(|e| Error::file(path, e))?;
    Ok(config)
}
