//! DPM-Solver, UniPC and DEIS on the flow ODE of a variance-preserving process, and EDM, by their authors.

use sde_core::schedule::iddpm_sigmas;
use sde_core::{Brownian, Edm, Tolerance};
use solvers::steppers::{
    Deis, DpmMultistep, DpmSchedule, DpmScheduled, DpmSinglestep, EdmChurn, EdmHeun, Expansion,
    IntegrationVariable, LowerOrderFinal, Polynomial, Prediction, RhoRungeKutta, UniPc,
};

use super::{Method, Sampler, VARIANTS, grid_rule};
use crate::prelude::*;

/// From 1 to 1e-3 where the case does not say.
fn ends(case: &Value) -> Result<(f64, f64)> {
    Ok((case.or("t_start", 1.0)?, case.or("t_end", 1e-3)?))
}

fn prediction(case: &Value) -> Result<Prediction> {
    let known = [
        ("dpmsolver", Prediction::Noise),
        ("noise_prediction", Prediction::Noise),
        ("dpmsolver++", Prediction::Data),
        ("data_prediction", Prediction::Data),
    ];
    one_of(case.text("algorithm")?, &known)
}

pub(super) fn dpm(case: &Value, targets: &Targets) -> Result<Sampler> {
    let sde = targets.sde("vp")?;
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
    let expansions = [("dpmsolver", Expansion::DpmSolver), ("taylor", Expansion::Taylor)];
    let expansion = one_of(case.text("solver_type")?, &expansions)?;
    let (times, stepper, orders): (_, Method, _) = match method {
        "multistep" => {
            let times = grid.times(sde.as_ref(), steps, start, end)?;
            // The authors lower the order of the last steps only where there are few.
            let lower = case.or("lower_order_final", false)? && steps < 10;
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
    let denoise = case.or("denoise_to_zero", false)?;
    Ok(Sampler { orders, denoise, ..Sampler::ode(sde, times, stepper) })
}

pub(super) fn unipc(case: &Value, targets: &Targets) -> Result<Sampler> {
    let (sde, (start, end)) = (targets.sde("vp")?, ends(case)?);
    let times = grid_rule(case)?.times(sde.as_ref(), case.count("steps")?, start, end)?;
    let lower = case.or("lower_order_final", false)?;
    let stepper = UniPc {
        prediction: prediction(case)?,
        variant: one_of(case.text("variant")?, &VARIANTS)?,
        order: case.count("order")?,
        end: Some(end),
        lower_order_final: if lower { LowerOrderFinal::of(&times) } else { None },
    };
    Ok(Sampler::ode(sde, times, Box::new(stepper)))
}

pub(super) fn deis(case: &Value, targets: &Targets) -> Result<Sampler> {
    let (sde, (start, end)) = (targets.sde("vp")?, ends(case)?);
    let grid = match (case.text("ts_phase")?, case.number("ts_order")?) {
        ("t", 1.0) => TimeGrid::Uniform,
        ("t", 2.0) => TimeGrid::Quadratic,
        ("rho", rho) => TimeGrid::Karras { rho },
        ("log", _) => TimeGrid::LogSnr,
        (phase, order) => bail!("unknown grid `{phase}` of power {order}"),
    };
    let times = grid.times(sde.as_ref(), case.count("steps")?, start, end)?;
    let stepper: Method = match case.text("method")? {
        "t_ab" => Box::new(Deis::new(Polynomial::Time, case.count("order")?)),
        // The authors' sums instead of integrals.
        "rho_ab" => {
            let exact = Deis::new(Polynomial::Ratio, case.count("order")?);
            Box::new(Deis { left_sums: Some(10_000), ..exact })
        }
        "rho_rk" => {
            let known = [
                ("2heun", RhoRungeKutta::HEUN),
                ("3kutta", RhoRungeKutta::KUTTA3),
                ("4rk", RhoRungeKutta::RK4),
            ];
            Box::new(one_of(case.text("order")?, &known)?)
        }
        other => bail!("unknown method `{other}`"),
    };
    Ok(Sampler::ode(sde, times, stepper))
}

/// EDM with and without churn, and the generalised sampler. Defaults are those of the authors' functions; the last step
/// is to zero.
pub(super) fn edm(case: &Value, targets: &Targets) -> Result<Sampler> {
    let number = |key, usual| case.or(key, usual);
    let n = case.count("num_steps")?;
    ensure!(n >= 2, "{n} steps");
    let range = |low, high| -> Result<[f64; 2]> {
        Ok([number("sigma_max", high)?, number("sigma_min", low)?])
    };
    let (sde, grid, [start, end]): (Box<dyn Sde>, _, _) = match case
        .text_or("discretization", "edm")
    {
        "edm" => {
            let levels = range(0.002, 80.0)?;
            (Box::new(Edm::new(levels[0])?), TimeGrid::Karras { rho: number("rho", 7.0)? }, levels)
        }
        "vp" => (targets.sde("vp")?, TimeGrid::Uniform, [1.0, 1e-3]),
        "ve" => {
            let variances = range(0.02, 100.0)?.map(|sigma| sigma * sigma);
            (Box::new(Brownian::new(variances[0])?), TimeGrid::LogSnr, variances)
        }
        "iddpm" => {
            let [high, low] = range(0.002, 81.0)?;
            let mut levels = iddpm_sigmas(1000, 0.001, 0.008);
            levels.retain(|u| (low..=high).contains(u));
            let (first, last) = levels.first().zip(levels.last()).context("no levels")?;
            (Box::new(Edm::new(high)?), TimeGrid::Iddpm, [*first, *last])
        }
        other => bail!("unknown discretization `{other}`"),
    };
    let variable = match grid {
        TimeGrid::Uniform | TimeGrid::LogSnr => IntegrationVariable::Time,
        _ => IntegrationVariable::Ratio,
    };
    let mut times = grid.times(sde.as_ref(), n - 1, start, end)?;
    times.push(0.0);
    let churn = number("S_churn", 0.0)?;
    let stepper: Method = match case.text_or("solver", "heun") {
        "heun" if churn > 0.0 => Box::new(EdmChurn {
            steps: n as u64,
            churn,
            lowest: number("S_min", 0.0)?,
            highest: number("S_max", f64::INFINITY)?,
            noise_scale: number("S_noise", 1.0)?,
        }),
        "heun" => Box::new(EdmHeun { second_stage: number("alpha", 1.0)?, variable }),
        "euler" if variable == IntegrationVariable::Ratio => {
            Box::new(Deis::new(Polynomial::Ratio, 0))
        }
        other => bail!("no solver `{other}` here"),
    };
    let scale = sde.marginal(times[0]).sigma;
    Ok(Sampler { scale, unscaled: true, ..Sampler::ode(sde, times, stepper) })
}
