//! The authors' EDM code: their sampler with and without churn, and the generalised one.

use anyhow::{Context, Result, bail, ensure};
use sde_core::schedule::iddpm_sigmas;
use sde_core::{Brownian, Edm, Sde, TimeGrid};
use solvers::steppers::{Deis, EdmChurn, EdmHeun, IntegrationVariable, Polynomial};

use super::{Asked, Method, Sampler};
use crate::read::Json;

/// Defaults are those of the authors' functions; the last step is to zero.
pub(super) fn sampler(at: &Asked<'_>) -> Result<Sampler> {
    let case = at.case;
    let number = |key, usual| case.number_or(key, usual);
    let n = case.count("num_steps")?;
    ensure!(n >= 2, "{n} steps");
    let karras = TimeGrid::Karras { rho: number("rho", 7.0)? };
    let (sde, grid, start, end, variable): (Box<dyn Sde>, _, _, _, _) = match case
        .text_or("discretization", "edm")
    {
        "edm" => {
            let (low, high) = (number("sigma_min", 0.002)?, number("sigma_max", 80.0)?);
            (Box::new(Edm::new(high)?), karras, high, low, IntegrationVariable::Ratio)
        }
        "vp" => (at.targets.sde("vp")?, TimeGrid::Uniform, 1.0, 1e-3, IntegrationVariable::Time),
        "ve" => {
            let (low, high) = (number("sigma_min", 0.02)?, number("sigma_max", 100.0)?);
            let (start, end) = (high * high, low * low);
            (
                Box::new(Brownian::new(start)?),
                TimeGrid::LogSnr,
                start,
                end,
                IntegrationVariable::Time,
            )
        }
        "iddpm" => {
            let (low, high) = (number("sigma_min", 0.002)?, number("sigma_max", 81.0)?);
            let mut levels = iddpm_sigmas(1000, 0.001, 0.008);
            levels.retain(|u| (low..=high).contains(u));
            let (first, last) = levels.first().zip(levels.last()).context("no levels")?;
            (Box::new(Edm::new(high)?), TimeGrid::Iddpm, *first, *last, IntegrationVariable::Ratio)
        }
        other => bail!("unknown discretization `{other}`"),
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
