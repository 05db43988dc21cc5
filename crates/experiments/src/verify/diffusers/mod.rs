//! `diffusers_tests`: scheduler loops of huggingface/diffusers on the model `x t / (t + 1)`.
//!
//! Their arithmetic is single precision, which carries products of up to 1100 factors and noise
//! levels down to 0.01 with a relative error of some 1e-6, and a loop of a thousand steps with some
//! 1e-5: 5e-6 and 5e-5 of the largest pixel are allowed.

mod scheduler;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use ndarray::Array2;
use sde_core::schedule::EdmPreconditioning;
use sde_core::sde::Interpolation;
use sde_core::{Discrete, Edm, Reverse, Score, Sde};
use serde_json::Value;
use solvers::{Grid, Stepper, solve};

use self::scheduler::{choice, flag, stepper, times};
use super::case::{Case, Deviation, normwise};
use super::solver_cases::edm::Recorded;
use super::{from_file, json};
use crate::npy::Npz;

/// What is allowed for so many steps.
fn tolerance(steps: usize) -> f64 {
    if steps > 100 { 5e-5 } else { 5e-6 }
}

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    from_file(&dir.join("loops.json"), |path| {
        let loops = json::load(path)?;
        let archive = dir.join("loops.npz");
        let mut arrays = archive.exists().then(|| Npz::open(&archive)).transpose()?;
        let mut cases = Vec::new();
        for (name, case) in json::entries(json::member(&loops, "cases")?, "`cases`")? {
            let scheduler = case.get("scheduler").and_then(Value::as_str).unwrap_or_default();
            cases.push(match &mut arrays {
                None => Case::skip(name, "loops.npz is not there"),
                Some(npz) => Case::of(name, recompute(npz, name, scheduler, case)),
            });
        }
        Ok(cases)
    })
}

/// The training betas as the library holds them: `1 - beta` in single precision.
fn betas(config: &Value) -> Result<Vec<f64>> {
    let n = json::count(config, "num_train_timesteps")?;
    let (a, b) = (json::number(config, "beta_start")?, json::number(config, "beta_end")?);
    let beta = |i: usize| (a + (b - a) * i as f64 / (n - 1) as f64) as f32;
    Ok((0..n).map(|i| 1.0 - f64::from(1.0 - beta(i))).collect())
}

/// The model of a discrete schedule as a score.
struct Discretised<'a> {
    sde: &'a Discrete,
    /// Gives noise levels off the grid their training step.
    logarithmic: Discrete,
    grid: &'a [f64],
    velocity: bool,
    clip: bool,
}

impl Discretised<'_> {
    /// The training step of a time.
    fn step(&self, t: f64) -> sde_core::Result<f64> {
        if self.grid.contains(&t) {
            return Ok(t - 1.0);
        }
        Ok(self.logarithmic.time_of_half_log_snr(self.sde.half_log_snr(t))? - 1.0)
    }
}

impl Score<Array2<f64>> for Discretised<'_> {
    fn score(&self, x: &Array2<f64>, t: f64) -> sde_core::Result<Array2<f64>> {
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
    fn denoised(&self, x: &Array2<f64>, t: f64) -> sde_core::Result<Option<Array2<f64>>> {
        let m = self.sde.marginal(t);
        let data = |step: f64| x.mapv(|x| m.alpha * x - m.sigma * x * step / (step + 1.0));
        Ok(if self.velocity && !self.clip { Some(data(self.step(t)?)) } else { None })
    }
}

/// The preconditioned model of the EDM schedulers as a score.
struct Preconditioned;

impl Score<Array2<f64>> for Preconditioned {
    fn score(&self, x: &Array2<f64>, sigma: f64) -> sde_core::Result<Array2<f64>> {
        let edm = EdmPreconditioning { sigma_data: 0.5 };
        let c = edm.c_noise(sigma);
        Ok(x.mapv(|x| {
            let output = edm.c_in(sigma) * x * c / (c + 1.0);
            let data = edm.c_skip(sigma) * x + edm.c_out(sigma) * output;
            (data - x) / (sigma * sigma)
        }))
    }
}

fn recompute(npz: &mut Npz, name: &str, scheduler: &str, case: &Value) -> Result<Deviation> {
    let expected = npz.flat(&format!("{name}/final"))?;
    // The problem acts pixel by pixel, and noise was recorded for the first of them.
    let pixels = if json::count(case, "n_noise")? > 0 { 8 } else { expected.len() };
    let start = npz.flat("x0")?;
    ensure!(start.len() >= pixels && expected.len() >= pixels, "fewer than {pixels} pixels");
    let scale = json::number(case, "init_scale")?;
    let x = Array2::from_shape_vec((pixels, 1), start[..pixels].to_vec())? * scale;
    let config = json::member(case, "config")?;

    let found = if scheduler == "EDMEulerScheduler" {
        let times = json::numbers(case, "sigmas")?;
        let sde = Edm::new(json::number(config, "sigma_max")?)?;
        let stepper = stepper(scheduler, case, &times)?;
        run(&sde, &Preconditioned, 0.0, x, times, vec![], &*stepper)?
    } else {
        let karras = flag(config, "use_karras_sigmas", false);
        let logarithmic = Discrete::new(&betas(config)?)?;
        let between = if karras { Interpolation::LogRatio } else { Interpolation::Ratio };
        let sde = logarithmic.clone().with_interpolation(between);
        let times = times(scheduler, case)?;
        let velocity = choice(config, "prediction_type") == Some("v_prediction");
        let clip = flag(config, "clip_sample", false);
        let score = Discretised { sde: &sde, logarithmic, grid: &times, velocity, clip };
        // The schedulers over noise levels work on x / alpha.
        let first = *times.first().context("no timesteps")?;
        let levels = case.get("sigmas").is_some_and(Value::is_array) && scale != 1.0;
        let x = if levels { x * sde.marginal(first).alpha } else { x };
        let (eta, normals) = match json::count(case, "n_noise")? {
            0 => (0.0, vec![]),
            n => {
                let drawn = npz.rows(&format!("{name}/noise_first_pixels"))?;
                ensure!(drawn.dim() == (n, pixels), "noise of shape {:?}", drawn.dim());
                let column =
                    |z: ndarray::ArrayView1<'_, f64>| z.to_owned().insert_axis(ndarray::Axis(1));
                (1.0, drawn.outer_iter().map(column).collect())
            }
        };
        let stepper = stepper(scheduler, case, &times)?;
        run(&sde, &score, eta, x, times.clone(), normals, &*stepper)?
    };
    normwise(&found, &expected[..pixels], tolerance(json::count(case, "steps")?))
}

fn run<'a>(
    sde: &'a dyn Sde,
    score: &'a dyn Score<Array2<f64>>,
    eta: f64,
    x: Array2<f64>,
    times: Vec<f64>,
    normals: Vec<Array2<f64>>,
    stepper: &dyn Stepper<Array2<f64>, Reverse<'a, Array2<f64>>>,
) -> Result<Vec<f64>> {
    let problem = Reverse::new(sde, score, eta)?;
    let start = *times.first().context("no times")?;
    let noise = Recorded { times: times.clone(), normals };
    let mut control = Grid::new(times)?;
    let done = solve(stepper, &problem, x, start, &mut control, &noise, &mut ())?;
    Ok(done.x.into_iter().collect())
}
