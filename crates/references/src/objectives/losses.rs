//! The losses of Song et al., of Karras et al., of diffusers, and of flow matching.

use anyhow::{Context, Result, bail};
use score_nets::{Reduction, TimeDistribution, Weighting};
use sde_core::schedule::{ddpm_betas, smld_sigmas};
use sde_core::{
    Discrete, Edm, Label, Level, NoiseTable, Parametrisation, Preconditioning, Rectified, Sde, Ve,
    Vp,
};

use super::File;
use super::tiny::{Batch, Tiny};
use crate::case::{By, LARGEST};
use crate::read::Json;

/// What the tiny network divides steps by.
const STEPS: f64 = 1000.0;

fn levels(sde: &dyn Sde, times: &[f64]) -> Vec<Level> {
    times.iter().map(|t| Level::at(sde, *t)).collect()
}

/// A batch with labels in steps.
fn in_steps(levels: Vec<Level>, steps: &[f64]) -> Batch {
    let s = steps.iter().map(|s| s / STEPS).collect();
    Batch { c_in: vec![1.0; levels.len()], s, levels }
}

/// A batch whose network is preconditioned for data of unit width.
fn preconditioned(sde: &dyn Sde, times: &[f64]) -> Batch {
    let (given, levels) = (Preconditioning::edm(1.0), levels(sde, times));
    let c_in = levels.iter().map(|l| given.input.at(l)).collect();
    let s = times.iter().map(|t| given.label.at(sde, *t)).collect();
    Batch { levels, c_in, s }
}

fn flag(text: &str) -> Result<bool> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => bail!("`{text}` is neither 0 nor 1"),
    }
}

fn reduction(text: &str) -> Result<Reduction> {
    Ok(if flag(text)? { Reduction::Mean } else { Reduction::HalfSum })
}

/// Continuous and discrete losses of Song et al.
pub(super) fn score_sde(file: &mut File<'_>) -> Result<()> {
    let net = Tiny::read(file)?;
    let n = file.meta.count("N")?;
    for name in file.named("", "_std") {
        if let Some(sde) = file.process(&name)? {
            continuous(file, &net, &name, sde.as_ref(), n)?;
        }
    }
    smld(file, &net, n)?;
    ddpm(file, &net, n)
}

fn continuous(file: &mut File<'_>, net: &Tiny, name: &str, sde: &dyn Sde, n: usize) -> Result<()> {
    let eps = file.number("eps_t")?;
    let u = file.flat("u")?;
    let times = u.iter().map(|u| TimeDistribution::Uniform.time(sde, eps, *u));
    let times = times.collect::<Result<Vec<_>, _>>()?;
    file.check("t", &times, By::Entry);
    let levels = levels(sde, &times);
    let of = |f: fn(&Level) -> f64| levels.iter().map(f).collect::<Vec<_>>();
    file.check(&format!("{name}_alpha"), &of(|l| l.alpha), By::Entry);
    file.check(&format!("{name}_std"), &of(|l| l.sigma), By::Entry);
    let g2: Vec<f64> = times.iter().map(|t| sde.diffusion_squared(*t)).collect();
    file.check(&format!("{name}_g2"), &g2, By::Entry);
    // The network of a process without drift sees sigma, the others the step 999 t.
    let drift = sde.drift_coef(0.5 * sde.horizon()) != 0.0;
    let (output, batch) = if drift {
        let label = Label::Time { scale: (n - 1) as f64, offset: 0.0 };
        let steps: Vec<f64> = times.iter().map(|t| label.at(sde, *t)).collect();
        (Parametrisation::Eps, in_steps(levels.clone(), &steps))
    } else {
        (Parametrisation::Score, preconditioned(sde, &times))
    };
    let rows = net.regression(&batch, output, Weighting::SigmaSquared)?;
    let plain = net.evaluate(&rows, Reduction::Mean);
    file.check(&format!("{name}_xt"), &plain.x, LARGEST);
    let rows = plain.prediction.chunks(net.dim).zip(plain.x.chunks(net.dim)).zip(&levels);
    let scores = rows.flat_map(|((p, x), level)| {
        let c = output.score(level);
        p.iter().zip(x).map(move |(p, x)| c.of(*x, *p))
    });
    file.check(&format!("{name}_score"), &scores.collect::<Vec<_>>(), LARGEST);
    for case in file.named(&format!("loss_{name}_lw"), "") {
        let (likelihood, mean) = case.split_once("_rm").context("expected lw<0|1>_rm<0|1>")?;
        let weighting =
            if flag(likelihood)? { Weighting::DiffusionSquared } else { Weighting::SigmaSquared };
        let rows = net.regression(&batch, output, weighting)?;
        let name = format!("{name}_lw{case}");
        net.evaluate(&rows, reduction(mean)?).compare(file, &name);
    }
    Ok(())
}

/// Discrete levels of a process without drift, labels from the largest.
fn smld(file: &mut File<'_>, net: &Tiny, n: usize) -> Result<()> {
    let (low, high) = (file.number("sigma_min")?, file.number("sigma_max")?);
    let ve = Ve::new(low, high)?;
    // The level at quantile 1 - (label + 1/2) / n is the one of the label.
    let law = TimeDistribution::Levels { n: u32::try_from(n)? };
    let at = |l: &usize| law.time(&ve, 0.0, 1.0 - (*l as f64 + 0.5) / n as f64);
    let times = file.labels(n)?.iter().map(at).collect::<Result<Vec<_>, _>>()?;
    let sigmas: Vec<f64> = times.iter().map(|t| ve.marginal(*t).sigma).collect();
    file.check("smld_sigma", &sigmas, By::Entry);
    let mut table = smld_sigmas(n, low, high);
    table.reverse();
    let label = Label::Step { table: NoiseTable::new(table)?, offset: 0.0 };
    let steps: Vec<f64> = times.iter().map(|t| label.at(&ve, *t)).collect();
    let batch = in_steps(levels(&ve, &times), &steps);
    let rows = net.regression(&batch, Parametrisation::Score, Weighting::SigmaSquared)?;
    for mean in file.named("loss_smld_rm", "") {
        net.evaluate(&rows, reduction(&mean)?).compare(file, &format!("smld_rm{mean}"));
    }
    Ok(())
}

/// Discrete steps of a table of betas.
fn ddpm(file: &mut File<'_>, net: &Tiny, n: usize) -> Result<()> {
    let sde = Discrete::new(&ddpm_betas(n, file.number("beta_min")?, file.number("beta_max")?))?;
    let times: Vec<f64> = file.labels(n)?.iter().map(|l| *l as f64 + 1.0).collect();
    let products: Vec<f64> = times.iter().map(|t| sde.marginal(*t).alpha.powi(2)).collect();
    file.check("ddpm_alphas_cumprod", &products, By::Entry);
    let label = "step".parse::<Preconditioning>()?.label;
    let steps: Vec<f64> = times.iter().map(|t| label.at(&sde, *t)).collect();
    let batch = in_steps(levels(&sde, &times), &steps);
    let rows = net.regression(&batch, Parametrisation::Eps, Weighting::SigmaSquared)?;
    for mean in file.named("loss_ddpm_rm", "") {
        net.evaluate(&rows, reduction(&mean)?).compare(file, &format!("ddpm_rm{mean}"));
    }
    Ok(())
}

/// The losses of Karras et al.; the tiny network is the denoiser itself.
pub(super) fn edm(file: &mut File<'_>) -> Result<()> {
    let net = Tiny::read(file)?;
    // Noise levels are times, up to any level.
    let sde = Edm::new(1e300)?;
    for name in file.named("", "_sigma") {
        let constants = file.meta.member("edm")?.member(&name)?;
        let number = |key| constants.number(key);
        let (sigmas, weighting): (Vec<f64>, _) = match name.as_str() {
            // `sigma / alpha` at uniform times, from the end.
            "VPLoss" => {
                let (eps, beta_min) = (number("epsilon_t")?, number("beta_min")?);
                let vp = Vp::new(beta_min, beta_min + number("beta_d")?)?;
                let at = |u: &f64| -> Result<f64> {
                    Ok((-vp.half_log_snr(TimeDistribution::Uniform.time(&vp, eps, 1.0 - u)?)).exp())
                };
                let u = file.flat("u")?;
                (u.iter().map(at).collect::<Result<_>>()?, Weighting::SigmaSquared)
            }
            // `sigma` uniform in its logarithm.
            "VELoss" => {
                let ve = Ve::new(number("sigma_min")?, number("sigma_max")?)?;
                let at = |u: &f64| -> Result<f64> {
                    Ok(ve.marginal(TimeDistribution::LogSnr.time(&ve, 0.0, *u)?).sigma)
                };
                let u = file.flat("u")?;
                (u.iter().map(at).collect::<Result<_>>()?, Weighting::SigmaSquared)
            }
            "EDMLoss" => {
                let (mean, std) = (number("P_mean")?, number("P_std")?);
                let sigma_data = number("sigma_data")?;
                let normals = file.flat("rnd_normal")?;
                let sigmas = normals.iter().map(|z| (mean + std * z).exp()).collect();
                (sigmas, Weighting::Edm { sigma_data })
            }
            _ => continue,
        };
        file.check(&format!("{name}_sigma"), &sigmas, By::Entry);
        let batch = preconditioned(&sde, &sigmas);
        let rows = net.regression(&batch, Parametrisation::X0, weighting)?;
        net.evaluate(&rows, Reduction::Sum).compare(file, &name);
    }
    Ok(())
}

/// The losses of diffusers: three parametrisations under a table of betas, plain and min-SNR.
pub(super) fn discrete(file: &mut File<'_>) -> Result<()> {
    let net = Tiny::read(file)?;
    let settings = file.meta.member("diffusers_scheduler")?;
    match settings.text("beta_schedule")? {
        "linear" => {}
        other => bail!("beta_schedule `{other}`: expected `linear`"),
    }
    let n = settings.count("num_train_timesteps")?;
    let of_all = |key| Ok::<_, anyhow::Error>(settings.number(key)? * n as f64);
    let sde = Discrete::new(&ddpm_betas(n, of_all("beta_start")?, of_all("beta_end")?))?;
    let products: Vec<f64> = (1..=n).map(|t| sde.marginal(t as f64).alpha.powi(2)).collect();
    file.check("alphas_cumprod", &products, By::Entry);
    let labels: Vec<f64> = file.labels(n)?.into_iter().map(|l| l as f64).collect();
    let times: Vec<f64> = labels.iter().map(|l| l + 1.0).collect();
    let batch = in_steps(levels(&sde, &times), &labels);
    let snr: Vec<f64> = batch.levels.iter().map(Level::snr).collect();
    file.check("snr", &snr, By::Entry);
    for name in file.named("", "_target") {
        let output = match name.as_str() {
            "epsilon" => Parametrisation::Eps,
            "v_prediction" => Parametrisation::V,
            "sample" => Parametrisation::X0,
            _ => continue,
        };
        let on = |weighting| -> Result<_> {
            Ok(net.evaluate(&net.regression(&batch, output, weighting)?, Reduction::Mean))
        };
        on(Weighting::Native)?.compare(file, &name);
        // snr on the data is one on the noise.
        let loss = on(Weighting::SigmaSquared)?.loss;
        file.check(&format!("{name}_snr_loss"), &[loss], By::Entry);
        for gamma in file.named(&format!("{name}_minsnr"), "_loss") {
            let weighting = Weighting::MinSnr { gamma: gamma.parse().context("minsnr<gamma>")? };
            on(weighting)?.compare(file, &format!("{name}_minsnr{gamma}"));
        }
    }
    Ok(())
}

/// Flow matching in both directions of time, and the weights of SD3.
pub(super) fn straight(file: &mut File<'_>) -> Result<()> {
    let net = Tiny::read(file)?;
    let times = file.flat("t")?;
    for name in file.named("", "_target") {
        // Where time runs from noise to data, the velocity has the other sign.
        let forward = match name.as_str() {
            "noise_at_1" => true,
            "data_at_1" => false,
            _ => continue,
        };
        let at = |t: &f64| Level::at(&Rectified, if forward { *t } else { 1.0 - t });
        let levels: Vec<Level> = times.iter().map(at).collect();
        let batch = Batch { c_in: vec![1.0; levels.len()], s: times.clone(), levels };
        let mut rows = net.regression(&batch, Parametrisation::Velocity, Weighting::Native)?;
        if !forward {
            rows.iter_mut().flat_map(|r| &mut r.target).for_each(|v| *v = -*v);
        }
        net.evaluate(&rows, Reduction::Mean).compare(file, &name);
        let sums = net.evaluate(&rows, Reduction::Sum).rows;
        file.check(&format!("{name}_persample_sum"), &sums, By::Entry);
    }
    let on = |weighting: Weighting| -> Vec<f64> {
        let at = |t: &f64| weighting.on(Parametrisation::Velocity, &Level::at(&Rectified, *t));
        times.iter().map(at).collect()
    };
    // The original rounds this one to single precision.
    let single = f64::from(f32::EPSILON);
    file.check_to("sd3_sigma_sqrt", &on(Weighting::SigmaSqrt), By::Entry, single);
    file.check("sd3_cosmap", &on(Weighting::CosMap), By::Entry);
    Ok(())
}
