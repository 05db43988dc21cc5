//! `solvers`: error against evaluations and against time for every method of the registry.

mod measure;
mod page;

use std::path::Path;

use ::solvers::Method;
use anyhow::{Context as _, Result};
use metrics::{Metric, NoiseFloor};
use report::Sheet;
use sde_core::{Sde, TimeGrid};
use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::distance::{Later, Sizes, Window};
use crate::named::Named;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Solvers;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    problems: Vec<Problem>,
    grids: Vec<Named<TimeGrid>>,
    budgets: Vec<u64>,
    tolerances: Vec<f64>,
    particles: usize,
    repeats: usize,
    noise: Noise,
    window: Window,
}

/// A target under a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Problem {
    target: Named<Target>,
    sde: Named<dyn Sde>,
    #[serde(with = "crate::number")]
    t_end: f64,
}

/// How samplers with noise are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Noise {
    eta: f64,
    n: usize,
    truth: usize,
    floors: usize,
}

/// A method at one budget or tolerance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Point {
    /// Evaluations of the score for a particle (a mean where every particle has its own steps).
    #[serde(with = "crate::number")]
    nfe: f64,
    /// RMS distance to the flow's solution, or squared W2 to the truth.
    #[serde(with = "crate::number")]
    error: f64,
    /// Of the error, over the particles.
    #[serde(with = "crate::number")]
    standard_error: f64,
    /// Microseconds for a particle, on one thread.
    #[serde(with = "crate::number")]
    micros: f64,
    /// The grid that was best, or the tolerance.
    grid: String,
    /// The budget it belongs to; 0 for a tolerance.
    budget: u64,
}

/// A method on one problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Curve {
    method: String,
    /// Whether its steps are its own.
    adaptive: bool,
    points: Vec<Point>,
    /// Why there is nothing at some budget, the first reason.
    refused: Option<String>,
}

/// All methods on one problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Found {
    target: String,
    sde: String,
    ode: Vec<Curve>,
    noise: Vec<Curve>,
    /// Squared W2 of samples of the truth; without values where the truth is not in the window.
    floor: NoiseFloor,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    problems: Vec<Found>,
}

impl Experiment for Solvers {
    const NAME: &'static str = "solvers";
    const ABOUT: &'static str =
        "work and precision of every method on closed-form targets, the best for each budget named";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("solvers");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let Config { particles, repeats, .. } = *config;
        checks::all_at_least(&[
            ("problems", config.problems.len(), 1),
            ("grids", config.grids.len(), 1),
            ("budgets", config.budgets.len(), 1),
            ("particles", particles, 1),
            ("repeats", repeats, 1),
        ])?;
        let Noise { eta, n, truth, floors } = config.noise;
        checks::within("noise.eta", eta, 1e-9..=1e6)?;
        Sizes { n, truth, floors }.check("noise.")?;
        config.window.check()?;
        checks::all_within("tolerances", &config.tolerances, checks::TOLERANCES)?;
        // Starts, solutions as rows and text.
        checks::memory(&[("particles", particles)], 300)?;
        let budget = config.budgets.iter().copied().max().unwrap_or(0);
        let budget = usize::try_from(budget).unwrap_or(usize::MAX);
        checks::memory(&[("budgets", budget)], 32)?;
        let once =
            checks::time(&[("budgets", budget), ("particles", particles), ("repeats", repeats)])?
                + checks::time(&[("budgets", budget), ("noise.n", n)])?;
        for p in &config.problems {
            p.target.in_dimensions("problems.target", 2)?;
            let sde = &*p.sde;
            checks::below_horizon("problems.t-end", sde, p.t_end)?;
            for grid in &config.grids {
                // What a grid does not have for some number of steps is left out of the tables.
                let fits = |steps: usize| grid.times(sde, steps, sde.horizon(), p.t_end);
                let mut found = fits(budget);
                for budget in &config.budgets {
                    found = found.or_else(|_| fits(*budget as usize));
                }
                found.with_context(|| format!("grids: {}", grid.name()))?;
            }
        }
        let curves = config.problems.len() * config.grids.len() * config.budgets.len();
        Ok(once * (curves * Method::ALL.len()) as f64)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let mut problems = Vec::new();
        for (k, problem) in config.problems.iter().enumerate() {
            let bench = measure::Bench::new(config, problem, k as u64)?;
            let exact = workspace.numbers(&format!("{k}-exact"), || bench.exact())?;
            let exact = crate::model::matrix(&exact, 2)?;
            let (mut ode, mut noise) = (Vec::new(), Vec::new());
            for method in Method::ALL {
                let name = method.name();
                ode.push(
                    workspace.part(&format!("{k}-ode-{name}"), || bench.ode(*method, &exact))?,
                );
                if method.adaptive() && !config.tolerances.is_empty() {
                    let part = format!("{k}-adaptive-{name}");
                    ode.push(workspace.part(&part, || bench.adaptive(*method, &exact))?);
                }
            }
            let truth = Later::new(|| bench.truth());
            let floor = workspace.part(&format!("{k}-floor"), || Ok(truth.get()?.floor.clone()))?;
            for method in Method::ALL.iter().filter(|m| m.stochastic()) {
                let part = format!("{k}-noise-{}", method.name());
                noise.push(workspace.part(&part, || bench.noise(*method, truth.get()?))?);
            }
            let (target, sde) = (problem.target.to_string(), problem.sde.to_string());
            problems.push(Found { target, sde, ode, noise, floor });
        }
        Ok(Results { problems })
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let methods = Method::ALL.iter().map(|m| m.reference());
        let sdes = config.problems.iter().map(|p| citations::sde(&*p.sde));
        methods.chain(sdes).chain([Metric::W2.info().reference]).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        Ok(page::page(config, results))
    }
}
