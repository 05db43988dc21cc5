//! `likelihood`: estimators of `log p` against the exact value: error, standard error, cost.

mod identity;
mod page;

use std::path::Path;

use ::solvers::density::{Divergence, FlowDensity, flow_log_density};
use ::solvers::{Control, Method};
use anyhow::{Context as _, Result, ensure};
use ndarray::Array2;
use report::Sheet;
use sde_core::{Key, Probe, Sde, Tolerance};
use serde::{Deserialize, Serialize};
use std::time::Instant;

use super::target::{Target, noised};
use crate::named::Named;
use crate::presets::presets;
use crate::runs::{Experiment, Workspace};
use crate::{checks, citations};

/// The experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Likelihood;

/// Its configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Config {
    experiment: String,
    preset: String,
    seed: u64,
    target: Named<Target>,
    sde: Named<dyn Sde>,
    t_end: f64,
    points: usize,
    tolerance: f64,
    probes: Vec<usize>,
    etas: Vec<f64>,
    paths: u64,
    steps: usize,
}

/// One estimator.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    name: String,
    /// Root mean square of estimate minus exact value, over the points; nothing where the paths left
    /// the numbers.
    #[serde(with = "crate::number")]
    rms: Option<f64>,
    /// Mean of the difference.
    #[serde(with = "crate::number")]
    bias: Option<f64>,
    /// Root mean square of the standard errors it states.
    #[serde(with = "crate::number")]
    stated: Option<f64>,
    /// Share of points farther off than four of them.
    #[serde(with = "crate::number")]
    outside: Option<f64>,
    /// Evaluations of the score and its derivatives for a point.
    #[serde(with = "crate::number")]
    evaluations: f64,
    #[serde(with = "crate::number")]
    micros: f64,
}

/// Everything that was computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    rows: Vec<Row>,
}

impl Experiment for Likelihood {
    const NAME: &'static str = "likelihood";
    const ABOUT: &'static str =
        "estimators of the log-density against the exact value: error, standard error, cost";
    const PRESETS: &'static [(&'static str, &'static str)] = presets!("likelihood");
    type Config = Config;
    type Results = Results;

    fn check(config: &Config) -> Result<f64> {
        let sde = &*config.sde;
        checks::below_horizon("t-end", sde, config.t_end)?;
        checks::within("tolerance", config.tolerance, checks::TOLERANCES)?;
        let (points, steps) = (config.points, config.steps);
        let paths = usize::try_from(config.paths).unwrap_or(usize::MAX);
        checks::all_at_least(&[("points", points, 2), ("steps", steps, 1), ("paths", paths, 1)])?;
        checks::memory(&[("points", points)], 200)?;
        checks::memory(&[("paths", paths)], 32)?;
        let mut work = checks::time(&[("points", points)])? * 500.0;
        for probes in config.probes.iter().copied() {
            checks::at_least("probes", probes, 1)?;
            // The probes of a row and its integrals along each, in every stage of a step.
            checks::memory(&[("probes", probes)], 1000)?;
            work += 500.0 * checks::time(&[("points", points), ("probes", probes)])?;
        }
        identity::times(config).context("steps, t-end")?;
        for eta in &config.etas {
            checks::within("etas", *eta, 0.0..=1e3)?;
            let v = identity::variance(sde, *eta, config.t_end);
            ensure!(
                v.is_finite() && v > 0.0,
                "etas: {eta:?}: the variance of its samples is {v:?}"
            );
            work += checks::time(&[("points", points), ("paths", paths), ("steps", steps)])?;
        }
        Ok(work)
    }

    fn work(config: &Config, workspace: &Workspace) -> Result<Results> {
        let (sde, mixture) = (&*config.sde, config.target.mixture()?);
        let model = mixture.under(sde);
        let key = Key::root(config.seed);
        let x = noised(&mixture, sde, config.t_end, key.fold(0), config.points)?;
        let exact = model.log_density(&x, config.t_end)?;
        let prior = |x: &Array2<f64>| model.log_density(x, sde.horizon());
        let tol = Tolerance { abs: config.tolerance, rel: config.tolerance };
        let control = Control::Adaptive { t_start: config.t_end, t_end: sde.horizon(), tol };
        let exactly = ("flow-exact".into(), "flow, exact divergence".into(), Divergence::Exact, 1);
        let probed = config.probes.iter().map(|n| {
            let name = format!("Hutchinson, {n} probe{}", if *n == 1 { "" } else { "s" });
            let divergence = Divergence::Hutchinson { probe: Probe::Rademacher, n_probes: *n };
            (format!("hutchinson-{n}"), name, divergence, *n)
        });
        let mut rows = Vec::new();
        for (part, name, divergence, probes) in std::iter::once(exactly).chain(probed) {
            let key = key.fold(if matches!(divergence, Divergence::Exact) { 1 } else { 2 });
            rows.push(workspace.part(&part, || {
                let start = Instant::now();
                let flow = FlowDensity { divergence, control: control.clone(), block_rows: 1 };
                let found = flow_log_density(&flow, sde, &model, &x, &prior, key, 0)?;
                let each = found.summary.row_evaluations as f64 / x.nrows() as f64;
                let cost = each * probes as f64;
                Ok(row(&name, &found.log_density, found.std_error, &exact, cost, start))
            })?);
        }
        for eta in &config.etas {
            let part = format!("identity-{eta}");
            rows.push(workspace.part(&part, || identity::row(config, *eta, key.fold(3)))?);
        }
        Ok(Results { rows })
    }

    fn references(config: &Config) -> Vec<&'static str> {
        let all = ["chen2018", "grathwohl2019", "hutchinson1990", "song2021", "deveney2025"];
        all.into_iter().chain([citations::sde(&*config.sde), Method::Dopri5.reference()]).collect()
    }

    fn page(config: &Config, results: &Results, _: &Path) -> Result<Sheet> {
        Ok(page::page(config, results))
    }
}

impl Row {
    /// Whether it is of the identity, which is tried on a problem of its own.
    fn of_identity(&self) -> bool {
        self.name.starts_with(identity::NAME)
    }
}

/// Estimates held against exact values.
fn row(
    name: &str,
    found: &[f64],
    stated: Option<Vec<f64>>,
    exact: &[f64],
    evaluations: f64,
    start: Instant,
) -> Row {
    let n = found.len() as f64;
    let off: Vec<f64> = found.iter().zip(exact).map(|(f, e)| f - e).collect();
    let root = |values: &[f64]| (values.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
    let far = |errors: &Vec<f64>| {
        off.iter().zip(errors).filter(|(o, e)| o.abs() > 4.0 * **e).count() as f64 / n
    };
    let finite = |v: &f64| v.is_finite();
    let rms = Some(root(&off)).filter(finite);
    Row {
        name: name.into(),
        rms,
        bias: Some(off.iter().sum::<f64>() / n).filter(finite),
        outside: stated.as_ref().map(far).filter(|_| rms.is_some()),
        stated: stated.map(|s| root(&s)).filter(finite),
        evaluations,
        micros: 1e6 * start.elapsed().as_secs_f64() / n,
    }
}
