//! `densities`: the laws of ODE and SDE without a sample: how far they are from each other, from the truth and from what the
//! network itself says, with what is known of the error.

mod attribution;
mod bounds;
mod decomposition;
mod findings;
mod gap_findings;
mod gap_page;
mod given;
mod known;
mod laws;
mod means;
mod page;
mod response;
mod response_page;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use report::Sheet;
use sde_core::Sde;
use serde::{Deserialize, Serialize};

use bounds::Bounds;
use decomposition::{Decomposition, Sampled};
use response::Responses;

use super::networks;
use super::target::Target;
use crate::distance::Window;
use crate::laws::{Between, Found, Tiles};
use crate::named::Named;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Densities;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    sde: Named<dyn Sde>,
    target: Named<Target>,
    smoothing: f64,
    /// Largest estimated error in total variation of a density.
    tolerance: f64,
    /// Times at which the gap of the scores is looked at.
    profile: usize,
    /// Width of the brackets of W2, relative to their upper end, below which nothing more is tried.
    width: f64,
    /// Particles of both flows that bounds are from.
    particles: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    models: Option<String>,
    window: Window,
    sampled: Sampled,
}

/// The laws that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Law {
    /// Of the data.
    Truth,
    /// What the potential says itself.
    Own,
    /// Of the reverse SDE.
    Sde,
    /// Of the probability-flow ODE.
    Ode,
}

impl Law {
    const ALL: [Self; 4] = [Self::Truth, Self::Own, Self::Sde, Self::Ode];

    fn name(self) -> &'static str {
        match self {
            Self::Truth => "truth",
            Self::Own => "own",
            Self::Sde => "SDE",
            Self::Ode => "ODE",
        }
    }
}

/// A law.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Solved {
    law: Law,
    /// Its probability outside the window.
    outside: Found,
    /// Its estimated error in total variation.
    #[serde(with = "crate::number")]
    error: f64,
    #[serde(with = "crate::number")]
    seconds: f64,
}

/// Two laws, both conditioned on the window.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pair {
    of: [Law; 2],
    #[serde(flatten)]
    found: Between,
}

/// One model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    name: String,
    solved: Vec<Solved>,
    pairs: Vec<Pair>,
    /// Times, and at each `E |grad r|^2` under the SDE with its error.
    #[serde(with = "crate::number")]
    times: Vec<f64>,
    gap: Vec<Found>,
    /// `1/2 int g^2 E |grad r|^2 dt`, the relative entropy of the paths.
    energy: Found,
    bounds: Bounds,
    /// Times of the maps of where the gap is made.
    #[serde(with = "crate::number")]
    maps: Vec<f64>,
    /// What the residual does to the densities.
    responses: Responses,
    decomposition: Decomposition,
    #[serde(with = "crate::number")]
    seconds: f64,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    rows: Vec<Row>,
}

impl Experiment for Densities {
    const NAME: &'static str = "densities";
    const ABOUT: &'static str = "the laws of ODE and SDE without a sample: Fokker-Planck equations solved, distances with their errors";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("densities");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        config.window.check()?;
        config.target.in_dimensions("target", 2)?;
        checks::within("smoothing", config.smoothing, 0.0..=1e3)?;
        checks::within("tolerance", config.tolerance, 1e-8..=0.5)?;
        checks::within("width", config.width, 1e-6..=1.0)?;
        checks::at_least("profile", config.profile, 3)?;
        ensure!(config.profile % 2 == 1, "profile = {}: must be odd", config.profile);
        checks::at_least("window.nodes", config.window.nodes, 4)?;
        let tiles = ("window.nodes", 2 * config.window.nodes);
        // The finest of the first three resolutions, whose margin is two sevenths.
        let cells = checks::memory(&[tiles, tiles, ("cells", 100)], 24)?;
        checks::memory(&[("profile", config.profile), tiles, tiles], 48)?;
        config.tiles().grid()?;
        checks::at_least("particles", config.particles, 32)?;
        let profile = ("profile", config.profile);
        let followed = checks::time(&[("particles", config.particles), profile, profile])?;
        let drawn = config.sampled.check(&*config.sde, config.window.nodes)?;
        Ok(cells as f64 * 40.0 + followed + drawn)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let mut rows = Vec::new();
        for model in laws::models(config)? {
            rows.push(workspace.part(&model.name, || model.row(config, workspace))?);
        }
        Ok(Results { rows })
    }

    fn given(config: &Config) -> Result<Vec<(String, PathBuf)>> {
        networks::given(config.models.as_deref())
    }

    fn references(config: &Config) -> Vec<&'static str> {
        vec!["Deveney et al. 2025, arXiv 2311.15996", citations::sde(&*config.sde)]
    }

    fn page(config: &Config, results: &Results, folder: &Path) -> Result<Sheet> {
        page::page(config, results, folder)
    }
}

impl Config {
    /// Square tiles of half the distance of the window's nodes.
    fn tiles(&self) -> Tiles {
        Tiles::halves(self.window)
    }
}
