//! Katherine Crowson's k-diffusion: its samplers on noise levels, with the noise they drew.

use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use sde_core::{Edm, Reverse, Sde, State, TimeGrid};
use serde_json::Value;
use solvers::steppers::{
    Correction, Deis, DpmMultistep, DpmSinglestep, DpmSolverPP2MSde, DpmSolverPP3MSde,
    DpmSolverPPSde, EdmHeun, EulerAncestral, Kdpm2, Polynomial,
};
use solvers::{Noise, Past, Step, Stepper, denoise};

use super::replay::{arrived, own};
use super::{Asked, Draws, Method, Sampler};
use crate::flow::Rows;
use crate::read::Json;
use crate::targets::decimals;

pub(super) fn sampler(at: &Asked<'_>) -> Result<Sampler> {
    let case = at.case;
    let times = times(case, at.sigmas.as_deref())?;
    let sde = Edm::new(times[0])?;
    let (eta, stepper) = method(case)?;
    let scale = sde.marginal(times[0]).sigma;
    let draws = Draws::InOrder;
    Ok(Sampler { eta, scale, draws, callback: true, ..Sampler::ode(Box::new(sde), times, stepper) })
}

/// The noise levels: `karras <smallest>..<largest> rho <rho> plus 0`, or those recorded.
fn times(case: &Value, recorded: Option<&[f64]>) -> Result<Vec<f64>> {
    let stated = case.text_or("sigmas", "");
    match (stated.starts_with("karras"), decimals(stated).as_slice()) {
        (true, [low, high, rho, ..]) => {
            let n = case.count("steps")?;
            ensure!(n >= 2, "{n} steps");
            let grid = TimeGrid::Karras { rho: *rho };
            let mut times = grid.times(&Edm::new(*high)?, n - 1, *high, *low)?;
            times.push(0.0);
            Ok(times)
        }
        _ => {
            let levels = recorded.with_context(|| format!("unknown noise levels `{stated}`"))?;
            ensure!(levels.len() >= 2, "{} noise levels", levels.len());
            Ok(levels.to_vec())
        }
    }
}

/// The method of a sampler and the noise of the dynamics, which is 0 where a rule of k-diffusion's own
/// adds it. Its `eta` of the multistep samplers is the square of ours.
fn method(case: &Value) -> Result<(f64, Method)> {
    let name = case.text("source")?.split_whitespace().nth(1).unwrap_or_default();
    let (eta, r) = (case.number_or("eta", 1.0)?, case.number_or("r", 0.5)?);
    for (key, usual) in [("s_noise", 1.0), ("s_churn", 0.0)] {
        let given = case.number_or(key, usual)?;
        ensure!(given == usual, "no {key} of {given} here");
    }
    Ok(match name.strip_prefix("sample_").unwrap_or(name) {
        "euler" => (0.0, Box::new(Deis::new(Polynomial::Ratio, 0))),
        "heun" => (0.0, Box::new(EdmHeun::default())),
        "dpm_2" => (0.0, Box::new(Kdpm2)),
        "lms" => {
            let order = if case.get("order").is_some() { case.count("order")? } else { 4 };
            ensure!(order >= 1, "order 0");
            (0.0, Box::new(Deis::new(Polynomial::Ratio, order - 1)))
        }
        "dpmpp_2m" => (0.0, Box::new(DpmMultistep::data(2))),
        "euler_ancestral" => (eta, Box::new(EulerAncestral)),
        "dpm_2_ancestral" => (0.0, ancestral(Kdpm2, eta)),
        "dpmpp_2s_ancestral" => (0.0, ancestral(DpmSinglestep::data(2), eta)),
        "dpmpp_sde" if r == 0.5 && (eta == 0.0 || eta == 1.0) => (eta, two_noises()),
        "dpmpp_sde" => (0.0, two_stages(eta, r)),
        "dpmpp_2m_sde" => {
            let correction = match case.text_or("solver_type", "midpoint") {
                "midpoint" => Correction::Midpoint,
                "heun" => Correction::Heun,
                other => bail!("unknown solver_type `{other}`"),
            };
            (eta.sqrt(), Box::new(DpmSolverPP2MSde { correction }))
        }
        "dpmpp_3m_sde" => (eta.sqrt(), Box::new(DpmSolverPP3MSde)),
        other => bail!("no sampler `{other}` of k-diffusion here"),
    })
}

/// `get_ancestral_step`: the level to go down to, and the noise added there.
fn ancestral_step(from: f64, to: f64, eta: f64) -> (f64, f64) {
    let up = to.min(eta * to * ((from - to) * (from + to)).sqrt() / from);
    (((to - up) * (to + up)).sqrt(), up)
}

/// A method of the flow, taken down further than the step, and noise back up.
fn ancestral<T>(inner: T, eta: f64) -> Method
where
    T: for<'a> Stepper<Rows, Reverse<'a, Rows>> + 'static,
{
    own(move |problem, x, t0, t1, noise| {
        let (down, up) = ancestral_step(t0, t1, eta);
        let step = inner.step(problem, x, t0, down, &Past::default(), noise)?;
        if t1 == 0.0 {
            return Ok(step);
        }
        let z = noise.normals(x, t1, 0)?;
        Ok(Step { x: State::lincomb(&[(1.0, &step.x), (up, &z)])?, ..step })
    })
}

/// DPM-Solver++ (SDE) of ours, whose noise is one path: k-diffusion draws that of the whole step apart
/// from that of its first half.
fn two_noises() -> Method {
    own(|problem, x, t0, t1, noise| {
        let apart = Apart { noise, first: Mutex::default() };
        DpmSolverPPSde.step(problem, x, t0, t1, &Past::default(), &apart)
    })
}

/// The second increment is what the noise of the whole interval leaves after the first.
struct Apart<'a> {
    noise: &'a dyn Noise<Rows>,
    first: Mutex<Option<(f64, Rows)>>,
}

impl Noise<Rows> for Apart<'_> {
    fn increment(&self, like: &Rows, t0: f64, t1: f64) -> sde_core::Result<Rows> {
        let mut first = self.first.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((start, w)) = &*first {
            return Ok(self.noise.increment(like, *start, t1)? - w);
        }
        let w = self.noise.increment(like, t0, t1)?;
        *first = Some((t0, w.clone()));
        Ok(w)
    }

    fn first_row(&self) -> u64 {
        0
    }
}

/// `sample_dpmpp_sde` with the ancestral rule at any `eta`, where our method has the noise of its
/// dynamics.
fn two_stages(eta: f64, r: f64) -> Method {
    own(move |problem, x, t0, t1, noise| {
        let data = denoise(problem, x, t0)?;
        if t1 == 0.0 {
            return Ok(arrived(data, 1));
        }
        let middle = t0.powf(1.0 - r) * t1.powf(r);
        // The exponential Euler step with data held, and its noise.
        let stage = |data: &Rows, to: f64| {
            let (down, up) = ancestral_step(t0, to, eta);
            let z = noise.normals(x, to, 0)?;
            Rows::lincomb(&[(down / t0, x), (1.0 - down / t0, data), (up, &z)])
        };
        let inner = denoise(problem, &stage(&data, middle)?, middle)?;
        let mean = Rows::lincomb(&[(1.0 - 0.5 / r, &data), (0.5 / r, &inner)])?;
        Ok(arrived(stage(&mean, t1)?, 2))
    })
}
