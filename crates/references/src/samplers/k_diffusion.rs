//! Katherine Crowson's k-diffusion: its samplers on noise levels, with the noise they drew.

use std::sync::Mutex;

use sde_core::Edm;
use solvers::denoise;
use solvers::steppers::{
    Correction, Deis, DpmMultistep, DpmSinglestep, DpmSolverPP2MSde, DpmSolverPP3MSde,
    DpmSolverPPSde, EdmHeun, EulerAncestral, Kdpm2, Polynomial,
};

use super::replay::arrived;
use super::{Method, Sampler, own};
use crate::prelude::*;

/// At noise levels `karras <smallest>..<largest> rho <rho> plus 0`.
pub(super) fn sampler(case: &Value, _: &Targets) -> Result<Sampler> {
    let (levels, n) = (case.text("sigmas")?, case.count("steps")?);
    ensure!(n >= 2, "{n} steps");
    let [low, high, rho, ..] = decimals(levels)[..] else { bail!("noise levels `{levels}`") };
    ensure!(levels.starts_with("karras"), "noise levels `{levels}`");
    let sde = Edm::new(high)?;
    let mut times = TimeGrid::Karras { rho }.times(&sde, n - 1, high, low)?;
    times.push(0.0);
    let (eta, stepper) = method(case)?;
    let scale = sde.marginal(times[0]).sigma;
    let plain = Sampler::ode(Box::new(sde), times, stepper);
    Ok(Sampler { eta, scale, in_order: true, callback: true, ..plain })
}

/// The method of a sampler and the noise of the dynamics, which is 0 where a rule of k-diffusion's own
/// adds it. Its `eta` of the multistep samplers is the square of ours.
fn method(case: &Value) -> Result<(f64, Method)> {
    let name = case.text("source")?.split_whitespace().nth(1).unwrap_or_default();
    let (eta, r) = (case.or("eta", 1.0)?, case.or("r", 0.5)?);
    for (key, usual) in [("s_noise", 1.0), ("s_churn", 0.0)] {
        let given = case.or(key, usual)?;
        ensure!(given == usual, "no {key} of {given} here");
    }
    Ok(match name.strip_prefix("sample_").unwrap_or(name) {
        "euler" => (0.0, Box::new(Deis::new(Polynomial::Ratio, 0))),
        "heun" => (0.0, Box::new(EdmHeun::default())),
        "dpm_2" => (0.0, Box::new(Kdpm2)),
        "lms" => {
            let order = case.or("order", 4)?;
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
            let known = [("midpoint", Correction::Midpoint), ("heun", Correction::Heun)];
            let correction = one_of(case.text_or("solver_type", "midpoint"), &known)?;
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
    own(Box::new(move |problem, x, t0, t1, noise| {
        let (down, up) = ancestral_step(t0, t1, eta);
        let step = inner.step(problem, x, t0, down, &Past::default(), noise)?;
        if t1 == 0.0 {
            return Ok(step);
        }
        let z = noise.normals(x, t1, 0)?;
        Ok(Step { x: State::lincomb(&[(1.0, &step.x), (up, &z)])?, ..step })
    }))
}

/// DPM-Solver++ (SDE) of ours, whose noise is one path: k-diffusion draws that of the whole step apart
/// from that of its first half.
fn two_noises() -> Method {
    own(Box::new(|problem, x, t0, t1, noise| {
        let apart = Apart { noise, first: Mutex::default() };
        DpmSolverPPSde.step(problem, x, t0, t1, &Past::default(), &apart)
    }))
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
    own(Box::new(move |problem, x, t0, t1, noise| {
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
    }))
}
