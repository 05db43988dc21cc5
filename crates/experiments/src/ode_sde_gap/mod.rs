//! The main experiment: what the ODE and the SDE of a learned score sample, and how far apart.
//!
//! For every data set and weight of the Fokker-Planck residual: train a potential network (or take
//! a given one), sample its probability-flow ODE and its reverse SDE, measure both against the
//! truth and against each other, and report. [`config`] is the whole of the input, [`results`] the
//! whole of the output.

mod cell;
mod collect;
pub mod config;
mod failures;
mod limits;
mod measuring;
pub mod official;
pub(crate) mod overrides;
pub mod report;
pub(crate) mod resolve;
pub mod results;
mod sampling;
pub(crate) mod training;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use score_nets::Backend;

pub(crate) use cell::Cell;
use cell::{Purpose, cells, key};
use config::Config;
use measuring::Truth;
use results::{Results, Row};
use sampling::{Job, Who};

use crate::runs::{
    End, Experiment, Outcome, Progress, Record, RunArgs, RunFolder, Status, read_json,
};
use crate::signals::stop_flag;
use crate::{atomic, checks, npy, shell};

/// Its entry in the registry.
pub(crate) const EXPERIMENT: Experiment = Experiment {
    name: config::NAME,
    about: "train scores with and without the Fokker-Planck residual, sample ODE and SDE, measure the gap",
    presets: &config::PRESETS,
    check: |args| resolve::resolve(args).map(|r| r.config.evaluations()),
    run: |args| run(args, Until::Report),
    report: rebuild_report,
};

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until the networks are trained.
    Trained,
    /// Until the report is written.
    Report,
}

/// Runs the experiment, or the rest of it.
///
/// # Errors
/// One line: a configuration that does not work, a folder that cannot be used, a computation that
/// fails. What was done stays in the folder, and the same command goes on from there.
pub fn run(args: &RunArgs, until: Until) -> Result<Outcome> {
    let start = Instant::now();
    let resolved = resolve::resolve(args)?;
    let backend = resolved.config.backend()?;
    let folder = RunFolder::open(&resolved.root, &resolved.text, args.resume)?;
    let mut outcome = Outcome {
        status: Status::AlreadyFinished,
        dir: folder.root().to_path_buf(),
        report: None,
        results: None,
        hash: resolved.hash.clone(),
        device: backend.device_name(),
        seconds: 0.0,
        checkpoints: Vec::new(),
        failed: Vec::new(),
        next: None,
    };
    if !folder.finished() {
        let mut record = folder.record(config::NAME, &resolved.hash)?;
        record.begin(&outcome.device);
        record.write(&folder.path("record.json"))?;
        checks::announce(resolved.config.evaluations());
        let stop = stop_flag();
        let mut session = Session {
            config: &resolved.config,
            hash: &resolved.hash,
            backend: &backend,
            folder: &folder,
            record,
            start,
            stop,
        };
        let ended = session.work(until);
        let (status, end, error) = match &ended {
            Ok(Some(())) if until == Until::Trained => (Status::Trained, End::Trained, None),
            Ok(Some(())) => (Status::Finished, End::Finished, None),
            Ok(None) => (Status::Interrupted, End::Interrupted, None),
            Err(error) => (Status::Interrupted, End::Failed, Some(format!("{error:#}"))),
        };
        session.record.end(end, start.elapsed().as_secs_f64(), error);
        let written = session.record.write(&folder.path("record.json"));
        ended?;
        written?;
        outcome.status = status;
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    complete(&mut outcome, &folder, &resolved.config)?;
    Ok(outcome)
}

/// Fills in what the folder holds.
fn complete(outcome: &mut Outcome, folder: &RunFolder, config: &Config) -> Result<()> {
    let existing = |name: &str| Some(folder.path(name)).filter(|p| p.is_file());
    if outcome.status != Status::Interrupted && outcome.status != Status::Trained {
        (outcome.report, outcome.results) = (existing("report.html"), existing("results.json"));
    }
    for cell in cells(config)? {
        let own = existing(&format!("checkpoints/{}.safetensors", cell.name()));
        outcome.checkpoints.extend(cell.given(config).or(own));
        outcome.failed.extend(failures::known(folder, &cell)?.map(|f| f.to_string()));
    }
    if outcome.status == Status::Interrupted {
        outcome.next = Some(shell::resume(&outcome.dir));
    }
    Ok(())
}

/// Rebuilds plots and page from the files of a finished run.
///
/// # Errors
/// When the folder holds no finished run, or a file of it is damaged.
pub fn rebuild_report(dir: &Path) -> Result<Outcome> {
    let start = Instant::now();
    let folder = RunFolder::existing(dir)?;
    let config = Config::from_toml(&folder.config()?)
        .with_context(|| format!("{}/config.toml", dir.display()))?;
    let path = folder.path("results.json");
    ensure!(path.is_file(), "{} is not finished: there is no results.json", dir.display());
    let results: Results = read_json(&path)?;
    let record = Record::read(&folder.path("record.json"))?;
    let (hash, device) = (results.hash.clone(), record.device.clone());
    write_report(&folder, &config, results, &record)?;
    let mut outcome = Outcome {
        status: Status::Finished,
        dir: dir.to_path_buf(),
        report: None,
        results: None,
        hash,
        device,
        seconds: start.elapsed().as_secs_f64(),
        checkpoints: Vec::new(),
        failed: Vec::new(),
        next: None,
    };
    complete(&mut outcome, &folder, &config)?;
    Ok(outcome)
}

fn write_report(
    folder: &RunFolder,
    config: &Config,
    results: Results,
    record: &Record,
) -> Result<PathBuf> {
    let sheet = report::page(config, &collect::collect(folder, config, results)?)?;
    crate::studies::runner::write_plots(folder, &sheet)?;
    let foot = ::report::Foot {
        repeats: crate::studies::runner::REPEATS.into(),
        command: collect::command(folder.root(), config),
        facts: collect::facts(config, record),
        config: config.to_toml()?,
    };
    let head =
        crate::studies::runner::head(config::NAME, &config.preset, &record.hash, config.seed);
    let path = folder.path("report.html");
    atomic::write(&path, sheet.html(&head, &foot).0.as_bytes())?;
    Ok(path)
}

/// One stretch of work on a run.
struct Session<'a> {
    config: &'a Config,
    hash: &'a str,
    backend: &'a Backend,
    folder: &'a RunFolder,
    record: Record,
    start: Instant,
    stop: &'static AtomicBool,
}

impl Session<'_> {
    /// Does what is left to do; `None` after ctrl-c.
    fn work(&mut self, until: Until) -> Result<Option<()>> {
        let cells = cells(self.config)?;
        let progress = self.progress(&cells, until);
        let done = self.cells(&cells, until, &progress);
        progress.clear();
        let Some(mut results) = done? else { return Ok(None) };
        let all = results.failed.len() == cells.len();
        let why: Vec<String> = results.failed.iter().map(ToString::to_string).collect();
        if until == Until::Report {
            results.total_seconds = self.record.seconds() + self.start.elapsed().as_secs_f64();
            let text = serde_json::to_vec_pretty(&results)?;
            atomic::write(&self.folder.path("results.json"), &text)?;
            write_report(self.folder, self.config, results, &self.record)?;
        }
        ensure!(!all, "no network gave figures: {}", why.join("; "));
        Ok(Some(()))
    }

    fn cells(
        &mut self,
        cells: &[Cell],
        until: Until,
        progress: &Progress,
    ) -> Result<Option<Results>> {
        let mut results = Results {
            experiment: config::NAME.into(),
            preset: self.config.preset.clone(),
            hash: self.hash.into(),
            seed: self.config.seed,
            grid: self.config.measuring.grid,
            half_width: self.config.measuring.half_width,
            truth: self.config.measuring.truth,
            ..Results::default()
        };
        let mut truths: BTreeMap<String, Truth> = BTreeMap::new();
        for cell in cells {
            if let Some(failed) = failures::known(self.folder, cell)? {
                results.failed.push(failed);
                continue;
            }
            match self.cell(cell, until, &mut results.floors, &mut truths, progress) {
                Ok(Some(row)) => results.rows.extend(row),
                Ok(None) => return Ok(None),
                Err(error) => {
                    let failed = failures::keep(self.folder, cell, error)?;
                    progress.say(&failed.to_string());
                    results.failed.push(failed);
                }
            }
        }
        Ok(Some(results))
    }

    /// Trains, samples and measures one network; no row where training is all that was asked for,
    /// nothing after ctrl-c.
    fn cell(
        &mut self,
        cell: &Cell,
        until: Until,
        floors: &mut Vec<results::Floor>,
        truths: &mut BTreeMap<String, Truth>,
        progress: &Progress,
    ) -> Result<Option<Option<Row>>> {
        let trained =
            training::network(self.config, self.backend, cell, self.folder, progress, self.stop)?;
        let Some(trained) = trained else { return Ok(None) };
        if until == Until::Trained {
            return Ok(Some(None));
        }
        if !truths.contains_key(&cell.dataset) {
            // No cell of the data set can be measured without its truth: not an error of this one.
            let truth = measuring::truth(self.config, &cell.dataset)
                .map_err(|e| anyhow::anyhow!("the truth of {}: {e:#}", cell.dataset))?;
            for (name, sample) in
                [("truth", &truth.first), ("truth2", &truth.second), ("truth3", &truth.third)]
            {
                let file = format!("samples/{}_{name}_counts.npy", cell.dataset);
                npy::write(&self.folder.path(&file), sample.counts().view())?;
            }
            floors.push(truth.floor.clone());
            truths.insert(cell.dataset.clone(), truth);
        }
        Ok(self.row(cell, &trained, &truths[&cell.dataset], progress)?.map(Some))
    }

    /// Samples and measures one network, or reads what an earlier session measured.
    fn row(
        &mut self,
        cell: &Cell,
        trained: &training::Trained,
        truth: &Truth,
        progress: &Progress,
    ) -> Result<Option<Row>> {
        let name = cell.name();
        let path = self.folder.path(&format!("samples/{name}.json"));
        if path.exists() {
            return read_json(&path).map(Some);
        }
        let job = |who: Who| Job {
            config: self.config,
            net: &trained.net,
            who,
            key: key(
                self.config,
                if who == Who::Ode { Purpose::Ode } else { Purpose::Sde },
                &cell.dataset,
            ),
            name: &name,
            folder: self.folder,
            progress,
            stop: self.stop,
        };
        let (ode_job, sde_job) = (job(Who::Ode), job(Who::Sde));
        let Some(ode) = ode_job.run()? else { return Ok(None) };
        let Some(sde) = sde_job.run()? else { return Ok(None) };
        self.record.nfe = [ode.nfe, sde.nfe];
        if self.config.sampling.paths > 0 {
            let starts = key(self.config, Purpose::Paths, &cell.dataset);
            let paths = sampling::both_paths(&ode_job, &sde_job, starts)?;
            collect::write_paths(self.folder, cell, &paths)?;
        }
        let start = Instant::now();
        let mut row = Row {
            dataset: cell.dataset.clone(),
            w_r: cell.w_r,
            train_steps: trained.steps,
            train_seconds: trained.seconds,
            sample_seconds: ode.seconds + sde.seconds,
            ..Row::default()
        };
        measuring::distances(truth, &ode, &sde, &mut row)?;
        measuring::network(self.config, cell, &trained.net, &mut row)?;
        row.measure_seconds = start.elapsed().as_secs_f64();
        measuring::check(&row)?;
        atomic::write(&path, &serde_json::to_vec_pretty(&row)?)?;
        progress.say(&format!(
            "{name}: squared W2 ODE-truth {:.5}, SDE-truth {:.5} (floor {:.5}), ODE-SDE {:.5} (floor {:.5})",
            row.w2.ode_truth.value,
            row.w2.sde_truth.value,
            truth.floor.w2.to_truth.mean(),
            row.w2.ode_sde.value,
            truth.floor.w2.pair.mean()
        ));
        Ok(Some(row))
    }

    /// Bars over all that is to do; what an earlier session finished counts as done.
    fn progress(&self, cells: &[Cell], until: Until) -> Progress {
        let (train, sample) = self.config.cost();
        let given = self.config.models.is_some();
        let (mut total, mut done) = (0, 0);
        for cell in cells {
            let name = cell.name();
            let exists = |what: String| self.folder.path(&what).is_file();
            if !given {
                total += train;
                done += if exists(format!("checkpoints/{name}.safetensors")) { train } else { 0 };
            }
            if until == Until::Report {
                total += sample;
                done += if exists(format!("samples/{name}.json")) { sample } else { 0 };
            }
        }
        Progress::new(total, done)
    }
}
