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
pub mod report;
pub mod results;
mod sampling;
pub(crate) mod training;
mod work;

use std::path::{Path, PathBuf};

use ::report::Sheet;
use anyhow::{Context as _, Result, ensure};
use sde_core::analytic::DataSet;

pub(crate) use cell::Cell;
use cell::cells;
use config::Config;
use report::page;
use results::Results;

use crate::runs::{Experiment, Outcome, Train, Workspace};

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub struct OdeSdeGap;

impl Experiment for OdeSdeGap {
    const NAME: &'static str = "ode-sde-gap";
    const ABOUT: &'static str = "train scores with and without the Fokker-Planck residual, sample ODE and SDE, measure the gap";
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("smoke", include_str!("../../configs/smoke.toml")),
        ("quick", include_str!("../../configs/quick.toml")),
        ("table", include_str!("../../configs/table.toml")),
        ("published", include_str!("../../configs/published.toml")),
        ("paper", include_str!("../../configs/paper.toml")),
    ];
    const RENAMED: &'static [(&'static str, &'static str)] = &[
        ("training.time-law", "training.time-distribution"),
        ("training.proposal.law", "training.proposal.distribution"),
        ("training.tails", "training.outlier-weighting"),
    ];
    const TRAIN: Option<Train<Config>> = Some(work::train);
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        limits::check(config)?;
        Ok(config.evaluations())
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        work::work(config, workspace)
    }

    fn page(config: &Config, results: &Results, folder: &Path) -> Result<Sheet> {
        page(config, &collect::collect(folder, config, results)?)
    }

    fn facts(config: &Config, results: &Results) -> Vec<(String, String)> {
        collect::facts(config, results)
    }

    fn references(config: &Config) -> Vec<&'static str> {
        config.references()
    }

    /// Given networks are sampled as published unless something else is asked for.
    fn default_preset(given: bool) -> &'static str {
        if given { "published" } else { "quick" }
    }

    fn device(config: &Config) -> Result<String> {
        Ok(config.backend()?.device_name())
    }

    /// Keeps the data sets and weights of which the folder has a checkpoint.
    fn narrow(config: &mut Config, models: &Path) -> Result<()> {
        config.contrast = None;
        let Config { data_sets, weights, .. } = config;
        let has = |set: &DataSet, w_r: f64| Cell::new(*set, w_r).find_in(models).is_some();
        data_sets.retain(|set| weights.iter().any(|w| has(set, *w)));
        weights.retain(|w| data_sets.iter().any(|set| has(set, *w)));
        ensure!(
            !data_sets.is_empty(),
            "--models {}: no checkpoint named <data set>_w<weight>.safetensors for the data sets and weights asked for",
            models.display()
        );
        Ok(())
    }

    fn given(config: &Config) -> Result<Vec<(String, PathBuf)>> {
        if config.models.is_none() {
            return Ok(Vec::new());
        }
        let given = |cell: &Cell| Ok((cell.name(), cell.given(config).context("a checkpoint")?));
        cells(config)?.iter().map(given).collect()
    }

    fn complete(config: &Config, folder: &Path, outcome: &mut Outcome) -> Result<()> {
        for cell in cells(config)? {
            let own = folder.join(format!("checkpoints/{}.safetensors", cell.name()));
            outcome.checkpoints.extend(cell.given(config).or(Some(own).filter(|p| p.is_file())));
            outcome.failed.extend(failures::known(folder, &cell)?.map(|f| f.to_string()));
        }
        Ok(())
    }

    fn verdict(results: &Results) -> Result<()> {
        let why: Vec<String> = results.failed.iter().map(ToString::to_string).collect();
        ensure!(
            why.is_empty() || !results.rows.is_empty(),
            "no network gave figures: {}",
            why.join("; ")
        );
        Ok(())
    }
}
