//! `record.json`: which code ran where, when, and how it ended.

use std::path::Path;

use anyhow::{Context as _, Result};
use score_nets::fused::Isa;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{damaged, read_json};
use crate::atomic;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum End {
    /// It has not (or the process was killed).
    Running,
    /// ctrl-c.
    Interrupted,
    /// An error.
    Failed,
    /// All networks are trained, which was all that was asked for.
    Trained,
    /// Everything is done.
    Finished,
}

/// One stretch of work on a run: by which program, where, and how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Session {
    /// In UTC, `2025-01-31T12:00:00Z`.
    pub(crate) started: String,
    #[serde(with = "crate::number")]
    pub(crate) seconds: f64,
    pub(crate) ended: End,
    /// The error that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Git revision that the program was built from, `-dirty` when files differed from it.
    #[serde(default)]
    pub(crate) revision: String,
    /// blake3 of the Cargo.lock it was built with.
    #[serde(default)]
    pub(crate) lock_hash: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) profile: String,
    /// Where networks computed.
    #[serde(default)]
    pub(crate) device: String,
    /// The machine's name and kind.
    #[serde(default)]
    pub(crate) host: String,
    #[serde(default)]
    pub(crate) threads: usize,
    /// Instruction set of the hand-written kernels.
    #[serde(default)]
    pub(crate) isa: String,
}

/// The record of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Record {
    pub(crate) experiment: String,
    pub(crate) hash: String,
    pub(crate) status: End,
    pub(crate) sessions: Vec<Session>,
}

impl Record {
    /// The record of a run that begins.
    pub(crate) fn new(experiment: &str, hash: &str) -> Self {
        let (experiment, hash) = (experiment.into(), hash.into());
        Self { experiment, hash, status: End::Running, sessions: Vec::new() }
    }

    /// Reads a record.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut record: Value = read_json(path)?;
        // Up to version 0.1 the last session's build and machine stood beside the list of sessions.
        let shared = ["revision", "lock-hash", "version", "device", "threads"];
        let shared: Vec<(&str, Value)> =
            shared.iter().filter_map(|key| Some((*key, record.get(key)?.clone()))).collect();
        let isa = record.get("isa").and_then(|isa| isa.get(0)).cloned();
        let sessions = record.get_mut("sessions").and_then(Value::as_array_mut);
        for session in sessions.into_iter().flatten().filter_map(Value::as_object_mut) {
            for (key, value) in shared.iter().cloned().chain(isa.clone().map(|isa| ("isa", isa))) {
                session.entry(key).or_insert(value);
            }
        }
        serde_json::from_value(record).with_context(|| damaged(path))
    }

    /// Writes it.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        Ok(atomic::write(path, &serde_json::to_vec_pretty(self)?)?)
    }

    /// Seconds of all sessions.
    pub(crate) fn seconds(&self) -> f64 {
        self.sessions.iter().map(|s| s.seconds).sum()
    }

    /// Where the last session computed.
    pub(crate) fn device(&self) -> &str {
        self.sessions.last().map_or("cpu", |s| &s.device)
    }

    /// Begins a session on a device.
    pub(crate) fn begin(&mut self, device: &str) {
        self.status = End::Running;
        let name = gethostname::gethostname().to_string_lossy().into_owned();
        self.sessions.push(Session {
            started: jiff::Timestamp::now().strftime("%FT%TZ").to_string(),
            seconds: 0.0,
            ended: End::Running,
            error: None,
            revision: env!("SOURCE_REVISION").into(),
            lock_hash: blake3::hash(include_bytes!("../../../../Cargo.lock")).to_hex().to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.into(),
            device: device.into(),
            host: format!("{name} ({} {})", std::env::consts::OS, std::env::consts::ARCH),
            threads: rayon::current_num_threads(),
            isa: Isa::detect().to_string(),
        });
    }

    /// Ends the session that is under way.
    pub(crate) fn end(&mut self, end: End, seconds: f64, error: Option<String>) {
        self.status = end;
        if let Some(session) = self.sessions.last_mut() {
            (session.ended, session.seconds, session.error) = (end, seconds, error);
        }
    }

    /// What a page says of it, by name. Where sessions differ, each value is said with its sessions.
    pub(crate) fn facts(&self) -> Vec<(String, String)> {
        let lock =
            |s: &Session| format!("Cargo.lock {}", s.lock_hash.get(..12).unwrap_or("unknown"));
        let machine = |s: &Session| {
            let kernels = if s.isa.is_empty() { "unknown" } else { &s.isa };
            format!("{} ({kernels} kernels), {} threads", s.device, s.threads)
        };
        let mut facts: Vec<(String, String)> = [
            ("configuration", self.hash.clone()),
            ("revision", self.by_session(&|s| s.revision.clone())),
            ("build", self.by_session(&|s| format!("{} ({})", s.version, s.profile))),
            ("dependencies", self.by_session(&lock)),
            ("machine", self.by_session(&machine)),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .to_vec();
        if let Some(first) = self.sessions.first() {
            facts.push(("started".into(), first.started.clone()));
        }
        if self.sessions.len() > 1 {
            facts.push(("sessions".into(), self.sessions.len().to_string()));
        }
        facts
    }

    fn by_session(&self, of: &dyn Fn(&Session) -> String) -> String {
        let mut found: Vec<(String, Vec<String>)> = Vec::new();
        for (k, session) in self.sessions.iter().enumerate() {
            let (value, number) = (of(session), (k + 1).to_string());
            match found.iter_mut().find(|(v, _)| *v == value) {
                Some((_, numbers)) => numbers.push(number),
                None => found.push((value, vec![number])),
            }
        }
        if let [(value, _)] = &found[..] {
            return value.clone();
        }
        let each = found.iter().map(|(value, k)| format!("{value} in session {}", k.join(", ")));
        each.collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(revision: &str) -> Session {
        let mut record = Record::new("a", "b");
        record.begin("cpu");
        Session { revision: revision.into(), ..record.sessions.remove(0) }
    }

    /// Sessions of one build are one fact; of two, each is named with its sessions.
    #[test]
    fn sessions_of_different_revisions_are_told_apart() {
        let fact = |revisions: &[&str]| {
            let sessions = revisions.iter().map(|r| session(r)).collect();
            let facts = Record { sessions, ..Record::new("a", "b") }.facts();
            facts.into_iter().find(|(name, _)| name == "revision").expect("a revision").1
        };
        assert_eq!(fact(&["1", "1"]), "1");
        assert_eq!(fact(&["1", "2", "1"]), "1 in session 1, 3; 2 in session 2");
    }

    #[test]
    fn a_session_says_when_and_by_what() {
        let before = jiff::Timestamp::now().as_second();
        let session = session("r");
        let time: jiff::Timestamp = session.started.parse().expect("a time");
        assert!((before..=jiff::Timestamp::now().as_second()).contains(&time.as_second()));
        assert_eq!(session.lock_hash.len(), 64);
        assert!(session.host.contains(std::env::consts::ARCH) && !session.isa.is_empty());
        assert!(env!("SOURCE_REVISION") == "unknown" || env!("SOURCE_REVISION").len() >= 12);
    }

    /// Records of earlier versions have one build for all sessions.
    #[test]
    fn old_records_are_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("record.json");
        let old = r#"{"experiment": "e", "hash": "h", "status": "finished", "revision": "abc",
            "lock-hash": "def", "version": "0.1.0", "features": ["debug"], "device": "cuda:0",
            "threads": 2, "isa": ["avx512"], "nfe": [1, 2],
            "sessions": [{"started": "t", "seconds": 1.5, "ended": "finished"}]}"#;
        std::fs::write(&path, old).expect("written");
        let record = Record::read(&path).expect("read");
        let session = &record.sessions[0];
        assert_eq!((&*session.revision, &*session.isa, session.threads), ("abc", "avx512", 2));
        assert_eq!((record.device(), record.seconds()), ("cuda:0", 1.5));
    }
}
