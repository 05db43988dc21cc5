//! `regularisers`: what each term that makes the samplers of one network agree does to all three distances, and the corrected
//! flow beside them. Distances are those of the laws, without a sample.

mod findings;
mod measure;
mod page;
mod train;

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use fp_residual::Regulariser;
use report::Sheet;
use score_nets::{Output, Schedule};
use sde_core::Key;
use sde_core::analytic::DataSet;
use serde::{Deserialize, Serialize};

use crate::distance::Window;
use crate::laws::{Between, Found};
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
    laws: Laws,
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
    /// Points of paths count `(t + T / 1000)^power`.
    power: f64,
}

/// How the laws of both samplers are computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Laws {
    /// Steps of the coarsest of three solutions of the SDE's equation.
    steps: usize,
    /// Times at which the gap of the scores is looked at.
    times: usize,
    /// Estimated error in total variation below which the ODE's density is not refined.
    tolerance: f64,
    /// Width of the brackets of W2, relative to their upper end, below which nothing more is tried.
    width: f64,
}

/// The gap of the scores at a time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Moment {
    #[serde(with = "crate::number")]
    t: f64,
    /// `E |grad log q - s|^2` under the SDE, `s` the score that drives the ODE; of a corrected flow what the correction leaves.
    gap: Found,
}

/// What lies between the laws of one network's samplers and the truth, and what it took to train.
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
    /// Seconds that the laws and their distances took.
    #[serde(with = "crate::number")]
    measuring: f64,
    /// Share of the points of paths that were too far out for the correction.
    #[serde(with = "crate::number")]
    left_out: f64,
    /// Probability outside of the tiles, of ODE and SDE.
    outside: [Found; 2],
    /// Nothing where too much of a law is outside.
    ode_truth: Option<Between>,
    sde_truth: Option<Between>,
    ode_sde: Option<Between>,
    moments: Vec<Moment>,
}

/// Everything that was computed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Results {
    runs: Vec<Run>,
}

/// What networks without a term are called, and those with a corrected flow.
const NONE: &str = "none";
const CORRECTED: &str = "corrected-flow";

impl Experiment for RegularisersStudy {
    const NAME: &'static str = "regularisers";
    const ABOUT: &'static str =
        "terms that make ODE and SDE of one network agree, and the corrected flow: all distances";
    const PRESETS: &'static [(&'static str, &'static str)] =
        presets!("regularisers": "smoke", "quick", "corrected", "full");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let Config { seeds, batch, points, correction, .. } = config;
        ensure!(!config.data_sets.is_empty(), "data-sets: none given");
        ensure!(config.steps > 0, "steps = 0: must be at least 1");
        ensure!(correction.steps > 0, "correction.steps = 0: must be at least 1");
        checks::all_at_least(&[
            ("seeds", *seeds, 2),
            ("batch", *batch, 1),
            ("points", *points, 32),
        ])?;
        checks::all_at_least(&[
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
        checks::within("correction.power", correction.power, -4.0..=4.0)?;
        let measured = config.laws.check(config.window)?;
        config.tiles().grid()?;
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
        let corrected = checks::time(&path)?;
        let kinds = 1 + config.terms.iter().map(|t| t.weights.len()).sum::<usize>();
        let cells = (config.data_sets.len() * seeds) as f64;
        Ok(cells * ((kinds + 1) as f64 * (trained + measured) + 6.0 * corrected))
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let mut results = Results::default();
        for set in &config.data_sets {
            let truth = config.truth(**set)?;
            for seed in 0..config.seeds {
                for (term, weight) in config.kinds() {
                    workspace.go_on()?;
                    let name = format!("{set}-{term}-{weight}-{seed}");
                    let cell = Cell { config, set, term, weight, seed };
                    results.runs.extend(workspace.part(&name, || cell.runs(&truth, workspace))?);
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
        let more = ["deveney2025", "song2021", "Chen et al. 2018, arXiv 1806.07366"];
        terms.chain(sets).chain(trained.into_iter().flatten()).chain(more).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        Ok(page::page(config, results))
    }
}

impl Laws {
    /// Checks every value; hands back the evaluations that the laws of a network take.
    fn check(&self, window: Window) -> Result<f64> {
        window.check()?;
        checks::all_at_least(&[
            ("window.nodes", window.nodes, 4),
            ("laws.steps", self.steps, 1),
            ("laws.times", self.times, 2),
        ])?;
        checks::within("laws.tolerance", self.tolerance, 1e-8..=0.5)?;
        checks::within("laws.width", self.width, 1e-6..=1.0)?;
        let tiles = ("window.nodes", window.nodes);
        // The finest of the first three resolutions, whose margin is two sevenths.
        let cells = checks::memory(&[tiles, tiles, ("cells", 60)], 24)?;
        checks::memory(&[("laws.times", self.times), tiles, tiles], 48)?;
        let steps = checks::time(&[("laws.steps", self.steps), ("window.nodes", cells)])?;
        Ok(4.0 * steps + cells as f64 * 200.0)
    }

    /// Times from the horizon down, even in `log(t + T / 100)` as the steps are.
    fn times(&self, horizon: f64) -> Vec<f64> {
        let last = (self.times - 1) as f64;
        let clock = |u: f64| (0.01 * horizon) * (101.0_f64.powf(u) - 1.0);
        (0..self.times).map(|k| clock(1.0 - k as f64 / last).min(horizon)).collect()
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
