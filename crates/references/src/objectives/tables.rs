//! Weightings and conversions of errors over whole processes, and times drawn by importance.

use anyhow::{Context, Result};
use score_nets::{TimeDistribution, Weighting, importance_integral};
use sde_core::{Level, Parametrisation, Sde};

use super::File;
use crate::case::{By, LARGEST};
use crate::read::Json;

/// What score_flow's series for small exponents leaves, of the largest entry: 3e-5 is stated.
const SERIES: f64 = 5e-5;

/// A column of a table over time.
type Column = Box<dyn Fn(&dyn Sde, f64) -> f64>;

pub(super) fn weights(file: &mut File<'_>) -> Result<()> {
    for name in file.named("", "_t") {
        let Some(sde) = file.process(&name)? else { continue };
        let times = file.flat(&format!("{name}_t"))?;
        for array in file.named(&format!("{name}_"), "").into_iter().filter(|a| a != "t") {
            if let Some(column) = column(file, &array)? {
                let found: Vec<f64> = times.iter().map(|t| column(sde.as_ref(), *t)).collect();
                // A logarithm is as exact as its argument relatively: absolute near zero.
                let by = if array == "log_snr" { By::Mixed } else { By::Entry };
                file.check(&format!("{name}_{array}"), &found, by);
            }
        }
    }
    Ok(())
}

fn column(file: &File<'_>, name: &str) -> Result<Option<Column>> {
    let plain: fn(&dyn Sde, f64) -> f64 = match name {
        "alpha" => |s, t| s.marginal(t).alpha,
        "sigma" => |s, t| s.marginal(t).sigma,
        "g2" => |s, t| s.diffusion_squared(t),
        "log_snr" => |s, t| 2.0 * s.half_log_snr(t),
        "dlogsnr_dt" => |s, t| -Level::at(s, t).snr_decay(),
        _ => {
            return Ok(match name.strip_prefix("native_") {
                Some(rest) => per_eps(rest),
                None => name.strip_prefix("w_").map(|w| weight(file, w)).transpose()?.flatten(),
            });
        }
    };
    Ok(Some(Box::new(plain)))
}

/// The squared error of what a network gives for one of the noise.
fn per_eps(name: &str) -> Option<Column> {
    let output = match name.strip_suffix("_per_eps")? {
        "x0" => Parametrisation::X0,
        "v" => Parametrisation::V,
        "fm_v" => Parametrisation::Velocity,
        _ => return None,
    };
    Some(Box::new(move |sde, t| output.error_per_eps(&Level::at(sde, t)).powi(2)))
}

fn weight(file: &File<'_>, name: &str) -> Result<Option<Column>> {
    let weighting = match name {
        "sigma2" => Weighting::SigmaSquared,
        "g2" => Weighting::DiffusionSquared,
        "vdm" => Weighting::Vdm,
        "edm" => Weighting::Edm { sigma_data: file.number("edm_weight_sigma_data")? },
        "sigmoid" => Weighting::Sigmoid { b: file.number("sigmoid_b")? },
        "sigmoid_dt" => Weighting::SigmoidTime { b: file.number("sigmoid_b")? },
        "p2" => {
            let p2 = file.meta.member("p2")?;
            Weighting::P2 { k: p2.number("k")?, gamma: p2.number("gamma")? }
        }
        _ => return name.strip_prefix("minsnr").map_or(Ok(None), min_snr),
    };
    Ok(Some(Box::new(move |s, t| weighting.on(Parametrisation::Eps, &Level::at(s, t)))))
}

/// `<gamma>_eps`, `<gamma>_v_native`, `<gamma>_x0_native`.
fn min_snr(name: &str) -> Result<Option<Column>> {
    let (gamma, form) = name.split_once('_').context("expected minsnr<gamma>_<form>")?;
    let weighting = Weighting::MinSnr { gamma: gamma.parse().context("minsnr<gamma>")? };
    let output = match form {
        "eps" => Parametrisation::Eps,
        "x0_native" => Parametrisation::X0,
        "v_native" => Parametrisation::V,
        _ => return Ok(None),
    };
    Ok(Some(Box::new(move |s, t| {
        let level = Level::at(s, t);
        // That of v is published for alpha^2 + sigma^2 = 1, and taken at the same signal-to-noise ratio elsewhere.
        let level = if output == Parametrisation::V { level.variance_preserving() } else { level };
        weighting.on(output, &level)
    })))
}

/// Times with density proportional to `g^2 / sigma^2`.
pub(super) fn importance(file: &mut File<'_>) -> Result<()> {
    for key in file.named("", "_Z") {
        let (name, eps) = key.split_once("_eps").context("expected <process>_eps<t_min>")?;
        let eps: f64 = eps.parse().with_context(|| format!("`{key}` carries no smallest time"))?;
        let Some(sde) = file.process(name)? else { continue };
        let (sde, law) = (sde.as_ref(), TimeDistribution::LogSnr);
        let z = importance_integral(sde, eps)?;
        file.check(&format!("{key}_Z"), &[z], By::Entry);
        let (times, u) = (file.flat(&format!("{key}_t"))?, file.flat(&format!("{key}_u"))?);
        let over = |f: &dyn Fn(f64) -> score_nets::Result<f64>, at: &[f64]| {
            at.iter().map(|t| f(*t)).collect::<Result<Vec<_>, _>>()
        };
        let shares = over(&|t| law.cdf(sde, eps, t), &times)?;
        file.check(&format!("{key}_cdf"), &shares, By::Mixed);
        let densities = over(&|t| law.density(sde, eps, t), &times)?;
        file.check(&format!("{key}_pdf"), &densities, By::Entry);
        let inverse = over(&|u| law.time(sde, eps, u), &u)?;
        file.check(&format!("{key}_inv"), &inverse, By::Mixed);
        let weights: Vec<f64> = shares.iter().map(|s| s * z).collect();
        file.check_to(&format!("{key}_score_flow_cum_weight"), &weights, LARGEST, SERIES);
    }
    Ok(())
}
