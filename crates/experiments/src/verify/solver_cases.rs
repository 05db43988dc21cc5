//! `solvers`: trajectories of the authors' own solver code on the probability-flow ODE, 1e-9.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ndarray::Array2;
use sde_core::{Reverse, Sde, TimeGrid};
use serde_json::Value;
use solvers::steppers::DpmSolverPP2M;
use solvers::{Fresh, Grid, Trajectory, denoise, solve};

use super::case::{Case, Deviation, mixed};
use super::constants::Common;
use super::{from_file, json};
use crate::npy::Npz;

const TOLERANCE: f64 = 1e-9;

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    from_file(&dir.join("cases.json"), |path| {
        let cases = json::load(path)?;
        let common = Common::beside(dir)?;
        let archive = dir.join("solver_trajectories.npz");
        let mut arrays = archive.exists().then(|| Npz::open(&archive)).transpose()?;
        let one = |(name, case): (&str, &Value)| match missing(case) {
            Some(reason) => Case::skip(name, reason),
            None => match &mut arrays {
                None => Case::skip(name, "solver_trajectories.npz is not there"),
                Some(npz) => Case::of(name, multistep(&common, npz, name, case)),
            },
        };
        Ok(json::entries(&cases, "cases.json")?.into_iter().map(one).collect())
    })
}

/// Why a case cannot be repeated with the methods there are; `None` when it can.
fn missing(case: &Value) -> Option<String> {
    let text = |key: &str| case.get(key).and_then(Value::as_str).unwrap_or("");
    let source = text("source");
    if source != "dpm-solver" {
        let short = source.split_whitespace().next().unwrap_or("unnamed source");
        return Some(format!("no {short} yet"));
    }
    let is_2m = text("algorithm") == "dpmsolver++"
        && text("method") == "multistep"
        && case.get("order").and_then(Value::as_u64) == Some(2)
        && text("solver_type") == "dpmsolver";
    (!is_2m).then(|| "no DPM-Solver but ++(2M) yet".to_owned())
}

/// DPM-Solver++(2M): grid, every state, the end.
fn multistep(common: &Common, npz: &mut Npz, name: &str, case: &Value) -> Result<Deviation> {
    let target = name.split('/').next().unwrap_or_default();
    let mixture = common.mixture(target)?;
    let sde = common.sde("vp")?;
    let sde: &dyn Sde = sde.as_ref();
    let grid = match json::text(case, "skip_type")? {
        "time_uniform" => TimeGrid::Uniform,
        "logSNR" => TimeGrid::LogSnr,
        "time_quadratic" => TimeGrid::Quadratic,
        other => bail!("unknown skip_type `{other}`"),
    };
    let flag = |key: &str| -> Result<bool> {
        json::member(case, key)?.as_bool().with_context(|| format!("`{key}` is no truth value"))
    };
    let (start, end) = (json::number(case, "t_start")?, json::number(case, "t_end")?);
    let steps = json::count(case, "steps")?;
    let times = grid.times(sde, steps, start, end)?;
    let mut worst = mixed(&times, &npz.flat(&format!("{name}/grid"))?, TOLERANCE)?;

    // The authors lower the order of the last step only where there are few.
    let lower = flag("lower_order_final")? && steps < 10;
    let stepper = DpmSolverPP2M { first_order_at: lower.then_some(end) };
    let x = npz.rows(&format!("{target}/xT"))?;
    let model = mixture.under(sde);
    let problem = Reverse::ode(sde, &model);
    let noise = Fresh::new(sde_core::Key::root(0), 0);
    let mut trajectory = Trajectory::default();
    let mut control = Grid::new(times)?;
    let solution =
        solve(&stepper, &problem, x.clone(), start, &mut control, &noise, &mut trajectory)?;
    let (mut nfe, mut states) = (solution.stats.nfe, vec![x]);
    states.append(&mut trajectory.states);
    if flag("denoise_to_zero")? {
        states.push(denoise(&problem, &solution.x, end)?);
        nfe += 1;
    }
    ensure!(nfe == json::count(case, "nfe")? as u64, "nfe {nfe}, expected {}", case["nfe"]);

    let flat = |x: &[Array2<f64>]| x.iter().flatten().copied().collect::<Vec<f64>>();
    let last = &states[states.len() - 1..];
    worst = worst.max(mixed(&flat(last), &npz.flat(&format!("{name}/x"))?, TOLERANCE)?);
    Ok(worst.max(mixed(&flat(&states), &npz.flat(&format!("{name}/traj"))?, TOLERANCE)?))
}
