//! `diffusers_tests`: scheduler loops of huggingface/diffusers on the model `x t / (t + 1)`.
//!
//! Their arithmetic is single precision, which carries products of up to 1100 factors and noise
//! levels down to 0.01 with a relative error of some 1e-6, and a loop of a thousand steps with some
//! 1e-5: 5e-6 and 5e-5 of the largest pixel are allowed.

use sde_core::schedule::EdmPreconditioning;
use sde_core::sde::{Betas, Interpolation};
use sde_core::{Discrete, Edm, Error, FnScore, Semilinear};
use solvers::steppers::{
    Deis, DpmMultistep, DpmSinglestep, EdmHeun, EulerAncestral, Kdpm2, LowerOrderFinal, Pndm,
    Polynomial, UniPc,
};

use crate::prelude::*;
use crate::samplers::{Method, Sampler, VARIANTS, normals, own};

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    let (loops, mut npz) = (dir.json("loops.json")?, dir.npz("loops.npz")?);
    for (name, case) in loops.member("cases")?.entries()? {
        family.add(name, || recompute(&mut npz, name, case));
    }
    Ok(())
}

fn recompute(npz: &mut Npz, name: &str, case: &Value) -> Result<Check> {
    let expected = npz.flat(&format!("{name}/final"))?;
    // The problem acts pixel by pixel, and noise was recorded for the first of them.
    let n_noise = case.count("n_noise")?;
    let pixels = if n_noise > 0 { 8 } else { expected.len() };
    let start = npz.flat("x0")?;
    ensure!(start.len() >= pixels && expected.len() >= pixels, "fewer than {pixels} pixels");
    let Problem { score, sde, times, scale } = Problem::of(case)?;
    ensure!(times.len() > 1, "{} times", times.len());
    let x = Rows::from_shape_vec((pixels, 1), start[..pixels].to_vec())? * scale;
    let mut drawn = Vec::new();
    if n_noise > 0 {
        let array = npz.rows(&format!("{name}/noise_first_pixels"))?;
        ensure!(array.dim() == (n_noise, pixels), "noise of shape {:?}", array.dim());
        drawn = normals(array.insert_axis(Axis(2)).into_dyn())?;
    }
    let stepper = stepper(case.text("scheduler")?, case, &times)?;
    let eta = if n_noise > 0 { 1.0 } else { 0.0 };
    let run = Sampler { eta, ..Sampler::ode(sde, times, stepper) }.run(&*score, x, drawn)?;
    let tolerance = if case.count("steps")? > 100 { 5e-5 } else { 5e-6 };
    check(run.end(), &expected[..pixels], LARGEST, tolerance)
}

/// The model of a loop as a score, its process and times, and what the recorded start is multiplied by.
struct Problem {
    score: Box<dyn Score<Rows>>,
    sde: Box<dyn Sde>,
    times: Vec<f64>,
    scale: f64,
}

impl Problem {
    fn of(case: &Value) -> Result<Self> {
        let (scheduler, config) = (case.text("scheduler")?, case.member("config")?);
        let mut scale = case.number("init_scale")?;
        if scheduler == "EDMEulerScheduler" {
            let (score, times) = (Box::new(FnScore::new(preconditioned)), case.numbers("sigmas")?);
            let sde = Box::new(Edm::new(config.number("sigma_max")?)?);
            return Ok(Self { score, sde, times, scale });
        }
        let logarithmic = Discrete::new(&betas(config)?)?;
        let karras = config.or("use_karras_sigmas", false)?;
        let between = if karras { Interpolation::LogRatio } else { Interpolation::Ratio };
        let (sde, times) =
            (logarithmic.clone().with_interpolation(between), times(scheduler, case)?);
        // The schedulers over noise levels work on x / alpha.
        if case.get("sigmas").is_some_and(Value::is_array) && scale != 1.0 {
            scale *= sde.marginal(*times.first().context("no timesteps")?).alpha;
        }
        let velocity = config.text_or("prediction_type", "epsilon") == "v_prediction";
        let clip = config.or("clip_sample", false)?;
        let (sde, grid) = (Box::new(sde), times.clone());
        let score = Discretised { sde: *sde.clone(), logarithmic, grid, velocity, clip };
        Ok(Self { score: Box::new(score), sde, times, scale })
    }
}

/// The training betas as the library holds them: `1 - beta` in single precision.
fn betas(config: &Value) -> Result<Vec<f64>> {
    let (a, b) = (config.number("beta_start")?, config.number("beta_end")?);
    let (schedule, n) = (config.text("beta_schedule")?, config.count("num_train_timesteps")?);
    let betas = format!("{schedule},{a},{b},{n}").parse::<Betas>()?.values()?;
    Ok(betas.into_iter().map(|beta| 1.0 - f64::from(1.0 - beta as f32)).collect())
}

/// The model of a discrete schedule as a score.
struct Discretised {
    sde: Discrete,
    /// Gives noise levels off the grid their training step.
    logarithmic: Discrete,
    grid: Vec<f64>,
    velocity: bool,
    clip: bool,
}

impl Discretised {
    /// The training step of a time.
    fn step(&self, t: f64) -> sde_core::Result<f64> {
        if self.grid.contains(&t) {
            return Ok(t - 1.0);
        }
        Ok(self.logarithmic.time_of_half_log_snr(self.sde.half_log_snr(t))? - 1.0)
    }
}

impl Score<Rows> for Discretised {
    fn score(&self, x: &Rows, t: f64) -> sde_core::Result<Rows> {
        let (m, step) = (self.sde.marginal(t), self.step(t)?);
        Ok(x.mapv(|x| {
            let output = x * step / (step + 1.0);
            let data = if self.velocity {
                m.alpha * x - m.sigma * output
            } else {
                (x - m.sigma * output) / m.alpha
            };
            let data = if self.clip { data.clamp(-1.0, 1.0) } else { data };
            (m.alpha * data - x) / (m.sigma * m.sigma)
        }))
    }

    /// A model of `v` gives the data without division.
    fn denoised(&self, x: &Rows, t: f64) -> sde_core::Result<Option<Rows>> {
        let m = self.sde.marginal(t);
        let data = |step: f64| x.mapv(|x| m.alpha * x - m.sigma * x * step / (step + 1.0));
        Ok(if self.velocity && !self.clip { Some(data(self.step(t)?)) } else { None })
    }
}

/// The preconditioned model of the EDM schedulers as a score.
fn preconditioned(x: &Rows, sigma: f64) -> sde_core::Result<Rows> {
    let edm = EdmPreconditioning { sigma_data: 0.5 };
    let c = edm.c_noise(sigma);
    Ok(x.mapv(|x| {
        let output = edm.c_in(sigma) * x * c / (c + 1.0);
        let data = edm.c_skip(sigma) * x + edm.c_out(sigma) * output;
        (data - x) / (sigma * sigma)
    }))
}

/// Singlestep DPM-Solver++ of order 2 over two times of the library's list: the second stage is at
/// the one between.
fn halved(middles: Vec<f64>) -> Method {
    own(Box::new(move |problem, x, t0, t1, noise| {
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
    }))
}

/// DPM-Solver++ with its slope weighted as in the paper, the library's defaults.
fn check_dpm(config: &Value) -> Result<()> {
    for (key, usual) in [("algorithm_type", "dpmsolver++"), ("solver_type", "midpoint")] {
        let given = config.text_or(key, usual);
        ensure!(given == usual, "no {key} `{given}` here");
    }
    for key in ["thresholding", "euler_at_final"] {
        ensure!(!config.or(key, false)?, "no {key} here");
    }
    Ok(())
}

/// The method of a scheduler on its times.
fn stepper(scheduler: &str, case: &Value, times: &[f64]) -> Result<Method> {
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
            let lower = config.or("lower_order_final", true)? && times.len() <= 15;
            let lower_order_final = if lower { LowerOrderFinal::of(times) } else { None };
            let order = config.count("solver_order")?;
            Box::new(DpmMultistep { lower_order_final, ..DpmMultistep::data(order) })
        }
        // Without lower orders at the end the orders alternate 1, 2: a step of order 2 each pair.
        "DPMSolverSinglestepScheduler" => {
            check_dpm(config)?;
            let order = config.count("solver_order")?;
            let lower = config.or("lower_order_final", false)?;
            ensure!(order == 2 && !lower, "order {order}, lower at the end: {lower}");
            let listed = case.numbers("timesteps")?;
            halved(listed.into_iter().skip(1).step_by(2).map(|i| i + 1.0).collect())
        }
        // There is no corrector after the last step; its order falls on a grid of any length.
        "UniPCMultistepScheduler" => {
            let variant = one_of(config.text_or("solver_type", "bh2"), &VARIANTS)?;
            let unipc = UniPc::data(variant, config.count("solver_order")?).ending(times);
            let lower = config.or("lower_order_final", true)?;
            let lower_order_final = unipc.lower_order_final.filter(|_| lower);
            Box::new(UniPc { lower_order_final, ..unipc })
        }
        other => bail!("unknown scheduler `{other}`"),
    })
}

/// The times between the steps of a discrete scheduler: training step `i` is time `i + 1`.
fn times(scheduler: &str, case: &Value) -> Result<Vec<f64>> {
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
