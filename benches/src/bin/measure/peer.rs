//! A peer: other software in a process of its own that waits for one line and answers with one.
//!
//! ```text
//! check dsm     {"loss": 1.25, "file": "..."}     loss; the gradient is in the file
//! check sample  {"file": "..."}                   where the flow ODE took the given starts
//! time dsm      {"seconds": 0.05, "variant": "...", "others": {"...": 0.07}}
//! ```
//!
//! Its first line says what it is, `{"versions": {...}, "threads": 2}`; a line `{"error": "..."}` ends
//! it. It leaves when its standard input closes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::side::{Item, Named, Side};

/// What to start, and what to call it.
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) script: &'static str,
    pub(crate) flags: &'static [&'static str],
    /// Whether a comparison goes on without it.
    pub(crate) optional: bool,
}

/// A running peer.
pub(crate) struct Peer<I = Item> {
    name: &'static str,
    folder: PathBuf,
    child: Child,
    requests: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    /// What it says it is made of.
    pub(crate) hello: Hello,
    /// The fastest of several ways to do an item, and what the others took, in seconds.
    pub(crate) variants: BTreeMap<I, Variants>,
}

/// A peer's first line.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Hello {
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) threads: u16,
}

/// The way that was chosen, and the seconds of those that were not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Variants {
    pub(crate) chosen: String,
    pub(crate) others: BTreeMap<String, f64>,
}

/// The result of an item: a loss where it has one, and the values.
pub(crate) struct Found {
    pub(crate) loss: Option<f64>,
    /// Memory that a process of its own needed for the item above what it held before, in KiB.
    pub(crate) memory_kib: Option<u64>,
    pub(crate) values: Vec<f32>,
}

#[derive(Debug, Deserialize)]
struct Checked {
    loss: Option<f64>,
    memory_kib: Option<u64>,
    file: String,
}

#[derive(Debug, Deserialize)]
struct Timed {
    seconds: f64,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    others: BTreeMap<String, f64>,
}

impl<I: Named> Peer<I> {
    /// Starts `python SCRIPT FOLDER FLAGS` and waits until it is ready.
    pub(crate) fn start(python: &OsStr, spec: &Spec, folder: &Path, threads: u16) -> Result<Self> {
        let mut command = Command::new(python);
        command.arg(folder.join(spec.script)).arg(folder).args(spec.flags);
        command.args(["--threads", &threads.to_string()]);
        // OpenMP and MKL are PyTorch's, the others XLA's. Threads that wait must sleep: a spinning
        // peer would take the processor from the next.
        for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "PJRT_NPROC", "NPROC"] {
            command.env(name, threads.to_string());
        }
        command.env("OMP_WAIT_POLICY", "PASSIVE").env("KMP_BLOCKTIME", "0");
        command.env("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=true").env("JAX_PLATFORMS", "cpu");
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let answers = child.stdout.take().context("a peer without standard output")?;
        let requests = child.stdin.take();
        let mut peer = Self {
            name: spec.name,
            folder: folder.to_owned(),
            child,
            requests,
            answers: BufReader::new(answers).lines(),
            hello: Hello::default(),
            variants: BTreeMap::new(),
        };
        peer.hello = peer.answer().with_context(|| spec.name)?;
        let found = peer.hello.threads;
        ensure!(found == threads, "{}: {found} threads, not {threads}", spec.name);
        Ok(peer)
    }

    /// What the peer computes for an item.
    pub(crate) fn check(&mut self, item: I) -> Result<Found> {
        let Checked { loss, memory_kib, file } = self.ask("check", item)?;
        Ok(Found {
            loss,
            memory_kib,
            values: crate::exchange::read_floats(&self.folder.join(file))?,
        })
    }

    fn ask<T: DeserializeOwned>(&mut self, word: &str, item: I) -> Result<T> {
        let requests = self.requests.as_mut().context("the peer was told to leave")?;
        writeln!(requests, "{word} {}", item.name())
            .and_then(|()| requests.flush())
            .context("the peer is gone")?;
        self.answer()
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = self.answers.next().context("the peer ended without an answer")?;
        parse(&line.context("cannot read the peer's answer")?)
    }
}

impl<I: Named> Side<I> for Peer<I> {
    fn name(&self) -> &str {
        self.name
    }

    fn time(&mut self, item: I) -> Result<f64> {
        let Timed { seconds, variant, others } = self.ask("time", item)?;
        if !variant.is_empty() {
            self.variants.insert(item, Variants { chosen: variant, others });
        }
        Ok(seconds)
    }
}

impl<I> Drop for Peer<I> {
    fn drop(&mut self) {
        // It may be in the middle of something long: nobody waits for that any more.
        self.requests = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer, or the error that the peer reports instead.
fn parse<T: DeserializeOwned>(line: &str) -> Result<T> {
    let value: serde_json::Value =
        serde_json::from_str(line).with_context(|| format!("not an answer: `{line}`"))?;
    if let Some(error) = value["error"].as_str() {
        bail!("{error}");
    }
    serde_json::from_value(value).with_context(|| format!("not the answer asked for: `{line}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let timed: Timed = parse(r#"{"seconds": 0.5}"#).expect("a plain answer");
        assert_eq!((timed.seconds, timed.variant.as_str()), (0.5, ""));
        let timed: Timed = parse(r#"{"seconds": 2, "variant": "whole", "others": {"blocks": 3}}"#)
            .expect("an answer with variants");
        assert_eq!((timed.variant.as_str(), timed.others["blocks"]), ("whole", 3.0));
        let checked: Checked = parse(r#"{"file": "a.bin"}"#).expect("a result without a loss");
        assert_eq!((checked.loss, checked.file.as_str()), (None, "a.bin"));
    }

    #[test]
    fn whatever_else_is_an_error_of_one_line() {
        let cases = [
            (r#"{"error": "ModuleNotFoundError: torch"}"#, "ModuleNotFoundError: torch"),
            ("Traceback", "not an answer: `Traceback`"),
            (r#"{"loss": 1}"#, r#"not the answer asked for: `{"loss": 1}`"#),
        ];
        for (line, expected) in cases {
            let error = parse::<Timed>(line).expect_err("no answer").to_string();
            assert_eq!(error, expected);
        }
    }
}
