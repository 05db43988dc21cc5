//! Methods and times of the library's schedulers.

use anyhow::{Result, bail, ensure};
use ndarray::Array2;
use sde_core::{Error, Reverse, Semilinear};
use serde_json::Value;
use solvers::steppers::{
    Deis, DpmMultistep, DpmSinglestep, EdmHeun, EulerAncestral, Kdpm2, LowerOrderFinal, Pndm,
    Polynomial, UniPc, Variant,
};
use solvers::{Noise, Past, Step, Stepper};

use super::super::json;
use super::super::solver_cases::Method;

/// Singlestep DPM-Solver++ of order 2 over two times of the library's list: the second stage is at
/// the one between.
struct Halved {
    middles: Vec<f64>,
}

impl<'a> Stepper<Array2<f64>, Reverse<'a, Array2<f64>>> for Halved {
    fn step(
        &self,
        problem: &Reverse<'a, Array2<f64>>,
        x: &Array2<f64>,
        t0: f64,
        t1: f64,
        past: &Past<Array2<f64>>,
        noise: &dyn Noise<Array2<f64>>,
    ) -> sde_core::Result<Step<Array2<f64>>> {
        let middle = self.middles.iter().copied().find(|m| (t1..t0).contains(m));
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
        DpmSinglestep { r1, ..DpmSinglestep::data(2) }.step(problem, x, t0, t1, past, noise)
    }
}

/// A truth value of a configuration; `usual` is the library's default.
pub(super) fn flag(config: &Value, key: &str, usual: bool) -> bool {
    config.get(key).and_then(Value::as_bool).unwrap_or(usual)
}

/// A choice of a configuration, where it is made.
pub(super) fn choice<'a>(config: &'a Value, key: &str) -> Option<&'a str> {
    config.get(key).and_then(Value::as_str)
}

/// DPM-Solver++ with its slope weighted as in the paper, the library's defaults.
fn check_dpm(config: &Value) -> Result<()> {
    for (key, usual) in [("algorithm_type", "dpmsolver++"), ("solver_type", "midpoint")] {
        let given = choice(config, key).unwrap_or(usual);
        ensure!(given == usual, "no {key} `{given}` here");
    }
    ensure!(!flag(config, "thresholding", false), "no thresholding here");
    Ok(())
}

/// The method of a scheduler on its times.
pub(super) fn stepper<'a>(scheduler: &str, case: &Value, times: &[f64]) -> Result<Method<'a>> {
    let config = json::member(case, "config")?;
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
            ensure!(!flag(config, "euler_at_final", false), "no Euler step at the end here");
            let lower = flag(config, "lower_order_final", true) && times.len() <= 15;
            let lower_order_final = if lower { LowerOrderFinal::of(times) } else { None };
            let order = json::count(config, "solver_order")?;
            Box::new(DpmMultistep { lower_order_final, ..DpmMultistep::data(order) })
        }
        // Without lower orders at the end the orders alternate 1, 2: a step of order 2 each pair.
        "DPMSolverSinglestepScheduler" => {
            check_dpm(config)?;
            let order = json::count(config, "solver_order")?;
            let lower = flag(config, "lower_order_final", false);
            ensure!(order == 2 && !lower, "order {order}, lower at the end: {lower}");
            let listed = json::numbers(case, "timesteps")?;
            let middles = listed.into_iter().skip(1).step_by(2).map(|i| i + 1.0).collect();
            Box::new(Halved { middles })
        }
        // There is no corrector after the last step; its order falls on a grid of any length.
        "UniPCMultistepScheduler" => {
            let variant = match choice(config, "solver_type") {
                Some("bh1") => Variant::Bh1,
                Some("bh2") | None => Variant::Bh2,
                Some(other) => bail!("unknown solver_type `{other}`"),
            };
            let unipc = UniPc::data(variant, json::count(config, "solver_order")?).ending(times);
            let lower = flag(config, "lower_order_final", true);
            let lower_order_final = unipc.lower_order_final.filter(|_| lower);
            Box::new(UniPc { lower_order_final, ..unipc })
        }
        other => bail!("unknown scheduler `{other}`"),
    })
}

/// The times between the steps of a discrete scheduler: training step `i` is time `i + 1`.
pub(super) fn times(scheduler: &str, case: &Value) -> Result<Vec<f64>> {
    let mut times: Vec<f64> =
        json::numbers(case, "timesteps")?.into_iter().map(|i| i + 1.0).collect();
    match scheduler {
        // The middle stages are listed too.
        "KDPM2DiscreteScheduler" => times = times.into_iter().step_by(2).collect(),
        "PNDMScheduler" => {
            let n = json::count(case, "steps")?;
            let ratio = json::count(json::member(case, "config")?, "num_train_timesteps")? / n;
            times = (0..n).rev().map(|i| (i * ratio) as f64 + 1.0).collect();
        }
        _ => times.dedup(),
    }
    let config = json::member(case, "config")?;
    let ends_at_first_step = choice(config, "final_sigmas_type") == Some("sigma_min");
    match scheduler {
        // The library's last PNDM step goes from step 0 to step 0.
        "PNDMScheduler" => {}
        // It knows no other end.
        "DEISMultistepScheduler" => times.push(1.0),
        _ => times.push(if ends_at_first_step { 1.0 } else { 0.0 }),
    }
    if scheduler == "DPMSolverSinglestepScheduler" {
        ensure!(times.len() % 2 == 1, "an odd number of steps");
        times = times.into_iter().step_by(2).collect();
    }
    Ok(times)
}
