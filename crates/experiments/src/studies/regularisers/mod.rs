//! `regularisers`: what each term that makes the samplers of one network agree does to all three distances, and the corrected
//! flow beside them.

mod measure;
mod page;
mod train;

use std::path::Path;

use ::solvers::Method;
use anyhow::{Context as _, Result, bail, ensure};
use fp_residual::Regulariser;
use metrics::{Estimate, Metric, NoiseFloor};
use report::Sheet;
use score_nets::{Output, Schedule};
use sde_core::Key;
use sde_core::analytic::DataSet;
use serde::{Deserialize, Serialize};

use crate::distance::{Distance, Sizes, Window};
use crate::named::Named;
use crate::ode_sde_gap::config::Config as Recipe;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegularisersStudy;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    data_sets: Vec<Named<DataSet>>,
    /// Networks of each kind, whose scatter gives the intervals.
    seeds: usize,
    hidden: Vec<usize>,
    steps: u64,
    batch: usize,
    /// Rows of a term a step.
    points: usize,
    terms: Vec<Term>,
    correction: Correction,
    sampling: Sampling,
    window: Window,
}

/// A term with the weights that it is tried with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Term {
    name: String,
    weights: Vec<f64>,
}

/// The corrected flow of the networks without a term.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Correction {
    paths: usize,
    grid: usize,
    hidden: Vec<usize>,
    steps: u64,
    batch: usize,
}

/// What is drawn from every network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Sampling {
    n: usize,
    steps: usize,
    truth: usize,
    floors: usize,
}

/// Squared W2 of one network's samplers, and what it took to train.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Run {
    data_set: String,
    /// `none`, a regulariser or `corrected-flow`.
    term: String,
    #[serde(with = "crate::number")]
    weight: f64,
    seed: usize,
    /// Of training; of the corrected flow also those of paths and correction.
    #[serde(with = "crate::number")]
    seconds: f64,
    /// Nothing where samples left the window.
    ode_truth: Option<Estimate>,
    sde_truth: Option<Estimate>,
    ode_sde: Option<Distance>,
}

/// The floor of a data set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Floor {
    data_set: String,
    truth: NoiseFloor,
}

/// Everything that was computed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    floors: Vec<Floor>,
    runs: Vec<Run>,
}

/// What networks without a term are called, and those with a corrected flow.
const NONE: &str = "none";
const CORRECTED: &str = "corrected-flow";

impl Experiment for RegularisersStudy {
    const NAME: &'static str = "regularisers";
    const ABOUT: &'static str =
        "terms that make ODE and SDE of one network agree, and the corrected flow: all distances";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("regularisers");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let Config { seeds, batch, points, sampling, correction, .. } = config;
        ensure!(!config.data_sets.is_empty(), "data-sets: none given");
        ensure!(config.steps > 0, "steps = 0: must be at least 1");
        ensure!(correction.steps > 0, "correction.steps = 0: must be at least 1");
        checks::all_at_least(&[
            ("seeds", *seeds, 2),
            ("batch", *batch, 1),
            ("points", *points, 32),
        ])?;
        checks::all_at_least(&[
            ("sampling.steps", sampling.steps, 1),
            ("correction.paths", correction.paths, 1),
            ("correction.grid", correction.grid, 1),
            ("correction.batch", correction.batch, 1),
        ])?;
        for term in &config.terms {
            let known = term.regulariser()?;
            let fits = known.info().output != Some(Output::Score);
            ensure!(
                fits,
                "terms: {} is for vector scores, these networks are potentials",
                term.name
            );
            checks::all_within("terms.weights", &term.weights, 1e-12..=1e12)?;
        }
        Sizes { n: sampling.n, truth: sampling.truth, floors: sampling.floors }
            .check("sampling.")?;
        config.window.check()?;
        let path = [("correction.paths", correction.paths), ("correction.grid", correction.grid)];
        checks::memory(&path, 64)?;
        checks::memory(&[("points", *points)], 20_000)?;
        checks::memory(&[("batch", *batch)], 2_000)?;
        checks::memory(&[("correction.batch", correction.batch)], 2_000)?;
        config.recipe(&config.data_sets[0], 0)?;
        let training = [
            ("steps", usize::try_from(config.steps).unwrap_or(usize::MAX)),
            ("batch and points", batch.saturating_add(points.saturating_mul(4))),
        ];
        let trained = checks::time(&training)?;
        checks::time(&[training[0], training[1], ("seeds", *seeds)])?;
        let drawn =
            checks::time(&[("sampling.n", sampling.n), ("sampling.steps", sampling.steps)])?;
        let corrected = checks::time(&path)?;
        let kinds = 1 + config.terms.iter().map(|t| t.weights.len()).sum::<usize>();
        let cells = (config.data_sets.len() * seeds) as f64;
        Ok(cells * (kinds as f64 * (trained + 4.0 * drawn) + 6.0 * corrected + 4.0 * drawn))
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let mut results = Results::default();
        for set in &config.data_sets {
            let held = measure::later(config, set);
            let truth =
                workspace.part(&format!("floor-{set}"), || Ok(held.get()?.floor.clone()))?;
            results.floors.push(Floor { data_set: set.given().into(), truth });
            for seed in 0..config.seeds {
                for (term, weight) in config.kinds() {
                    workspace.go_on()?;
                    let name = format!("{set}-{term}-{weight}-{seed}");
                    let cell = Cell { config, set, term, weight, seed };
                    results
                        .runs
                        .extend(workspace.part(&name, || cell.runs(held.get()?, workspace))?);
                }
            }
        }
        Ok(results)
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let terms =
            config.terms.iter().filter_map(|t| Some(t.regulariser().ok()?.info().reference));
        let terms = terms.filter(|text| text.contains("arXiv"));
        let sets = config.data_sets.iter().map(|set| set.reference());
        let recipe = config.data_sets.first().and_then(|set| config.recipe(set, 0).ok());
        let trained = recipe.map(|recipe| {
            let [loss, optimiser] = recipe.training_references();
            [loss, optimiser, citations::sde(&*recipe.sde)]
        });
        let more =
            ["deveney2025", "song2021", Method::Heun.reference(), Metric::W2.info().reference];
        terms.chain(sets).chain(trained.into_iter().flatten()).chain(more).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        Ok(page::page(config, results))
    }
}

impl Term {
    fn regulariser(&self) -> Result<Regulariser> {
        Regulariser::parse(&self.name).context("terms")
    }
}

impl Config {
    /// Terms with their weights, the network without one first.
    fn kinds(&self) -> impl Iterator<Item = (&str, f64)> {
        let terms = self.terms.iter();
        let terms = terms.flat_map(|t| t.weights.iter().map(|w| (t.name.as_str(), *w)));
        std::iter::once((NONE, 0.0)).chain(terms)
    }

    /// The recipe of the main experiment's preset `quick`, shortened.
    fn recipe(&self, set: &Named<DataSet>, seed: usize) -> Result<Recipe> {
        let mut recipe = Recipe::preset("quick")?;
        recipe.seed = Key::root(self.seed).fold(seed as u64).seed() >> 2;
        recipe.data_sets = vec![set.clone()];
        recipe.weights = vec![0.0];
        recipe.contrast = None;
        recipe.network.hidden = self.hidden.clone();
        recipe.training.batch = self.batch;
        let Schedule::Cosine { lr, lr_end, .. } = recipe.training.schedule else {
            bail!("the preset's schedule is no cosine")
        };
        let (steps, warmup) = (self.steps, self.steps.min(100) / 2);
        recipe.training.schedule = Schedule::Cosine { lr, lr_end, warmup, steps };
        crate::ode_sde_gap::OdeSdeGap::check(&recipe).context("training")?;
        Ok(recipe)
    }
}

/// One network: a data set, a term with a weight, a seed.
struct Cell<'a> {
    config: &'a Config,
    set: &'a Named<DataSet>,
    term: &'a str,
    weight: f64,
    seed: usize,
}
