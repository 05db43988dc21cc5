//! Runs a study in its folder, and writes its page.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use toml::{Table, Value};

use super::desk::{Desk, Interrupted};
use super::{Study, resolve};
use crate::runs::{End, Outcome, Progress, Record, RunArgs, RunFolder, Status, read_json};
use crate::signals::stop_flag;
use crate::{atomic, checks, shell};
use report::{Foot, Head, Sheet};

/// Runs a study, or the rest of it.
///
/// # Errors
/// One line. What was done stays in the folder, and the same command goes on from there.
pub(super) fn run<S: Study>(args: &RunArgs) -> Result<Outcome> {
    let start = Instant::now();
    let resolved = resolve::resolve::<S>(args)?;
    let folder = RunFolder::open(&resolved.root, &resolved.text, args.resume)?;
    let mut status = Status::AlreadyFinished;
    if !folder.finished() {
        let mut record = folder.record(S::NAME, &resolved.hash)?;
        record.begin("cpu");
        record.write(&folder.path("record.json"))?;
        checks::announce(S::check(&resolved.config)?);
        let desk = Desk { folder: &folder, progress: Progress::new(1, 0), stop: stop_flag() };
        let done = S::work(&resolved.config, &desk).and_then(|results| {
            desk.go_on()?;
            atomic::write(&folder.path("results.json"), &serde_json::to_vec_pretty(&results)?)?;
            write_report::<S>(&folder, &resolved.config, &record)
        });
        desk.progress.clear();
        let (end, error) = match &done {
            Ok(()) => (End::Finished, None),
            Err(e) if e.is::<Interrupted>() => (End::Interrupted, None),
            Err(e) => (End::Failed, Some(format!("{e:#}"))),
        };
        record.end(end, start.elapsed().as_secs_f64(), error);
        let written = record.write(&folder.path("record.json"));
        match done {
            Err(e) if !e.is::<Interrupted>() => return Err(e),
            _ => written?,
        }
        status = if end == End::Finished { Status::Finished } else { Status::Interrupted };
    }
    Ok(outcome(&folder, status, resolved.hash, start))
}

/// Rebuilds plots and page from the files of a finished run.
pub(super) fn report<S: Study>(dir: &Path) -> Result<Outcome> {
    let start = Instant::now();
    let folder = RunFolder::existing(dir)?;
    let text = folder.config()?;
    let config =
        resolve::read::<S>(&text).with_context(|| format!("{}/config.toml", dir.display()))?;
    let record = Record::read(&folder.path("record.json"))?;
    write_report::<S>(&folder, &config, &record)?;
    let hash = record.hash;
    Ok(outcome(&folder, Status::Finished, hash, start))
}

fn outcome(folder: &RunFolder, status: Status, hash: String, start: Instant) -> Outcome {
    let existing = |name: &str| {
        Some(folder.path(name)).filter(|p| status != Status::Interrupted && p.is_file())
    };
    let dir = folder.root().to_path_buf();
    let next = (status == Status::Interrupted).then(|| shell::resume(&dir));
    Outcome {
        status,
        report: existing("report.html"),
        results: existing("results.json"),
        hash,
        device: "cpu".into(),
        seconds: start.elapsed().as_secs_f64(),
        checkpoints: Vec::new(),
        failed: Vec::new(),
        next,
        dir,
    }
}

/// Every figure as SVG and PNG, every table as CSV.
pub(crate) fn write_plots(folder: &RunFolder, sheet: &Sheet) -> Result<()> {
    for figure in sheet.figures() {
        let file = |ending: &str| folder.path(&format!("plots/{}.{ending}", figure.name));
        atomic::write(&file("svg"), figure.svg.0.as_bytes())?;
        atomic::write(&file("png"), &figure.png()?)?;
    }
    for table in sheet.tables() {
        let file = folder.path(&format!("plots/{}.csv", table.name));
        atomic::write(&file, table.csv().as_bytes())?;
    }
    Ok(())
}

/// What the command at the foot of a page repeats.
pub(crate) const REPEATS: &str = "Every random number is a function of the seed, of what it is for and of the particle it belongs to: the command repeats these figures, times apart, on any number of threads.";

/// What stands above the title of every page.
pub(crate) fn head(experiment: &str, preset: &str, hash: &str, seed: u64) -> Head {
    let smoke = "Preset smoke: every part has run, and no figure, sentence or comparison on this page means anything. Take the preset quick for figures.";
    Head {
        window: format!("{experiment} \u{b7} {preset} \u{b7} {hash}"),
        kicker: format!("{experiment} \u{b7} {preset} \u{b7} seed {seed}"),
        warning: (preset == "smoke").then(|| smoke.into()),
    }
}

/// Figures, tables and page, from `results.json`.
fn write_report<S: Study>(folder: &RunFolder, config: &S::Config, record: &Record) -> Result<()> {
    let path = folder.path("results.json");
    let root = folder.root().display();
    ensure!(path.is_file(), "{root} is not finished: there is no results.json");
    let results: S::Results = read_json(&path)?;
    let sheet = S::sheet(config, &results)?;
    write_plots(folder, &sheet)?;
    let text = folder.config()?;
    let table: Table = text.parse()?;
    let word = |key: &str| table.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let seed = table.get("seed").and_then(Value::as_integer).unwrap_or_default() as u64;
    let preset = word("preset");
    let fact = |name: &str, value: String| (name.to_string(), value);
    let mut facts = vec![
        fact("seed", seed.to_string()),
        fact("configuration", record.hash.clone()),
        fact("revision", record.revision.clone()),
        fact("build", format!("{} ({})", record.version, record.features.join(", "))),
        fact("machine", record.machine()),
    ];
    if let Some(first) = record.sessions.first() {
        facts.push(fact("started", first.started.clone()));
    }
    let as_is = resolve::preset::<S>(&preset).ok().and_then(|t| t.parse::<Table>().ok());
    let same = as_is.is_some_and(|mut t| {
        t.insert("seed".into(), Value::Integer(seed as i64));
        t == table
    });
    let command = if same {
        let seed = seed.to_string();
        shell::command(["cargo", "xtask", "run", S::NAME, "--preset", &preset, "--seed", &seed])
    } else {
        shell::again(folder.root())
    };
    let foot = Foot { repeats: REPEATS.into(), command, facts, config: text };
    let html = sheet.html(&head(S::NAME, &preset, &record.hash, seed), &foot);
    atomic::write(&folder.path("report.html"), html.0.as_bytes())
}
