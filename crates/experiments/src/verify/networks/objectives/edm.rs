//! The losses of Karras et al.; the tiny network is the denoiser itself.

use anyhow::Result;
use score_nets::{Reduction, TimeDistribution, Weighting};
use sde_core::{Edm, Level, Parametrisation, Preconditioning, Sde, Ve, Vp};
use serde_json::Value;

use super::super::super::case::{Case, normwise};
use super::super::super::json;
use super::File;
use super::tiny::{Row, Tiny};

pub(super) fn cases(file: &mut File) -> Result<()> {
    let net = Tiny::read(file)?;
    let settings = json::member(file.meta, "edm")?.clone();
    for name in file.named("", "_sigma") {
        let Some(constants) = settings.get(&name) else {
            file.cases.push(Case::skip(&name, "meta.json has no constants of this loss"));
            continue;
        };
        let (sigmas, weighting) = match name.as_str() {
            "VPLoss" => (vp(file, constants)?, Weighting::SigmaSquared),
            "VELoss" => (ve(file, constants)?, Weighting::SigmaSquared),
            "EDMLoss" => {
                let sigma_data = json::number(constants, "sigma_data")?;
                (log_normal(file, constants)?, Weighting::Edm { sigma_data })
            }
            _ => {
                file.cases.push(Case::skip(&name, "unknown loss"));
                continue;
            }
        };
        loss(file, &net, &name, &sigmas, weighting)?;
    }
    Ok(())
}

/// The process of noise levels as times, up to any level.
fn process() -> Result<Edm> {
    Ok(Edm::new(1e300)?)
}

/// `sigma / alpha` at uniform times, from the end.
fn vp(file: &mut File, constants: &Value) -> Result<Vec<f64>> {
    let number = |key| json::number(constants, key);
    let (eps, beta_min) = (number("epsilon_t")?, number("beta_min")?);
    let sde = Vp::new(beta_min, beta_min + number("beta_d")?)?;
    let sigma = |u: &f64| -> Result<f64> {
        let t = TimeDistribution::Uniform.time(&sde, eps, 1.0 - u)?;
        Ok((-sde.half_log_snr(t)).exp())
    };
    file.flat("u")?.iter().map(sigma).collect()
}

/// `sigma` uniform in its logarithm.
fn ve(file: &mut File, constants: &Value) -> Result<Vec<f64>> {
    let number = |key| json::number(constants, key);
    let sde = Ve::new(number("sigma_min")?, number("sigma_max")?)?;
    let sigma = |u: &f64| -> Result<f64> {
        Ok(sde.marginal(TimeDistribution::LogSnr.time(&sde, 0.0, *u)?).sigma)
    };
    file.flat("u")?.iter().map(sigma).collect()
}

/// The normal numbers of `rnd_normal` as levels.
fn log_normal(file: &mut File, constants: &Value) -> Result<Vec<f64>> {
    let (mean, std) = (json::number(constants, "P_mean")?, json::number(constants, "P_std")?);
    Ok(file.flat("rnd_normal")?.iter().map(|z| (mean + std * z).exp()).collect())
}

fn loss(
    file: &mut File,
    net: &Tiny,
    name: &str,
    sigmas: &[f64],
    weighting: Weighting,
) -> Result<()> {
    let (sde, given) = (process()?, Preconditioning::edm(1.0));
    let row = |(i, sigma): (usize, &f64)| {
        let (level, (x0, z)) = (Level::at(&sde, *sigma), net.row(i));
        Row {
            x: x0.iter().zip(z).map(|(x, z)| level.alpha * x + level.sigma * z).collect(),
            c_in: given.input.at(&level),
            s: given.label.at(&sde, *sigma),
            target: x0.to_vec(),
            weight: weighting.on(Parametrisation::X0, &level),
        }
    };
    let rows: Vec<Row> = sigmas.iter().enumerate().map(row).collect();
    let found = net.evaluate(&rows, Reduction::Sum);
    let weights: Vec<f64> = rows.iter().map(|r| r.weight).collect();
    file.relative(&format!("{name}_sigma"), sigmas);
    file.relative(&format!("{name}_weight"), &weights);
    file.compare(&format!("{name}_map"), &found.map, normwise);
    file.relative(&format!("{name}_persample"), &found.rows);
    file.relative(&format!("{name}_loss"), &[found.loss]);
    found.gradients(file, name);
    Ok(())
}
