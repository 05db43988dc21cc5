//! `metrics.jsonl`: one line of losses every few steps.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::atomic;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Line {
    /// The network.
    pub(crate) network: String,
    /// Steps done.
    pub(crate) step: u64,
    /// Loss with all weights.
    pub(crate) loss: f64,
    /// Denoising loss.
    pub(crate) dsm: f64,
    /// Mean squared residual, where it is part of the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) residual: Option<f64>,
    /// Learning rate.
    pub(crate) lr: f64,
    /// Norm of the gradient before clipping.
    pub(crate) grad_norm: f64,
    /// Seconds of training so far.
    pub(crate) seconds: f64,
}

/// The file, open for appending.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens it for the training of `network` from `step` on: later lines of that network, written
    /// after the checkpoint that is now resumed from, are dropped.
    ///
    /// Hands back the seconds trained so far.
    pub(crate) fn open(path: &Path, network: &str, step: u64) -> Result<(Self, f64)> {
        let mut seconds = 0.0;
        if path.exists() {
            let all = read_log(path)?;
            let (kept, dropped): (Vec<Line>, Vec<Line>) =
                all.into_iter().partition(|l| l.network != network || l.step <= step);
            seconds = kept.iter().rfind(|l| l.network == network).map_or(0.0, |l| l.seconds);
            if !dropped.is_empty() {
                let mut text = Vec::new();
                for line in &kept {
                    serde_json::to_writer(&mut text, line)?;
                    text.push(b'\n');
                }
                atomic::write(path, &text)?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok((Self { path: path.to_path_buf(), file }, seconds))
    }

    /// Appends a line.
    pub(crate) fn push(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Reads all lines; a last line cut short by a killed process is left out.
pub(crate) fn read_log(path: &Path) -> Result<Vec<Line>> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let whole = if text.ends_with('\n') {
        &text[..]
    } else {
        &text[..text.rfind('\n').map_or(0, |k| k + 1)]
    };
    whole
        .lines()
        .enumerate()
        .map(|(k, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("{shown}: line {} is damaged", k + 1))
        })
        .collect()
}
