//! `show` and `forward`: networks of ours and published ones, seen from the outside.

mod denoising;
mod forward;
mod layers;
mod show;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use score_nets::checkpoint::{self, Opened};
use score_nets::{Backend, ScoreNet};

pub(super) use forward::ForwardCommand;
pub(super) use show::ShowCommand;

/// A network of a file.
enum Model {
    /// A checkpoint of ours.
    Own(Box<ScoreNet>),
    /// A published architecture with its weights.
    Published(Box<Opened>),
}

impl Model {
    fn open(path: &Path, backend: &Backend) -> Result<Self> {
        ensure!(path.exists(), "cannot read {}: no such file or folder", path.display());
        if path.is_file() && is_own(path)? {
            let net = ScoreNet::open_as(path, backend.dtype(), backend.device())?;
            return Ok(Self::Own(Box::new(net)));
        }
        Ok(Self::Published(Box::new(checkpoint::open(path)?)))
    }
}

/// Longer headers of a safetensors file are none.
const LONGEST: u64 = 100_000_000;

/// Whether a file says in its header that it is one of ours.
fn is_own(path: &Path) -> Result<bool> {
    let shown = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(shown)?;
    let mut length = [0; 8];
    if file.read_exact(&mut length).is_err() {
        return Ok(false);
    }
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Ok(false);
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).with_context(shown)?;
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap_or_default();
    // A damaged name does not make it somebody else's: the reader then says what is wrong.
    let entries = header["__metadata__"].as_object();
    Ok(entries.is_some_and(|m| {
        m.contains_key("score-nets")
            || m.values().any(|v| v.as_str().is_some_and(|v| v.starts_with("{\"format\":")))
    }))
}
