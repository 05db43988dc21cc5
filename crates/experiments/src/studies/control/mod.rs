//! `control`: the methods for linear measurements against the exact posterior of Gaussian mixtures.

mod bias;
mod figures;
mod findings;
mod methods;
mod page;
mod particles;
mod problem;
mod terms;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use metrics::Metric;
use report::Sheet;
use sde_core::{Key, Sde, TimeGrid};
use serde::{Deserialize, Serialize};

use crate::named::Named;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};

use bias::{Distances, Row};
use methods::{Method, Repaint};
use particles::Systems;
use problem::{DIM, Problem};
use terms::Course;

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ControlStudy;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    sde: Named<dyn Sde>,
    grid: Named<TimeGrid>,
    problems: Vec<Named<Problem>>,
    budgets: Vec<usize>,
    n: usize,
    repeats: usize,
    zeta: f64,
    repaint: Repaint,
    guidance: Terms,
    smc: Smc,
}

/// Where guidance terms are compared.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Terms {
    points: usize,
    times: usize,
}

/// Systems of particles.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Smc {
    particles: Vec<usize>,
    systems: usize,
    steps: usize,
}

/// What was found on one problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Found {
    problem: String,
    seen: usize,
    noise: f64,
    #[serde(with = "crate::number")]
    log_evidence: f64,
    /// Of exact samples.
    floor: Distances,
    rows: Vec<Row>,
    /// Of guidance terms.
    #[serde(with = "crate::number")]
    times: Vec<f64>,
    courses: Vec<Course>,
    systems: Vec<Systems>,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    problems: Vec<Found>,
}

/// Purposes of keys.
const PROBLEM: u64 = 0;
const BIAS: u64 = 1;
const TERMS: u64 = 2;
const SMC: u64 = 3;

impl Experiment for ControlStudy {
    const NAME: &'static str = "control";
    const ABOUT: &'static str = "conditional sampling by guidance, projection and particles against exact posteriors: bias, cost, error of the guidance";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("control");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let (sde, horizon) = (&*config.sde, config.sde.horizon());
        let signal = sde.marginal(horizon).alpha;
        ensure!(
            signal > 0.0,
            "sde = {:?}: no signal is left at its horizon: particles need some",
            config.sde
        );
        let Config { n, repeats, guidance, repaint, ref smc, .. } = *config;
        for (key, empty) in [
            ("problems", config.problems.is_empty()),
            ("budgets", config.budgets.is_empty()),
            ("smc.particles", smc.particles.is_empty()),
        ] {
            ensure!(!empty, "{key}: none given");
        }
        checks::all_at_least(&[
            ("n", n, 2),
            ("repeats", repeats, 2),
            ("repaint.jump", repaint.jump, 1),
            ("repaint.passes", repaint.passes, 1),
            ("guidance.points", guidance.points, 2),
            ("guidance.times", guidance.times, 2),
            ("smc.systems", smc.systems, 2),
            ("smc.steps", smc.steps, 2),
        ])?;
        checks::within("zeta", config.zeta, 0.0..=1e3)?;
        checks::memory(
            &[("n", n), ("repeats", repeats), ("problems", config.problems.len())],
            512,
        )?;
        checks::memory(&[("guidance.points", guidance.points)], 1024)?;
        checks::memory(&[("guidance.times", guidance.times)], 256)?;
        let mut work = checks::time(&[("repeats", repeats), ("n", n), ("n", n)])?;
        work += checks::time(&[("points", guidance.points), ("guidance.times", guidance.times)])?
            * (DIM * DIM) as f64;
        let methods = ("methods", Method::ALL.len());
        for budget in config.budgets.iter().copied() {
            checks::at_least("budgets", budget, 2)?;
            work += checks::time(&[("budgets", budget), ("n", n), ("repeats", repeats), methods])?;
            config.times(budget)?;
        }
        config.times(smc.steps).context("smc.steps")?;
        for particles in smc.particles.iter().copied() {
            checks::at_least("smc.particles", particles, 1)?;
            let counts = [("smc.particles", particles), ("smc.systems", smc.systems)];
            checks::memory(&counts, 512)?;
            work +=
                (2 * DIM) as f64 * checks::time(&[&counts[..], &[("steps", smc.steps)]].concat())?;
        }
        Ok(work * config.problems.len() as f64)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let problems = config.problems.iter().map(|p| found(config, p, workspace));
        Ok(Results { problems: problems.collect::<Result<_>>()? })
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let works = [
            "song2021",
            "lugmayr2022",
            "kawar2022",
            "wang2023",
            "chung2023",
            "songvahdat2023",
            "boys2023",
            "wu2023",
            "cardoso2023",
        ];
        let metrics = [Metric::W2, Metric::Sliced].map(|m| m.info().reference);
        works.into_iter().chain(metrics).chain([citations::sde(&*config.sde)]).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        Ok(page::page(config, results))
    }
}

impl Config {
    /// A grid down to the data.
    fn times(&self, steps: usize) -> Result<Vec<f64>> {
        let (sde, grid) = (&*self.sde, &self.grid);
        let times = grid.times(sde, steps, sde.horizon(), 0.0);
        times.with_context(|| format!("grid = {grid:?}, budgets: {steps} steps"))
    }
}

/// Everything about one problem, in parts.
fn found(config: &Config, problem: &Named<Problem>, workspace: &Workspace) -> Result<Found> {
    let name = problem.given();
    let key = Key::root(config.seed);
    let setup = problem.set_up(key.fold(PROBLEM)).with_context(|| name.to_string())?;
    let bias = key.fold(BIAS);
    let floor = workspace.part(&format!("{name}-floor"), || bias::floor(config, &setup, bias))?;
    let mut rows = Vec::new();
    for method in Method::ALL {
        let part = format!("{name}-{}", method.key());
        let make = || bias::rows(config, problem, &setup, method, bias);
        rows.extend(workspace.part::<Vec<Row>>(&part, make)?);
    }
    let courses = workspace
        .part(&format!("{name}-terms"), || terms::courses(config, &setup, key.fold(TERMS)))?;
    let mut systems = Vec::new();
    for method in Method::PARTICLES {
        for particles in config.smc.particles.iter().copied() {
            let part = format!("{name}-{}-{particles}", method.key());
            let make = || particles::systems(config, &setup, method, particles, key.fold(SMC));
            systems.push(workspace.part(&part, make)?);
        }
    }
    Ok(Found {
        problem: name.into(),
        seen: problem.seen,
        noise: setup.seen.noise(),
        log_evidence: setup.exact.log_evidence(),
        floor,
        rows,
        times: terms::times(&*config.sde, config.guidance.times),
        courses,
        systems,
    })
}
