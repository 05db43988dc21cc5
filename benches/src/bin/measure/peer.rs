//! Other software: a Python process that answers every line with one line of JSON.
//!
//! ```text
//! check dsm     {"file": "..."}     an .npy file with the result, part after part, in f64
//! time dsm      {"seconds": 0.05, "variant": "...", "others": {"...": 0.07}}
//! ```
//!
//! Its first line says what it is, `{"versions": {...}, "threads": 2, "items": [...]}`; a line
//! `{"error": "..."}` ends it. It leaves when its standard input closes. Started with `--memory ITEM` it
//! prints the peak memory of one item instead.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::Options;
use crate::workload::{Spec, Worker};

/// The scripts are part of the binary, which then needs no path to the repository.
const SCRIPTS: [(&str, &str); 5] = [
    ("common.py", include_str!("../../../peers/common.py")),
    ("jax_peer.py", include_str!("../../../peers/jax_peer.py")),
    ("torch_peer.py", include_str!("../../../peers/torch_peer.py")),
    ("transport_peer.py", include_str!("../../../peers/transport_peer.py")),
    ("unet_peer.py", include_str!("../../../peers/unet_peer.py")),
];

/// Writes the scripts into the folder of the inputs.
pub(crate) fn write_scripts(folder: &Path) -> Result<()> {
    SCRIPTS.iter().try_for_each(|(name, text)| {
        std::fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))
    })
}

/// A running peer.
pub(crate) struct Peer {
    spec: &'static Spec,
    python: PathBuf,
    folder: PathBuf,
    child: Child,
    requests: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    hello: Hello,
    variants: BTreeMap<String, Timed>,
}

/// A peer's first line.
#[derive(Debug, Default, Deserialize)]
struct Hello {
    versions: BTreeMap<String, String>,
    threads: u16,
    items: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Checked {
    file: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Timed {
    seconds: f64,
    /// The fastest of several ways, where there are several, and the seconds of the others.
    #[serde(default)]
    variant: String,
    #[serde(default)]
    others: BTreeMap<String, f64>,
}

impl Peer {
    /// Starts the script and waits until it is ready.
    pub(crate) fn start(spec: &'static Spec, options: &Options, folder: &Path) -> Result<Self> {
        let mut child = command(spec, &options.python, folder, options.threads)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", options.python.display()))?;
        let answers = child.stdout.take().context("a peer without standard output")?;
        let mut peer = Self {
            spec,
            python: options.python.clone(),
            folder: folder.to_owned(),
            requests: child.stdin.take(),
            child,
            answers: BufReader::new(answers).lines(),
            hello: Hello::default(),
            variants: BTreeMap::new(),
        };
        peer.hello = peer.answer().context(spec.name)?;
        let threads = peer.hello.threads;
        ensure!(threads == options.threads, "{}: {threads} threads", spec.name);
        Ok(peer)
    }

    fn ask<T: DeserializeOwned>(&mut self, word: &str, item: &str) -> Result<T> {
        let requests = self.requests.as_mut().context("the peer was told to leave")?;
        writeln!(requests, "{word} {item}")
            .and_then(|()| requests.flush())
            .context("the peer is gone")?;
        self.answer()
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = self.answers.next().context("the peer ended without an answer")?;
        parse(&line.context("cannot read the peer's answer")?)
    }
}

fn command(spec: &Spec, python: &Path, folder: &Path, threads: u16) -> Command {
    let mut command = Command::new(python);
    command.arg(folder.join(spec.script)).arg(folder).args(spec.flags);
    command.args(["--threads", &threads.to_string()]);
    // OpenMP and MKL are PyTorch's, the others XLA's. Waiting threads must sleep: a spinning one would
    // take a core from the side whose turn it is.
    for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "PJRT_NPROC", "NPROC"] {
        command.env(name, threads.to_string());
    }
    command.env("OMP_WAIT_POLICY", "PASSIVE").env("KMP_BLOCKTIME", "0");
    command.env("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=true").env("JAX_PLATFORMS", "cpu");
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

impl Worker for Peer {
    fn does(&self, item: &str) -> bool {
        self.hello.items.iter().any(|known| known == item)
    }

    fn time(&mut self, item: &str) -> Result<f64> {
        let timed: Timed = self.ask("time", item)?;
        let seconds = timed.seconds;
        if !timed.variant.is_empty() {
            self.variants.insert(item.to_owned(), timed);
        }
        Ok(seconds)
    }

    fn result(&mut self, item: &str) -> Result<Vec<f64>> {
        let Checked { file } = self.ask("check", item)?;
        Ok(Tensor::read_npy(self.folder.join(file))?.to_vec1()?)
    }

    fn memory_kib(&mut self, item: &str) -> Result<Option<u64>> {
        let mut command = command(self.spec, &self.python, &self.folder, self.hello.threads);
        let done = command.args(["--memory", item]).output().context(self.spec.name)?;
        let text = String::from_utf8_lossy(&done.stdout);
        parse(text.lines().last().unwrap_or_default()).with_context(|| format!("memory of {item}"))
    }

    fn versions(&self) -> BTreeMap<String, String> {
        self.hello.versions.clone()
    }

    fn remarks(&self) -> Vec<String> {
        let words = |(item, timed): (&String, &Timed)| {
            let others = timed.others.iter().map(|(name, s)| format!(" ({name}: {s:.2} s)"));
            format!("{item} {}{}", timed.variant, others.collect::<String>())
        };
        self.variants.iter().map(words).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may be in the middle of something long that nobody waits for any more.
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
