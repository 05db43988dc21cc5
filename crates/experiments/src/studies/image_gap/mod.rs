//! `image-gap`: the distance of ODE and SDE of a U-Net on images, with and without the residual of the score.

mod config;
mod densities;
mod figures;
mod findings;
mod measure;
mod page;
mod train;

use std::path::{Path, PathBuf};

use anyhow::Result;
use report::{Sheet, short};
use serde::{Deserialize, Serialize};

use crate::fit;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
pub(crate) use config::Config;
use densities::{At, Densities, Energy, Finer};
use measure::{Doubled, Measured, Measuring};
use train::Setup;

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageGap;

/// Images of a sheet of samples.
const SHOWN: usize = 36;

/// One network: a weight and a seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cell {
    #[serde(with = "crate::number")]
    weight: f64,
    seed: usize,
    /// Of training with this weight.
    #[serde(with = "crate::number")]
    seconds: f64,
    /// The loss on withheld rows.
    #[serde(with = "crate::number")]
    loss: f64,
    distances: Vec<Measured>,
    densities: Densities,
    residual: Vec<Energy>,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    /// Rows for training and withheld.
    rows: [usize; 2],
    /// Coordinates of an image, and levels of each where there are some.
    dim: usize,
    levels: Option<u32>,
    parameters: usize,
    /// Training rows against withheld rows.
    copies: Vec<Measured>,
    cells: Vec<Cell>,
    /// Of the first seed: what twice the steps change.
    doubled: Vec<Doubled>,
    finer: Vec<Finer>,
}

/// What the files of a network are called.
fn name(weight: f64, seed: usize) -> String {
    format!("w{}-s{seed}", short(weight))
}

fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
    let setup = Setup::new(config, workspace)?;
    let measuring = Measuring::new(&setup)?;
    let copies = workspace.part("copies", || measuring.copies())?;
    let mut results = Results {
        rows: [setup.parts.training.len(), setup.parts.test.len()],
        dim: setup.prepared.transform.model_dim(),
        levels: densities::levels(setup.parts.test.kind()),
        copies,
        ..Results::default()
    };
    for seed in 0..config.seeds {
        for &weight in &config.weights {
            let cell = name(weight, seed);
            let (model, seconds) = setup.tuned(&cell, seed, weight)?;
            results.parameters = model.parameters().iter().map(|(_, p)| p.elem_count()).sum();
            let at = At { setup: &setup, model: &model, seed };
            let part = |what: &str| format!("{what}-{cell}");
            let densities: Densities = workspace.part(&part("densities"), || at.densities())?;
            results.cells.push(Cell {
                weight,
                seed,
                seconds,
                loss: workspace.part(&part("loss"), || setup.loss(&model, seed))?,
                distances: workspace
                    .part(&part("distances"), || measuring.distances(&model, seed))?,
                densities: densities.clone(),
                residual: workspace.part(&part("residual"), || at.energies())?,
            });
            if seed > 0 {
                continue;
            }
            // What is about the numerics alone: of one network, without the residual.
            if weight == config.weights[0] {
                let doubled = || measuring.doubled(&model, weight);
                results.doubled.push(workspace.part(&part("doubled"), doubled)?);
                let once = &densities.points;
                let finer = workspace.part(&part("finer"), || at.finer(weight, once))?;
                results.finer.push(finer);
            }
            let sheets = || measuring.sheets(&model, &cell, SHOWN);
            workspace.part(&part("sheets"), sheets)?;
        }
    }
    Ok(results)
}

impl Experiment for ImageGap {
    const NAME: &'static str = "image-gap";
    const ABOUT: &'static str =
        "ODE and SDE of a U-Net on images, with and without the residual of its score";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("image-gap");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let evaluations = config.check()?;
        config.check_data()?;
        Ok(evaluations)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        work(config, workspace)
    }

    fn page(config: &Config, results: &Results, folder: &Path) -> Result<Sheet> {
        page::page(config, results, folder)
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let own = [
            "lai2023",
            "daras2023",
            "deveney2025",
            "huang2021",
            "songdurkan2021",
            "hutchinson1990",
        ];
        fit::references(&config.fit()).into_iter().chain(own).collect()
    }

    fn given(config: &Config) -> Result<Vec<(String, PathBuf)>> {
        fit::given(&config.fit())
    }
}
