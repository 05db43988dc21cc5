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
    #[serde(with = "crate::number")]
    pub(crate) loss: f64,
    /// Denoising loss.
    #[serde(with = "crate::number")]
    pub(crate) dsm: f64,
    /// Mean squared residual, where it is part of the loss.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::number")]
    pub(crate) residual: Option<f64>,
    /// Learning rate.
    #[serde(with = "crate::number")]
    pub(crate) lr: f64,
    /// Norm of the gradient before clipping.
    #[serde(with = "crate::number")]
    pub(crate) grad_norm: f64,
    /// Seconds of training so far.
    #[serde(with = "crate::number")]
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
    /// after the checkpoint that is now resumed from, are dropped, and so is a last line cut short.
    ///
    /// Hands back the seconds trained so far.
    pub(crate) fn open(path: &Path, network: &str, step: u64) -> Result<(Self, f64)> {
        let mut seconds = 0.0;
        if path.exists() {
            let (all, torn) = read(path)?;
            let (kept, dropped): (Vec<Line>, Vec<Line>) =
                all.into_iter().partition(|l| l.network != network || l.step <= step);
            seconds = kept.iter().rfind(|l| l.network == network).map_or(0.0, |l| l.seconds);
            // What is appended to a torn line would be damaged with it.
            if torn || !dropped.is_empty() {
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

/// Reads all lines; a last line cut short by a killed process or a full device is left out.
pub(crate) fn read_log(path: &Path) -> Result<Vec<Line>> {
    Ok(read(path)?.0)
}

/// All whole lines, and whether a torn one follows.
fn read(path: &Path) -> Result<(Vec<Line>, bool)> {
    let shown = path.display();
    let bytes = fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |k| k + 1);
    let lines = bytes[..whole].split_inclusive(|b| *b == b'\n').enumerate().map(|(k, line)| {
        serde_json::from_slice(line).with_context(|| {
            format!("{shown}: line {} is damaged (the file may be deleted: only the curves of the losses are lost)", k + 1)
        })
    });
    Ok((lines.collect::<Result<_>>()?, whole < bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(network: &str, step: u64) -> Line {
        let (loss, dsm) = (1.0 / 3.0 + step as f64, f64::MIN_POSITIVE);
        let network = network.into();
        Line { network, step, loss, dsm, residual: None, lr: 0.1, grad_norm: 2.5, seconds: 0.25 }
    }

    /// Cut after every byte, a log goes on as if the torn line had not been begun.
    #[test]
    fn a_torn_last_line_is_dropped_wherever_it_is_torn() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        let mut whole = Vec::new();
        for line in [line("a", 1), line("a", 2), line("\u{fc}", 1)] {
            whole.extend(serde_json::to_vec(&line).expect("json"));
            whole.push(b'\n');
        }
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).expect("written");
            let kept = whole[..cut].iter().filter(|b| **b == b'\n').count();
            assert_eq!(read_log(&path).expect("read").len(), kept, "cut at {cut}");
            // Of another network: nothing is dropped but what is torn.
            let (mut log, _) = Log::open(&path, "b", 7).expect("opened");
            log.push(&line("b", 8)).expect("appended");
            let lines = read_log(&path).expect("read");
            assert_eq!(lines.len(), kept + 1, "cut at {cut}");
            assert_eq!(lines.last(), Some(&line("b", 8)));
        }
    }

    #[test]
    fn lines_after_the_checkpoint_are_dropped_and_damage_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        let (mut log, _) = Log::open(&path, "a", 0).expect("opened");
        for step in 1..=4 {
            log.push(&line("a", step)).expect("appended");
        }
        let (_, seconds) = Log::open(&path, "a", 2).expect("opened");
        assert_eq!(seconds, 0.25);
        assert_eq!(read_log(&path).expect("read"), [line("a", 1), line("a", 2)]);
        fs::write(&path, "{}\n").expect("written");
        let error = format!("{:#}", Log::open(&path, "a", 2).unwrap_err());
        assert!(error.contains("line 1 is damaged") && !error.contains('\n'), "{error}");
    }
}
