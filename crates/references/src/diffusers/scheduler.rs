//! Methods and times of the library's schedulers.

use anyhow::{Result, bail, ensure};
use sde_core::{Error, Semilinear};
use serde_json::Value;
use solvers::steppers::{
    Deis, DpmMultistep, DpmSinglestep, EdmHeun, EulerAncestral, Kdpm2, LowerOrderFinal, Pndm,
    Polynomial, UniPc, Variant,
};
use solvers::{Past, Stepper};

use crate::read::Json;
use crate::samplers::{Method, own};

/// Singlestep DPM-Solver++ of order 2 over two times of the library's list: the second stage is at
/// the one between.
fn halved(middles: Vec<f64>) -> Method {
    own(move |problem, x, t0, t1, noise| {
        let middle = middles.iter().copied().find(|m| (t1..t0).contains(m));
        let middle = middle.ok_or_else(|| Error::Parameter {
            name: "t".into(),
            value: t0.to_string(),
            reason: format!("no time is listed from there to {t1}"),
        })?;
        let lambda = |t: f64| {
            let m = problem.marginal(t);
            (m.alpha / m.sigma).ln()
        };
        let r1 = (lambda(middle) - lambda(t0)) / (lambda(t1) - lambda(t0));
        let stepper = DpmSinglestep { r1, ..DpmSinglestep::data(2) };
        stepper.step(problem, x, t0, t1, &Past::default(), noise)
    })
}

/// DPM-Solver++ with its slope weighted as in the paper, the library's defaults.
fn check_dpm(config: &Value) -> Result<()> {
    for (key, usual) in [("algorithm_type", "dpmsolver++"), ("solver_type", "midpoint")] {
        let given = config.text_or(key, usual);
        ensure!(given == usual, "no {key} `{given}` here");
    }
    for key in ["thresholding", "euler_at_final"] {
        ensure!(!config.flag_or(key, false), "no {key} here");
    }
    Ok(())
}

/// The method of a scheduler on its times.
pub(super) fn stepper(scheduler: &str, case: &Value, times: &[f64]) -> Result<Method> {
    let config = case.member("config")?;
    Ok(match scheduler {
        "DDPMScheduler" | "EulerAncestralDiscreteScheduler" => Box::new(EulerAncestral),
        "DDIMScheduler" | "EulerDiscreteScheduler" | "EDMEulerScheduler" => {
            Box::new(Deis::new(Polynomial::Ratio, 0))
        }
        // Fewer than fifteen steps end with one of order 1.
        "DEISMultistepScheduler" => {
            Box::new(Deis { first_order_at: Some(1.0), ..Deis::new(Polynomial::LogRatio, 1) })
        }
        "HeunDiscreteScheduler" => Box::new(EdmHeun::default()),
        "LMSDiscreteScheduler" => Box::new(Deis::new(Polynomial::Ratio, 3)),
        "KDPM2DiscreteScheduler" => Box::new(Kdpm2),
        "PNDMScheduler" => Box::new(Pndm),
        "DPMSolverMultistepScheduler" => {
            check_dpm(config)?;
            let lower = config.flag_or("lower_order_final", true) && times.len() <= 15;
            let lower_order_final = if lower { LowerOrderFinal::of(times) } else { None };
            let order = config.count("solver_order")?;
            Box::new(DpmMultistep { lower_order_final, ..DpmMultistep::data(order) })
        }
        // Without lower orders at the end the orders alternate 1, 2: a step of order 2 each pair.
        "DPMSolverSinglestepScheduler" => {
            check_dpm(config)?;
            let order = config.count("solver_order")?;
            let lower = config.flag_or("lower_order_final", false);
            ensure!(order == 2 && !lower, "order {order}, lower at the end: {lower}");
            let listed = case.numbers("timesteps")?;
            halved(listed.into_iter().skip(1).step_by(2).map(|i| i + 1.0).collect())
        }
        // There is no corrector after the last step; its order falls on a grid of any length.
        "UniPCMultistepScheduler" => {
            let variant = match config.text_or("solver_type", "bh2") {
                "bh1" => Variant::Bh1,
                "bh2" => Variant::Bh2,
                other => bail!("unknown solver_type `{other}`"),
            };
            let unipc = UniPc::data(variant, config.count("solver_order")?).ending(times);
            let lower = config.flag_or("lower_order_final", true);
            let lower_order_final = unipc.lower_order_final.filter(|_| lower);
            Box::new(UniPc { lower_order_final, ..unipc })
        }
        other => bail!("unknown scheduler `{other}`"),
    })
}

/// The times between the steps of a discrete scheduler: training step `i` is time `i + 1`.
pub(super) fn times(scheduler: &str, case: &Value) -> Result<Vec<f64>> {
    let config = case.member("config")?;
    let mut times: Vec<f64> = case.numbers("timesteps")?.into_iter().map(|i| i + 1.0).collect();
    match scheduler {
        // The middle stages are listed too.
        "KDPM2DiscreteScheduler" => times = times.into_iter().step_by(2).collect(),
        // The library's last PNDM step goes from step 0 to step 0.
        "PNDMScheduler" => {
            let n = case.count("steps")?;
            let ratio = config.count("num_train_timesteps")? / n.max(1);
            return Ok((0..n).rev().map(|i| (i * ratio) as f64 + 1.0).collect());
        }
        _ => times.dedup(),
    }
    let to_first_step = scheduler == "DEISMultistepScheduler"
        || config.text_or("final_sigmas_type", "zero") == "sigma_min";
    times.push(if to_first_step { 1.0 } else { 0.0 });
    if scheduler == "DPMSolverSinglestepScheduler" {
        ensure!(times.len() % 2 == 1, "an odd number of steps");
        times = times.into_iter().step_by(2).collect();
    }
    Ok(times)
}
