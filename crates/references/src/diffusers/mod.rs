//! `diffusers_tests`: scheduler loops of huggingface/diffusers on the model `x t / (t + 1)`.
//!
//! Their arithmetic is single precision, which carries products of up to 1100 factors and noise
//! levels down to 0.01 with a relative error of some 1e-6, and a loop of a thousand steps with some
//! 1e-5: 5e-6 and 5e-5 of the largest pixel are allowed.

mod scheduler;

use anyhow::{Context, Result, ensure};
use ndarray::{ArrayView1, Axis};
use sde_core::schedule::EdmPreconditioning;
use sde_core::sde::Interpolation;
use sde_core::{Discrete, Edm, Score, Sde};
use serde_json::Value;

use self::scheduler::{stepper, times};
use crate::case::{Cases, Check, LARGEST, check};
use crate::npy::Npz;
use crate::read::{Folder, Json};
use crate::samplers::{Draws, Recorded, Rows, Sampler};

pub(crate) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    let Some(loops) = dir.json("loops.json")? else { return Ok(()) };
    let mut npz = dir.npz("loops.npz")?;
    for (name, case) in loops.member("cases")?.entries()? {
        match &mut npz {
            None => cases.skip(name, "loops.npz is not there"),
            Some(npz) => cases.add(name, || recompute(npz, name, case)),
        }
    }
    Ok(())
}

/// The training betas as the library holds them: `1 - beta` in single precision.
fn betas(config: &Value) -> Result<Vec<f64>> {
    let n = config.count("num_train_timesteps")?;
    let (a, b) = (config.number("beta_start")?, config.number("beta_end")?);
    let beta = |i: usize| (a + (b - a) * i as f64 / (n - 1) as f64) as f32;
    Ok((0..n).map(|i| 1.0 - f64::from(1.0 - beta(i))).collect())
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
struct Preconditioned;

impl Score<Rows> for Preconditioned {
    fn score(&self, x: &Rows, sigma: f64) -> sde_core::Result<Rows> {
        let edm = EdmPreconditioning { sigma_data: 0.5 };
        let c = edm.c_noise(sigma);
        Ok(x.mapv(|x| {
            let output = edm.c_in(sigma) * x * c / (c + 1.0);
            let data = edm.c_skip(sigma) * x + edm.c_out(sigma) * output;
            (data - x) / (sigma * sigma)
        }))
    }
}

fn recompute(npz: &mut Npz, name: &str, case: &Value) -> Result<Check> {
    let (scheduler, config) = (case.text("scheduler")?, case.member("config")?);
    let expected = npz.flat(&format!("{name}/final"))?;
    // The problem acts pixel by pixel, and noise was recorded for the first of them.
    let n_noise = case.count("n_noise")?;
    let pixels = if n_noise > 0 { 8 } else { expected.len() };
    let start = npz.flat("x0")?;
    ensure!(start.len() >= pixels && expected.len() >= pixels, "fewer than {pixels} pixels");
    let scale = case.number("init_scale")?;
    let mut x = Rows::from_shape_vec((pixels, 1), start[..pixels].to_vec())? * scale;
    let (score, sde, times): (Box<dyn Score<Rows>>, Box<dyn Sde>, _) =
        if scheduler == "EDMEulerScheduler" {
            let sde = Edm::new(config.number("sigma_max")?)?;
            (Box::new(Preconditioned), Box::new(sde), case.numbers("sigmas")?)
        } else {
            let logarithmic = Discrete::new(&betas(config)?)?;
            let karras = config.flag_or("use_karras_sigmas", false);
            let between = if karras { Interpolation::LogRatio } else { Interpolation::Ratio };
            let (sde, grid) =
                (logarithmic.clone().with_interpolation(between), times(scheduler, case)?);
            // The schedulers over noise levels work on x / alpha.
            if case.get("sigmas").is_some_and(Value::is_array) && scale != 1.0 {
                x *= sde.marginal(*grid.first().context("no timesteps")?).alpha;
            }
            let velocity = config.text_or("prediction_type", "epsilon") == "v_prediction";
            let clip = config.flag_or("clip_sample", false);
            let (own, times) = (sde.clone(), grid.clone());
            let score = Discretised { sde, logarithmic, grid, velocity, clip };
            (Box::new(score), Box::new(own), times)
        };
    ensure!(times.len() > 1, "{} times", times.len());
    let mut normals = Vec::new();
    if n_noise > 0 {
        let drawn = npz.rows(&format!("{name}/noise_first_pixels"))?;
        ensure!(drawn.dim() == (n_noise, pixels), "noise of shape {:?}", drawn.dim());
        let column = |z: ArrayView1<'_, f64>| z.to_owned().insert_axis(Axis(1));
        normals = drawn.outer_iter().map(column).collect();
    }
    let noise = Recorded::new(normals, Draws::EachStep, &times);
    let plain = Sampler::ode(sde, times.clone(), stepper(scheduler, case, &times)?);
    let sampler = Sampler { eta: if n_noise > 0 { 1.0 } else { 0.0 }, ..plain };
    let run = sampler.run(&*score, x, &noise)?;
    let found: Vec<f64> = run.states[run.states.len() - 1].iter().copied().collect();
    let tolerance = if case.count("steps")? > 100 { 5e-5 } else { 5e-6 };
    check(&found, &expected[..pixels], LARGEST, tolerance)
}
