//! `show` and `forward`: networks of ours and published ones, seen from the outside.

mod denoising;
mod forward;
mod layers;
mod show;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use score_nets::checkpoint::{self, LoadedCheckpoint};
use score_nets::{Backend, ScoreModel, ScoreNet};

use super::options::ArchitectureChoice;

pub(super) use forward::ForwardCommand;
pub(super) use show::ShowCommand;

/// Which network, where its file holds weights alone.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Named {
    /// The network that weights belong to which do not say so themselves
    #[arg(long, value_enum, value_name = "A")]
    architecture: Option<ArchitectureChoice>,
}

/// A network of a file.
enum Model {
    /// A checkpoint of ours, or published weights of the ODE-SDE-gap study.
    Own(Box<ScoreNet>),
    /// A checkpoint of ours, of a model of any network.
    Any(Box<ScoreModel>),
    /// A published architecture with its weights.
    Published(Box<LoadedCheckpoint>),
}

impl Model {
    fn open(path: &Path, named: Named, backend: &Backend) -> Result<Self> {
        ensure!(path.exists(), "cannot read {}: no such file or folder", path.display());
        if let Some(ArchitectureChoice::OdeSdeGap) = named.architecture {
            let net = ScoreNet::open_published(path, backend.dtype(), backend.device())?;
            return Ok(Self::Own(Box::new(net)));
        }
        match if path.is_file() { of_ours(path)? } else { None } {
            Some(Kind::ScoreNet) => {
                let net = ScoreNet::open_as(path, backend.dtype(), backend.device())?;
                return Ok(Self::Own(Box::new(net)));
            }
            Some(Kind::ScoreModel) => {
                return Ok(Self::Any(Box::new(ScoreModel::open_on(path, Some(backend))?)));
            }
            None => {}
        }
        Ok(Self::Published(Box::new(checkpoint::open(path)?)))
    }
}

/// Whether a file is a checkpoint of ours of a [`ScoreModel`].
pub(super) fn is_score_model(path: &Path) -> bool {
    path.is_file() && matches!(of_ours(path), Ok(Some(Kind::ScoreModel)))
}

/// Longer headers of a safetensors file are none.
const LONGEST: u64 = 100_000_000;

/// Files of ours.
enum Kind {
    ScoreNet,
    ScoreModel,
}

/// Whether a file says in its header that it is one of ours, and which.
fn of_ours(path: &Path) -> Result<Option<Kind>> {
    let shown = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(shown)?;
    let mut length = [0; 8];
    if file.read_exact(&mut length).is_err() {
        return Ok(None);
    }
    let length = u64::from_le_bytes(length);
    if length > LONGEST {
        return Ok(None);
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).with_context(shown)?;
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap_or_default();
    let Some(entries) = header["__metadata__"].as_object() else { return Ok(None) };
    if entries.contains_key("score-model") {
        return Ok(Some(Kind::ScoreModel));
    }
    // A damaged name does not make it somebody else's: the reader then says what is wrong.
    let damaged = |v: &serde_json::Value| v.as_str().is_some_and(|v| v.starts_with("{\"format\":"));
    let own = entries.contains_key("score-nets") || entries.values().any(damaged);
    Ok(own.then_some(Kind::ScoreNet))
}
