//! Runs an experiment in its folder, and writes its page.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use report::{Foot, Head, Sheet};
use toml::{Table, Value};

use super::experiment::Experiment;
use super::workspace::{Interrupted, Workspace};
use super::{End, Goal, Outcome, Progress, Record, RunArgs, RunFolder, Status, config, read_json};
use crate::signals::stop_flag;
use crate::{atomic, checks, shell};

/// Runs an experiment, or the rest of it.
///
/// # Errors
/// One line: a configuration that does not work, a folder that cannot be used, a computation that
/// fails. What was done stays in the folder, and the same command goes on from there.
pub(super) fn run<E: Experiment>(args: &RunArgs, goal: Goal) -> Result<Outcome> {
    let start = Instant::now();
    let resolved = config::resolve::<E>(args)?;
    let device = E::device(&resolved.config)?;
    let folder = RunFolder::open(&resolved.root, &resolved.text, args.resume)?;
    // Refuses a folder whose data or networks are not what they were, finished or not.
    let mut record = folder.record(E::NAME, &resolved.hash)?;
    let mut outcome = Outcome::new(folder.root(), &resolved.hash, &device);
    if folder.finished() {
        return completed::<E>(outcome, &resolved.config, start);
    }
    let before = record.seconds();
    record.begin(&device);
    record.write(&folder.path("record.json"))?;
    checks::announce(resolved.evaluations);
    let workspace = Workspace {
        folder,
        progress: Progress::new(before),
        stop: stop_flag(),
        hash: resolved.hash,
        start,
        before,
    };
    let done = work::<E>(&resolved.config, &workspace, &record, goal);
    workspace.progress.clear();
    let (status, end, error) = match &done {
        Ok(()) if goal == Goal::Trained => (Status::Trained, End::Trained, None),
        Ok(()) => (Status::Finished, End::Finished, None),
        Err(e) if e.is::<Interrupted>() => (Status::Interrupted, End::Interrupted, None),
        Err(e) => (Status::Interrupted, End::Failed, Some(format!("{e:#}"))),
    };
    record.end(end, start.elapsed().as_secs_f64(), error);
    let written = record.write(&workspace.path("record.json"));
    if end == End::Failed {
        done?;
    }
    written?;
    outcome.status = status;
    completed::<E>(outcome, &resolved.config, start)
}

fn work<E: Experiment>(
    config: &E::Config,
    workspace: &Workspace,
    record: &Record,
    goal: Goal,
) -> Result<()> {
    if let (Goal::Trained, Some(train)) = (goal, E::TRAIN) {
        return train(config, workspace);
    }
    let results = E::work(config, workspace)?;
    workspace.go_on()?;
    let text = serde_json::to_vec_pretty(&results)?;
    atomic::write(&workspace.path("results.json"), &text)?;
    E::verdict(&write_report::<E>(&workspace.folder, config, record)?)
}

/// Rebuilds plots and page from the files of a finished run.
///
/// # Errors
/// When the folder holds no finished run, or a file of it is damaged.
pub(super) fn report<E: Experiment>(dir: &Path) -> Result<Outcome> {
    let start = Instant::now();
    let folder = RunFolder::existing(dir)?;
    let (config, _) = config::of_folder::<E>(dir)?;
    let record = Record::read(&folder.path("record.json"))?;
    write_report::<E>(&folder, &config, &record)?;
    let mut outcome = Outcome::new(dir, &record.hash, record.device());
    outcome.status = Status::Finished;
    completed::<E>(outcome, &config, start)
}

/// Fills in what the folder holds.
fn completed<E: Experiment>(
    mut outcome: Outcome,
    config: &E::Config,
    start: Instant,
) -> Result<Outcome> {
    let existing = |name: &str| Some(outcome.dir.join(name)).filter(|p| p.is_file());
    if matches!(outcome.status, Status::Finished | Status::AlreadyFinished) {
        (outcome.report, outcome.results) = (existing("report.html"), existing("results.json"));
    }
    if outcome.status == Status::Interrupted {
        outcome.next = Some(shell::resume(&outcome.dir));
    }
    let dir = outcome.dir.clone();
    E::complete(config, &dir, &mut outcome)?;
    outcome.seconds = start.elapsed().as_secs_f64();
    Ok(outcome)
}

/// Figures, tables and page, from `results.json`, which is handed back.
fn write_report<E: Experiment>(
    folder: &RunFolder,
    config: &E::Config,
    record: &Record,
) -> Result<E::Results> {
    let path = folder.path("results.json");
    let root = folder.root().display();
    ensure!(path.is_file(), "{root} is not finished: there is no results.json");
    let results: E::Results = read_json(&path)?;
    let sheet = E::page(config, &results, folder.root())?;
    write_plots(folder, &sheet)?;
    let text = folder.config()?;
    let table: Table = text.parse()?;
    let preset = table.get("preset").and_then(Value::as_str).unwrap_or_default().to_owned();
    let seed = table.get("seed").and_then(Value::as_integer).unwrap_or_default();
    let command = if config::is_preset::<E>(config, &preset, seed)? {
        let seed = seed.to_string();
        shell::run_command(&[E::NAME, "--preset", &preset, "--seed", &seed])
    } else {
        shell::again(folder.root())
    };
    let mut facts = vec![("seed".to_string(), seed.to_string())];
    facts.extend(record.facts());
    facts.extend(E::facts(config, &results));
    let foot = Foot { repeats: REPEATS.into(), command, facts, config: text };
    let head = Head {
        window: format!("{} \u{b7} {preset} \u{b7} {}", E::NAME, record.hash),
        kicker: format!("{} \u{b7} {preset} \u{b7} seed {seed}", E::NAME),
        warning: (preset == "smoke").then(|| SMOKE.into()),
    };
    let html = sheet.html(&head, &foot);
    atomic::write(&folder.path("report.html"), html.0.as_bytes())?;
    Ok(results)
}

/// What the command at the foot of a page repeats.
const REPEATS: &str = "Every random number is a function of the seed, of what it is for and of the particle it belongs to: the command repeats these figures, times apart, on any number of threads of a processor with the same instruction set.";

/// What stands above the page of a smoke run.
const SMOKE: &str = "Preset smoke: every part has run, and no figure, sentence or comparison on this page means anything. Take the preset quick for figures.";

/// Every figure as SVG and PNG, every table as CSV.
fn write_plots(folder: &RunFolder, sheet: &Sheet) -> Result<()> {
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
