//! The authors' DPM-Solver code.

use anyhow::{Context, Result, bail, ensure};
use ndarray::Array2;
use sde_core::{Reverse, Sde, TimeGrid};
use serde_json::Value;
use solvers::steppers::DpmSolverPP2M;
use solvers::{Fresh, Grid, Trajectory, denoise, solve};

use super::super::case::{Deviation, mixed};
use super::super::constants::Common;
use super::super::json;
use super::{Recompute, TOLERANCE};
use crate::npy::Npz;

pub(super) fn recompute(case: &Value) -> Result<Recompute, String> {
    let text = |key: &str| case.get(key).and_then(Value::as_str).unwrap_or("");
    let is_2m = text("algorithm") == "dpmsolver++"
        && text("method") == "multistep"
        && case.get("order").and_then(Value::as_u64) == Some(2)
        && text("solver_type") == "dpmsolver";
    if is_2m { Ok(multistep) } else { Err("no DPM-Solver but ++(2M) yet".to_owned()) }
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
