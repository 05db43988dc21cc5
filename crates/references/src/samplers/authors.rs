//! DPM-Solver, UniPC and DEIS by their authors, on the flow ODE of a variance-preserving process.

use anyhow::{Result, bail};
use sde_core::{TimeGrid, Tolerance};
use serde_json::Value;
use solvers::steppers::{
    Deis, DpmMultistep, DpmSchedule, DpmScheduled, DpmSinglestep, Expansion, LowerOrderFinal,
    Polynomial, Prediction, RhoRungeKutta, UniPc, Variant,
};

use super::{Asked, Method, Sampler, grid_rule};
use crate::read::Json;

/// From 1 to 1e-3 where the case does not say.
fn ends(case: &Value) -> Result<(f64, f64)> {
    Ok((case.number_or("t_start", 1.0)?, case.number_or("t_end", 1e-3)?))
}

fn prediction(case: &Value) -> Result<Prediction> {
    match case.text("algorithm")? {
        "dpmsolver" | "noise_prediction" => Ok(Prediction::Noise),
        "dpmsolver++" | "data_prediction" => Ok(Prediction::Data),
        other => bail!("unknown algorithm `{other}`"),
    }
}

pub(super) fn dpm(at: &Asked<'_>) -> Result<Sampler> {
    let (case, sde) = (at.case, at.targets.sde("vp")?);
    let ((start, end), order) = (ends(case)?, case.count("order")?);
    let method = case.text("method")?;
    if method == "adaptive" {
        let tolerance = Tolerance { abs: case.number("atol")?, rel: case.number("rtol")? };
        let stepper = Box::new(DpmSinglestep::noise(order));
        let plain = Sampler::ode(sde, vec![start, end], stepper);
        // The authors round a factor of their steps to single precision.
        return Ok(Sampler { adaptive: Some(tolerance), tolerance: 1e-6, ..plain });
    }
    let (grid, steps) = (grid_rule(case)?, case.count("steps")?);
    let prediction = prediction(case)?;
    let expansion = match case.text("solver_type")? {
        "dpmsolver" => Expansion::DpmSolver,
        "taylor" => Expansion::Taylor,
        other => bail!("unknown solver_type `{other}`"),
    };
    let (times, stepper, orders): (_, Method, _) = match method {
        "multistep" => {
            let times = grid.times(sde.as_ref(), steps, start, end)?;
            // The authors lower the order of the last steps only where there are few.
            let lower = case.flag_or("lower_order_final", false) && steps < 10;
            let lower_order_final = if lower { LowerOrderFinal::of(&times) } else { None };
            let stepper = DpmMultistep { prediction, order, expansion, lower_order_final };
            (times, Box::new(stepper), None)
        }
        "singlestep" | "singlestep_fixed" => {
            let make = if method == "singlestep" { DpmSchedule::fast } else { DpmSchedule::fixed };
            let schedule = make(sde.as_ref(), grid, steps, order, start, end)?;
            let (times, orders) = (schedule.times().to_vec(), schedule.orders());
            (times, Box::new(DpmScheduled { prediction, expansion, schedule }), Some(orders))
        }
        other => bail!("unknown method `{other}`"),
    };
    let denoise = case.flag_or("denoise_to_zero", false);
    Ok(Sampler { orders, denoise, ..Sampler::ode(sde, times, stepper) })
}

pub(super) fn unipc(at: &Asked<'_>) -> Result<Sampler> {
    let (case, sde) = (at.case, at.targets.sde("vp")?);
    let (start, end) = ends(case)?;
    let times = grid_rule(case)?.times(sde.as_ref(), case.count("steps")?, start, end)?;
    let variant = match case.text("variant")? {
        "bh1" => Variant::Bh1,
        "bh2" => Variant::Bh2,
        other => bail!("unknown variant `{other}`"),
    };
    let lower = case.flag_or("lower_order_final", false);
    let stepper = UniPc {
        prediction: prediction(case)?,
        variant,
        order: case.count("order")?,
        end: Some(end),
        lower_order_final: if lower { LowerOrderFinal::of(&times) } else { None },
    };
    Ok(Sampler::ode(sde, times, Box::new(stepper)))
}

pub(super) fn deis(at: &Asked<'_>) -> Result<Sampler> {
    let (case, sde) = (at.case, at.targets.sde("vp")?);
    let grid = match (case.text("ts_phase")?, case.number("ts_order")?) {
        ("t", 1.0) => TimeGrid::Uniform,
        ("t", 2.0) => TimeGrid::Quadratic,
        ("rho", rho) => TimeGrid::Karras { rho },
        ("log", _) => TimeGrid::LogSnr,
        (phase, order) => bail!("unknown grid `{phase}` of power {order}"),
    };
    let (start, end) = ends(case)?;
    let times = grid.times(sde.as_ref(), case.count("steps")?, start, end)?;
    let stepper: Method = match case.text("method")? {
        "t_ab" => Box::new(Deis::new(Polynomial::Time, case.count("order")?)),
        // The authors' sums instead of integrals.
        "rho_ab" => {
            let exact = Deis::new(Polynomial::Ratio, case.count("order")?);
            Box::new(Deis { left_sums: Some(10_000), ..exact })
        }
        "rho_rk" => Box::new(match case.text("order")? {
            "2heun" => RhoRungeKutta::HEUN,
            "3kutta" => RhoRungeKutta::KUTTA3,
            "4rk" => RhoRungeKutta::RK4,
            other => bail!("unknown Runge-Kutta method `{other}`"),
        }),
        other => bail!("unknown method `{other}`"),
    };
    Ok(Sampler::ode(sde, times, stepper))
}
