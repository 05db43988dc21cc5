//! The configuration.

use anyhow::{Result, ensure};
use data::Kind;
use score_nets::{Optimiser, TimeDistribution};
use sde_core::{Key, Sde};
use serde::{Deserialize, Serialize};

use crate::checks;
use crate::fit::{self, Measuring, Network, Sampling, Source};
use crate::named::Named;

/// Everything about a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    pub(super) experiment: String,
    pub(super) preset: String,
    pub(super) seed: u64,
    /// The process.
    pub(super) sde: Named<dyn Sde>,
    /// Weights of the residual; the first is 0.
    pub(super) weights: Vec<f64>,
    /// Networks of each weight, whose scatter gives the intervals.
    pub(super) seeds: usize,
    pub(super) data: Source,
    pub(super) network: Network,
    pub(super) training: Training,
    pub(super) residual: Residual,
    pub(super) sampling: Sampling,
    pub(super) measuring: Measuring,
    pub(super) density: Density,
    /// Times at which the residual is measured.
    pub(super) times: Vec<f64>,
}

/// How the network that all weights of a seed start from is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Training {
    pub(super) steps: u64,
    /// Rows a step.
    pub(super) batch: usize,
    /// The highest learning rate of a cosine.
    pub(super) lr: f64,
    pub(super) optimiser: Optimiser,
    /// Distribution of the times, those of the residual too.
    pub(super) time_distribution: TimeDistribution,
    pub(super) t_min: f64,
    /// Share of the rows whose class is withheld.
    pub(super) label_dropout: f64,
}

/// How it is trained on with each weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Residual {
    pub(super) steps: u64,
    /// The highest learning rate of a cosine of its own.
    pub(super) lr: f64,
    /// Rows of the residual a step.
    pub(super) points: usize,
}

/// The log-densities of both samplers at withheld rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Density {
    /// Withheld rows.
    pub(super) points: usize,
    /// Paths of the SDE from each.
    pub(super) paths: u64,
    /// Intervals of a path between two divergences, and steps in each.
    pub(super) nodes: usize,
    pub(super) substeps: usize,
    /// Steps of the ODE.
    pub(super) ode_steps: usize,
}

impl Config {
    /// The key of a network: weights of a seed share it, so that networks come in pairs.
    pub(super) fn key(&self, seed: usize, purpose: u64) -> Key {
        Key::root(self.seed).fold(0x1A6E).fold(seed as u64).fold(purpose)
    }

    /// The fit of the data that this is based on.
    pub(super) fn fit(&self) -> fit::Config {
        let t = &self.training;
        fit::Config {
            experiment: self.experiment.clone(),
            preset: self.preset.clone(),
            seed: self.seed,
            sde: self.sde.clone(),
            data: self.data.clone(),
            network: self.network.clone(),
            training: fit::Training {
                steps: Some(t.steps),
                minutes: 1.0,
                batch: t.batch,
                lr: t.lr,
                optimiser: t.optimiser,
                time_distribution: t.time_distribution,
                t_min: t.t_min,
                label_dropout: t.label_dropout,
                patience: 1.0,
            },
            sampling: self.sampling.clone(),
            measuring: self.measuring.clone(),
            classifier: None,
        }
    }

    /// Checks every value; hands back about how many evaluations of a network it takes.
    pub(super) fn check(&self) -> Result<f64> {
        let Self { weights, seeds, residual, density, measuring, .. } = self;
        let fit = self.fit();
        fit.check()?;
        ensure!(weights.len() > 1, "weights: 0 and at least one other are needed");
        ensure!(
            weights[0] == 0.0,
            "weights = {:?}, ..: the first must be 0, which the others are held against",
            weights[0]
        );
        checks::all_within("weights", &weights[1..], 1e-12..=1e12)?;
        let increasing = weights.windows(2).all(|w| w[0] < w[1]);
        ensure!(increasing, "weights = {weights:?}: must increase");
        ensure!(measuring.fill.is_none(), "measuring.fill: images are not filled in here");
        ensure!(residual.steps > 0, "residual.steps = 0: must be at least 1");
        checks::within("residual.lr", residual.lr, 1e-12..=1.0)?;
        let paths = usize::try_from(density.paths).unwrap_or(usize::MAX);
        checks::all_at_least(&[
            ("seeds", *seeds, 2),
            ("residual.points", residual.points, 1),
            ("density.points", density.points, 2),
            ("density.paths", paths, 2),
            ("density.nodes", density.nodes, 1),
            ("density.substeps", density.substeps, 1),
            ("density.ode-steps", density.ode_steps, 1),
        ])?;
        checks::memory(&[("residual.points", residual.points)], 100_000)?;
        let points = ("density.points", density.points);
        checks::memory(&[points, ("density.paths", paths)], 1000)?;
        ensure!(!self.times.is_empty(), "times: none given");
        checks::all_within("times", &self.times, self.training.t_min..=self.sde.horizon())?;
        let networks = checks::time(&[("weights", weights.len()), ("seeds", *seeds)])?;
        let steps = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let batch = ("training.batch", self.training.batch);
        let trained = checks::time(&[("training.steps", steps(self.training.steps)), batch])?;
        let tuned = checks::time(&[("residual.steps", steps(residual.steps)), batch])?;
        let along = [points, ("density.paths", paths), ("density.nodes", density.nodes)];
        let along = checks::time(&along)?;
        checks::time(&[("density.nodes", density.nodes), ("density.substeps", density.substeps)])?;
        checks::time(&[points, ("density.ode-steps", density.ode_steps)])?;
        Ok(networks * (3.0 * (trained + tuned) + 70.0 * along))
    }

    /// Refuses data that are no images, before there is a folder.
    pub(super) fn check_data(&self) -> Result<()> {
        let fit = self.fit();
        let data = fit.open()?;
        ensure!(
            matches!(data.kind(), Kind::Images { .. }),
            "data.path = {:?}: the data are no images",
            self.data.path
        );
        fit.parts(&data)?;
        Ok(())
    }
}
