//! The losses of Song et al., of Karras et al., of diffusers, and of flow matching.

use score_nets::{Reduction, TimeDistribution, Weighting};
use sde_core::schedule::{ddpm_betas, smld_sigmas};
use sde_core::{Discrete, Edm, Label, NoiseTable, Preconditioning, Rectified, Ve, Vp};

use super::process;
use super::tiny::{Batch, Regression, Tiny};
use crate::prelude::*;

/// What the tiny network divides steps by.
const STEPS: f64 = 1000.0;

fn levels(sde: &dyn Sde, times: &[f64]) -> Vec<Level> {
    times.iter().map(|t| Level::at(sde, *t)).collect()
}

/// A batch with labels in steps.
fn in_steps(sde: &dyn Sde, times: &[f64], label: &Label) -> Batch {
    let s = times.iter().map(|t| label.at(sde, *t) / STEPS).collect();
    Batch { levels: levels(sde, times), c_in: vec![1.0; times.len()], s }
}

/// A batch whose network is preconditioned for data of unit width.
fn preconditioned(sde: &dyn Sde, times: &[f64]) -> Batch {
    let (given, levels) = (Preconditioning::edm(1.0), levels(sde, times));
    let c_in = levels.iter().map(|l| given.input.at(l)).collect();
    let s = times.iter().map(|t| given.label.at(sde, *t)).collect();
    Batch { levels, c_in, s }
}

fn flag(text: &str) -> Result<bool> {
    ensure!(["0", "1"].contains(&text), "`{text}` is neither 0 nor 1");
    Ok(text == "1")
}

/// The losses `<name>_rm0` and `<name>_rm1` of a regression, those that are there.
fn reductions(archive: &mut Archive<'_>, net: &Tiny, on: &Regression, name: &str) -> Result<()> {
    for mean in archive.named(&format!("loss_{name}_rm"), "") {
        let reduction = if flag(&mean)? { Reduction::Mean } else { Reduction::HalfSum };
        net.evaluate(on, reduction).compare(archive, &format!("{name}_rm{mean}"));
    }
    Ok(())
}

/// The steps that the labels of the file are.
fn labels(archive: &mut Archive<'_>, steps: usize) -> Result<Vec<usize>> {
    indices(&archive.flat("labels")?, steps).context("labels")
}

/// Continuous and discrete losses of Song et al.
pub(super) fn score_sde(archive: &mut Archive<'_>, meta: &Value) -> Result<()> {
    let net = Tiny::read(archive)?;
    let n = meta.count("N")?;
    for name in archive.named("", "_std") {
        if let Some(sde) = process(meta, &name)? {
            continuous(archive, &net, &name, sde.as_ref(), meta)?;
        }
    }
    // Discrete levels of a process without drift, labels from the largest.
    let (low, high) = (meta.number("sigma_min")?, meta.number("sigma_max")?);
    let ve = Ve::new(low, high)?;
    // The level at quantile 1 - (label + 1/2) / n is the one of the label.
    let law = TimeDistribution::Levels { n: u32::try_from(n)? };
    let at = |l: &usize| law.time(&ve, 0.0, 1.0 - (*l as f64 + 0.5) / n as f64);
    let times = labels(archive, n)?.iter().map(at).collect::<Result<Vec<_>, _>>()?;
    archive.check("smld_sigma", times.iter().map(|t| ve.marginal(*t).sigma), By::Entry);
    let mut table = smld_sigmas(n, low, high);
    table.reverse();
    let label = Label::Step { table: NoiseTable::new(table)?, offset: 0.0 };
    let batch = in_steps(&ve, &times, &label);
    let on = net.regression(&batch, Parametrisation::Score, Weighting::SigmaSquared)?;
    reductions(archive, &net, &on, "smld")?;
    // Discrete steps of a table of betas.
    let betas = ddpm_betas(n, meta.number("beta_min")?, meta.number("beta_max")?);
    let (_, batch) = discrete_steps(archive, &betas)?;
    let products = batch.levels.iter().map(|l| l.alpha.powi(2));
    archive.check("ddpm_alphas_cumprod", products, By::Entry);
    let on = net.regression(&batch, Parametrisation::Eps, Weighting::SigmaSquared)?;
    reductions(archive, &net, &on, "ddpm")
}

/// The batch at the labels of the file, steps of a table of betas.
fn discrete_steps(archive: &mut Archive<'_>, betas: &[f64]) -> Result<(Discrete, Batch)> {
    let sde = Discrete::new(betas)?;
    let labels = labels(archive, betas.len())?;
    let times: Vec<f64> = labels.iter().map(|l| *l as f64 + 1.0).collect();
    let batch = in_steps(&sde, &times, &"step".parse::<Preconditioning>()?.label);
    Ok((sde, batch))
}

fn continuous(
    archive: &mut Archive<'_>,
    net: &Tiny,
    name: &str,
    sde: &dyn Sde,
    meta: &Value,
) -> Result<()> {
    let eps = meta.number("eps_t")?;
    let at = |u: &f64| TimeDistribution::Uniform.time(sde, eps, *u);
    let times = archive.flat("u")?.iter().map(at).collect::<Result<Vec<_>, _>>()?;
    // The network of a process without drift sees sigma, the others the step 999 t.
    let (output, batch) = if sde.drift_coef(0.5 * sde.horizon()) == 0.0 {
        (Parametrisation::Score, preconditioned(sde, &times))
    } else {
        let label = Label::Time { scale: (meta.count("N")? - 1) as f64, offset: 0.0 };
        (Parametrisation::Eps, in_steps(sde, &times, &label))
    };
    let on = net.regression(&batch, output, Weighting::SigmaSquared)?;
    let plain = net.evaluate(&on, Reduction::Mean);
    let scores = batch.column(|l| output.score(l).x) * &plain.x
        + batch.column(|l| output.score(l).p) * &plain.prediction;
    archive.check("t", &times, By::Entry);
    archive.check(&format!("{name}_alpha"), batch.column(|l| l.alpha), By::Entry);
    archive.check(&format!("{name}_std"), batch.column(|l| l.sigma), By::Entry);
    let g2 = times.iter().map(|t| sde.diffusion_squared(*t));
    archive.check(&format!("{name}_g2"), g2, By::Entry);
    archive.check(&format!("{name}_xt"), &plain.x, LARGEST);
    archive.check(&format!("{name}_score"), scores, LARGEST);
    for (likelihood, weighting) in
        [("0", Weighting::SigmaSquared), ("1", Weighting::DiffusionSquared)]
    {
        let on = net.regression(&batch, output, weighting)?;
        reductions(archive, net, &on, &format!("{name}_lw{likelihood}"))?;
    }
    Ok(())
}

/// The losses of Karras et al.; the tiny network is the denoiser itself.
pub(super) fn edm(archive: &mut Archive<'_>, meta: &Value) -> Result<()> {
    let net = Tiny::read(archive)?;
    // Noise levels are times, up to any level.
    let sde = Edm::new(1e300)?;
    for name in archive.named("", "_sigma") {
        let constants = meta.member("edm")?.member(&name)?;
        let number = |key| constants.number(key);
        let mut sigmas = archive.flat(if name == "EDMLoss" { "rnd_normal" } else { "u" })?;
        let mut weighting = Weighting::SigmaSquared;
        match name.as_str() {
            // `sigma / alpha` at uniform times, from the end.
            "VPLoss" => {
                let (eps, beta_min) = (number("epsilon_t")?, number("beta_min")?);
                let vp = Vp::new(beta_min, beta_min + number("beta_d")?)?;
                for u in &mut sigmas {
                    let t = TimeDistribution::Uniform.time(&vp, eps, 1.0 - *u)?;
                    *u = (-vp.half_log_snr(t)).exp();
                }
            }
            // `sigma` uniform in its logarithm.
            "VELoss" => {
                let ve = Ve::new(number("sigma_min")?, number("sigma_max")?)?;
                for u in &mut sigmas {
                    *u = ve.marginal(TimeDistribution::LogSnr.time(&ve, 0.0, *u)?).sigma;
                }
            }
            "EDMLoss" => {
                let (mean, std) = (number("P_mean")?, number("P_std")?);
                sigmas.iter_mut().for_each(|z| *z = (mean + std * *z).exp());
                weighting = Weighting::Edm { sigma_data: number("sigma_data")? };
            }
            _ => continue,
        }
        archive.check(&format!("{name}_sigma"), &sigmas, By::Entry);
        let on = net.regression(&preconditioned(&sde, &sigmas), Parametrisation::X0, weighting)?;
        net.evaluate(&on, Reduction::Sum).compare(archive, &name);
    }
    Ok(())
}

/// The losses of diffusers: three parametrisations under a table of betas, plain and min-SNR.
pub(super) fn discrete(archive: &mut Archive<'_>, meta: &Value) -> Result<()> {
    let net = Tiny::read(archive)?;
    let settings = meta.member("diffusers_scheduler")?;
    let schedule = settings.text("beta_schedule")?;
    ensure!(schedule == "linear", "beta_schedule `{schedule}`: expected `linear`");
    let n = settings.count("num_train_timesteps")?;
    let of_all = |key| Ok::<_, anyhow::Error>(settings.number(key)? * n as f64);
    let betas = ddpm_betas(n, of_all("beta_start")?, of_all("beta_end")?);
    let (sde, batch) = discrete_steps(archive, &betas)?;
    let products = (1..=n).map(|t| sde.marginal(t as f64).alpha.powi(2));
    archive.check("alphas_cumprod", products, By::Entry);
    archive.check("snr", batch.levels.iter().map(Level::snr), By::Entry);
    for (name, output) in [
        ("epsilon", Parametrisation::Eps),
        ("v_prediction", Parametrisation::V),
        ("sample", Parametrisation::X0),
    ] {
        let on = |weighting| -> Result<_> {
            Ok(net.evaluate(&net.regression(&batch, output, weighting)?, Reduction::Mean))
        };
        on(Weighting::Native)?.compare(archive, name);
        // snr on the data is one on the noise.
        let loss = on(Weighting::SigmaSquared)?.loss;
        archive.check(&format!("{name}_snr_loss"), [loss], By::Entry);
        for gamma in archive.named(&format!("{name}_minsnr"), "_loss") {
            let weighting = Weighting::MinSnr { gamma: gamma.parse().context("minsnr<gamma>")? };
            on(weighting)?.compare(archive, &format!("{name}_minsnr{gamma}"));
        }
    }
    Ok(())
}

/// Flow matching in both directions of time, and the weights of SD3.
pub(super) fn straight(archive: &mut Archive<'_>, _: &Value) -> Result<()> {
    let net = Tiny::read(archive)?;
    let times = archive.flat("t")?;
    // Where time runs from noise to data, the velocity has the other sign.
    for (name, sign) in [("noise_at_1", 1.0), ("data_at_1", -1.0)] {
        let at = |t: &f64| if sign > 0.0 { *t } else { 1.0 - t };
        let at: Vec<f64> = times.iter().map(at).collect();
        let (levels, c_in) = (levels(&Rectified, &at), vec![1.0; times.len()]);
        let batch = Batch { levels, c_in, s: times.clone() };
        let mut on = net.regression(&batch, Parametrisation::Velocity, Weighting::Native)?;
        on.target *= sign;
        net.evaluate(&on, Reduction::Mean).compare(archive, name);
        let sums = net.evaluate(&on, Reduction::Sum).rows;
        archive.check(&format!("{name}_persample_sum"), sums, By::Entry);
    }
    let on = |weighting: Weighting| {
        let at = |level| weighting.on(Parametrisation::Velocity, level);
        levels(&Rectified, &times).iter().map(at).collect::<Vec<f64>>()
    };
    // The original rounds this one to single precision.
    let single = f64::from(f32::EPSILON);
    archive.check_to("sd3_sigma_sqrt", on(Weighting::SigmaSqrt), By::Entry, single);
    archive.check("sd3_cosmap", on(Weighting::CosMap), By::Entry);
    Ok(())
}
