//! The authors' EDM code: their sampler with and without churn, and the generalised one.

use anyhow::{Context, Result, bail, ensure};
use ndarray::Array2;
use sde_core::schedule::iddpm_sigmas;
use sde_core::{Brownian, Edm, Error, Reverse, Sde, State, TimeGrid};
use serde_json::Value;
use solvers::steppers::{Deis, EdmChurn, EdmHeun, IntegrationVariable, Polynomial};
use solvers::{Grid, Noise, solve};

use super::super::case::{Deviation, mixed};
use super::super::constants::Common;
use super::super::json;
use super::{Method, TOLERANCE};
use crate::npy::Npz;

/// Recorded normals, one array a step.
pub(in super::super) struct Recorded {
    pub(in super::super) times: Vec<f64>,
    pub(in super::super) normals: Vec<Array2<f64>>,
}

impl Noise<Array2<f64>> for Recorded {
    fn increment(&self, _: &Array2<f64>, t0: f64, t1: f64) -> sde_core::Result<Array2<f64>> {
        let step = self.times.windows(2).position(|w| w[0] == t0 && w[1] == t1);
        let z = step.and_then(|i| self.normals.get(i)).ok_or_else(|| Error::Parameter {
            name: "t".into(),
            value: t0.to_string(),
            reason: format!("no noise was recorded from there to {t1}"),
        })?;
        State::lincomb(&[((t1 - t0).abs().sqrt(), z)])
    }

    fn first_row(&self) -> u64 {
        0
    }
}

/// The process of a case, its times but for the last, which is zero, and the variable of its steps.
struct Setup {
    sde: Box<dyn Sde>,
    times: Vec<f64>,
    variable: IntegrationVariable,
}

/// A constant of a case; defaults are those of the authors' functions.
fn number_or(case: &Value, key: &str, default: f64) -> Result<f64> {
    if case.get(key).is_some() { json::number(case, key) } else { Ok(default) }
}

/// A choice of a case.
fn text_or<'a>(case: &'a Value, key: &str, default: &'a str) -> &'a str {
    case.get(key).and_then(Value::as_str).unwrap_or(default)
}

fn setup(common: &Common, case: &Value) -> Result<Setup> {
    let number = |key, default| number_or(case, key, default);
    let n = json::count(case, "num_steps")?;
    ensure!(n >= 2, "{n} steps");
    let karras = TimeGrid::Karras { rho: number("rho", 7.0)? };
    let (sde, times, variable): (Box<dyn Sde>, _, _) = match text_or(case, "discretization", "edm")
    {
        "edm" => {
            let sde = Edm::new(number("sigma_max", 80.0)?)?;
            let times = karras.times(&sde, n - 1, sde.horizon(), number("sigma_min", 0.002)?)?;
            (Box::new(sde), times, IntegrationVariable::Ratio)
        }
        "vp" => {
            let sde = common.sde("vp")?;
            let times = TimeGrid::Uniform.times(sde.as_ref(), n - 1, 1.0, 1e-3)?;
            (sde, times, IntegrationVariable::Time)
        }
        "ve" => {
            let (low, high) = (number("sigma_min", 0.02)?, number("sigma_max", 100.0)?);
            let sde = Brownian::new(high * high)?;
            let times = TimeGrid::LogSnr.times(&sde, n - 1, high * high, low * low)?;
            (Box::new(sde), times, IntegrationVariable::Time)
        }
        "iddpm" => {
            let (low, high) = (number("sigma_min", 0.002)?, number("sigma_max", 81.0)?);
            let mut levels = iddpm_sigmas(1000, 0.001, 0.008);
            levels.retain(|u| (low..=high).contains(u));
            let (first, last) = levels.first().zip(levels.last()).context("no noise levels")?;
            let sde = Edm::new(high)?;
            let times = TimeGrid::Iddpm.times(&sde, n - 1, *first, *last)?;
            (Box::new(sde), times, IntegrationVariable::Ratio)
        }
        other => bail!("unknown discretization `{other}`"),
    };
    Ok(Setup { sde, times, variable })
}

/// The method of a case.
fn stepper<'a>(case: &Value, variable: IntegrationVariable) -> Result<Method<'a>> {
    let number = |key, default| number_or(case, key, default);
    let churn = number("S_churn", 0.0)?;
    let second_stage = number("alpha", 1.0)?;
    Ok(match text_or(case, "solver", "heun") {
        "heun" if churn > 0.0 => Box::new(EdmChurn {
            steps: json::count(case, "num_steps")? as u64,
            churn,
            lowest: number("S_min", 0.0)?,
            highest: number("S_max", f64::INFINITY)?,
            noise_scale: number("S_noise", 1.0)?,
        }),
        "heun" => Box::new(EdmHeun { second_stage, variable }),
        "euler" if variable == IntegrationVariable::Ratio => {
            Box::new(Deis::new(Polynomial::Ratio, 0))
        }
        other => bail!("no solver `{other}` here"),
    })
}

pub(super) fn recompute(
    common: &Common,
    npz: &mut Npz,
    name: &str,
    case: &Value,
) -> Result<Deviation> {
    let target = name.split('/').next().unwrap_or_default();
    let mixture = common.mixture(target)?;
    let Setup { sde, mut times, variable } = setup(common, case)?;
    let sde: &dyn Sde = sde.as_ref();
    // The levels at which the authors evaluated: each step begins with one.
    let levels = npz.flat(&format!("{name}/eval_sigma"))?;
    let level = |t: f64| (-sde.half_log_snr(t)).exp();
    let mut worst = mixed(&[level(times[0])], &levels[..1], TOLERANCE)?;
    let smallest = level(times[times.len() - 1]);
    worst = worst.max(mixed(&[smallest], &levels[levels.len() - 1..], TOLERANCE)?);
    times.push(0.0);

    let drawn = npz.get(&format!("{target}/noise"))?;
    let normals = drawn.outer_iter().map(|z| Ok(z.to_owned().into_dimensionality()?));
    let noise = Recorded { times: times.clone(), normals: normals.collect::<Result<_>>()? };
    let model = mixture.under(sde);
    let problem = Reverse::ode(sde, &model);
    let (start, stepper) = (times[0], stepper(case, variable)?);
    let x = npz.rows(&format!("{target}/xT"))? * sde.marginal(start).sigma;
    let mut control = Grid::new(times)?;
    let done = solve(&*stepper, &problem, x, start, &mut control, &noise, &mut ())?;
    let nfe = done.stats.nfe;
    ensure!(nfe == json::count(case, "nfe")? as u64, "nfe {nfe}, expected {}", case["nfe"]);
    let found: Vec<f64> = done.x.iter().copied().collect();
    Ok(worst.max(mixed(&found, &npz.flat(&format!("{name}/x"))?, TOLERANCE)?))
}
