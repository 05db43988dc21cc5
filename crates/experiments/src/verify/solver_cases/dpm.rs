//! The authors' DPM-Solver code.

use anyhow::{Result, bail, ensure};
use sde_core::{Key, Reverse, Tolerance};
use serde_json::Value;
use solvers::steppers::{
    DpmMultistep, DpmSchedule, DpmScheduled, DpmSinglestep, Expansion, LowerOrderFinal, Prediction,
};
use solvers::{IndependentIncrements, LambdaAdaptive, denoise, solve};

use super::super::case::{Deviation, mixed};
use super::super::constants::Common;
use super::super::json;
use super::flow::{Flow, Recorded, flag, grid_rule};
use super::{Recompute, TOLERANCE};
use crate::npy::Npz;

pub(super) fn recompute(case: &Value) -> Result<Recompute, String> {
    match case.get("method").and_then(Value::as_str) {
        Some("multistep" | "singlestep" | "singlestep_fixed") => Ok(on_a_grid),
        Some("adaptive") => Ok(adaptive),
        other => Err(format!("no DPM-Solver of method {other:?} yet")),
    }
}

/// Grid, orders, evaluation times, every state, the end.
fn on_a_grid(common: &Common, npz: &mut Npz, name: &str, case: &Value) -> Result<Deviation> {
    let flow = Flow::of(common, npz, name, case)?;
    let sde = flow.sde.as_ref();
    let (start, end) = (flow.start, flow.end);
    let grid = grid_rule(case)?;
    let (steps, order) = (json::count(case, "steps")?, json::count(case, "order")?);
    let prediction = match json::text(case, "algorithm")? {
        "dpmsolver" => Prediction::Noise,
        "dpmsolver++" => Prediction::Data,
        other => bail!("unknown algorithm `{other}`"),
    };
    let expansion = match json::text(case, "solver_type")? {
        "dpmsolver" => Expansion::DpmSolver,
        "taylor" => Expansion::Taylor,
        other => bail!("unknown solver_type `{other}`"),
    };
    let method = json::text(case, "method")?;
    let exact = flow.mixture.under(sde);
    let score = Recorded::new(&exact);
    let problem = Reverse::ode(sde, &score);
    let (times, mut run) = if method == "multistep" {
        let times = grid.times(sde, steps, start, end)?;
        // The authors lower the order of the last steps only where there are few.
        let lower = flag(case, "lower_order_final")? && steps < 10;
        let lower_order_final = if lower { LowerOrderFinal::of(&times) } else { None };
        let stepper = DpmMultistep { prediction, order, expansion, lower_order_final };
        let run = flow.along(&stepper, &problem, &times)?;
        (times, run)
    } else {
        let schedule = if method == "singlestep" {
            DpmSchedule::fast(sde, grid, steps, order, start, end)?
        } else {
            DpmSchedule::fixed(sde, grid, steps, order, start, end)?
        };
        let (orders, expected) = (schedule.orders(), json::numbers(case, "orders")?);
        let same = orders.iter().map(|&o| o as f64).eq(expected.iter().copied());
        ensure!(same, "orders {orders:?}, expected {expected:?}");
        let times = schedule.times().to_vec();
        let stepper = DpmScheduled { prediction, expansion, schedule };
        let run = flow.along(&stepper, &problem, &times)?;
        (times, run)
    };
    if flag(case, "denoise_to_zero")? {
        run.states.push(denoise(&problem, &run.states[run.states.len() - 1], end)?);
        run.nfe += 1;
    }
    let mut worst = mixed(&times, &npz.flat(&format!("{name}/grid"))?, TOLERANCE)?;
    let evaluated = npz.flat(&format!("{name}/eval_t"))?;
    worst = worst.max(mixed(&score.times(), &evaluated, TOLERANCE)?);
    Ok(worst.max(run.against(npz, name, case)?))
}

/// The authors round a factor of their steps to single precision.
const ADAPTIVE: f64 = 1e-6;

/// Steps of the authors' control: times, evaluations, the end.
fn adaptive(common: &Common, npz: &mut Npz, name: &str, case: &Value) -> Result<Deviation> {
    let flow = Flow::of(common, npz, name, case)?;
    let sde = flow.sde.as_ref();
    let exact = flow.mixture.under(sde);
    let score = Recorded::new(&exact);
    let problem = Reverse::ode(sde, &score);
    let tol = Tolerance { abs: json::number(case, "atol")?, rel: json::number(case, "rtol")? };
    let mut control = LambdaAdaptive::new(sde, flow.start, flow.end, tol)?;
    let stepper = DpmSinglestep::noise(json::count(case, "order")?);
    let quiet = IndependentIncrements::new(Key::root(0), 0);
    let x = flow.x.clone();
    let done = solve(&stepper, &problem, x, flow.start, &mut control, &quiet, &mut ())?;
    let expected = json::count(case, "nfe")? as u64;
    ensure!(done.stats.nfe == expected, "nfe {}, expected {expected}", done.stats.nfe);
    let end: Vec<f64> = done.x.iter().copied().collect();
    let end = mixed(&end, &npz.flat(&format!("{name}/x"))?, ADAPTIVE)?;
    Ok(end.max(mixed(&score.times(), &npz.flat(&format!("{name}/eval_t"))?, ADAPTIVE)?))
}
