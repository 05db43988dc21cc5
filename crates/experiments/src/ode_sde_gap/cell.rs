//! One cell of the experiment: a data set and a weight of the residual.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use sde_core::{Key, analytic::DataSet};

use super::config::Config;
use crate::named::Named;

/// A data set and a weight: one network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) data: DataSet,
    pub(crate) w_r: f64,
    /// Whether it is trained by the recipe that the run's own is held against.
    pub(crate) contrast: bool,
}

/// All cells of a configuration that have a network: every pair, or those with a given checkpoint.
pub(super) fn cells(config: &Config) -> Result<Vec<Cell>> {
    fn pairs(sets: &[Named<DataSet>], weights: &[f64]) -> Vec<Cell> {
        sets.iter().flat_map(|set| weights.iter().map(|w| Cell::new(**set, *w))).collect()
    }
    let mut cells = pairs(&config.data_sets, &config.weights);
    cells.retain(|cell| config.models.is_none() || cell.given(config).is_some());
    if let Some(c) = &config.contrast {
        let others = pairs(&c.data_sets, &c.weights).into_iter();
        cells.extend(others.map(|cell| Cell { contrast: true, ..cell }));
    }
    ensure!(
        !cells.is_empty(),
        "{} has no checkpoint to evaluate",
        config.models.as_deref().unwrap_or("the run")
    );
    Ok(cells)
}

impl Cell {
    pub(crate) fn new(data: DataSet, w_r: f64) -> Self {
        Self { data, w_r, contrast: false }
    }

    /// The name of its files, `blob_w0.1`, or `contrast-blob_w0.1`.
    pub(super) fn name(&self) -> String {
        let recipe = if self.contrast { "contrast-" } else { "" };
        format!("{recipe}{}_w{:?}", self.data.name(), self.w_r)
    }

    /// The configuration with the network and the training of this cell.
    pub(super) fn config<'a>(&self, config: &'a Config) -> Cow<'a, Config> {
        match config.contrast() {
            Some(contrast) if self.contrast => Cow::Owned(contrast),
            _ => Cow::Borrowed(config),
        }
    }

    /// The given checkpoint.
    pub(super) fn given(&self, config: &Config) -> Option<PathBuf> {
        self.find_in(Path::new(config.models.as_deref()?))
    }

    /// Its checkpoint in a folder, however the weight is written there (`w1`, `w1.0`, `w1e0`).
    pub(super) fn find_in(&self, dir: &Path) -> Option<PathBuf> {
        let exact = dir.join(format!("{}.safetensors", self.name()));
        if exact.is_file() {
            return Some(exact);
        }
        let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
            .ok()?
            .filter_map(|e| e.ok().map(|e| e.path()))
            .filter(|p| {
                let stem = p
                    .file_name()
                    .and_then(|n| n.to_str())
                    .and_then(|n| n.strip_suffix(".safetensors"));
                let parts = stem.and_then(|s| s.rsplit_once("_w"));
                parts.is_some_and(|(d, w)| d == self.data.name() && w.parse() == Ok(self.w_r))
            })
            .collect();
        found.sort();
        found.into_iter().next()
    }

    /// What kind of work its training is.
    pub(super) fn training(&self) -> &'static str {
        if self.w_r == 0.0 { "train" } else { "train with the residual" }
    }
}

/// What random numbers are for; the numbers of one purpose never meet those of another.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(super) enum Purpose {
    /// Initial weights of a network.
    Weights,
    /// Everything inside a training.
    Training,
    /// Particles of the ODE.
    Ode,
    /// Particles of the SDE.
    Sde,
    /// The sample of the truth that everything is measured against.
    Truth,
    /// The second sample of the truth.
    SecondTruth,
    /// The held-out batch.
    HeldOut,
    /// Points at which the residual is averaged.
    Residual,
    /// Particles whose course is kept.
    Paths,
}

/// The key of a purpose and data set. Networks of one data set share all of them: their figures
/// differ by their weights alone, not by the luck of the draw.
pub(super) fn key(config: &Config, purpose: Purpose, data: DataSet) -> Key {
    let number = DataSet::ALL.iter().position(|d| *d == data).unwrap_or(DataSet::ALL.len());
    Key::root(config.seed).fold(purpose as u64).fold(number as u64)
}
