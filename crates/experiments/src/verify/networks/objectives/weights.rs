//! Weightings and conversions of errors over whole processes.

use anyhow::{Context, Result};
use score_nets::Weighting;
use sde_core::{Level, Parametrisation, Sde};

use super::super::super::case::{Case, mixed};
use super::super::super::json;
use super::File;

/// A column of a table over time.
type Column = Box<dyn Fn(&dyn Sde, f64) -> f64>;

pub(super) fn cases(file: &mut File) -> Result<()> {
    for name in file.named("", "_t") {
        let Some(sde) = file.process(&name) else {
            file.cases.push(Case::skip(&name, "unknown process"));
            continue;
        };
        let (sde, times) = (sde?, file.flat(&format!("{name}_t"))?);
        for array in file.named(&format!("{name}_"), "").into_iter().filter(|a| a != "t") {
            let full = format!("{name}_{array}");
            let Some(column) = column(file, &array)? else {
                file.cases.push(Case::skip(&full, format!("unknown column `{array}`")));
                continue;
            };
            let found: Vec<f64> = times.iter().map(|t| column(sde.as_ref(), *t)).collect();
            if array == "log_snr" {
                // As exact as its argument is relatively: absolute near zero.
                file.compare(&full, &found, mixed);
            } else {
                file.relative(&full, &found);
            }
        }
    }
    Ok(())
}

fn column(file: &File, name: &str) -> Result<Option<Column>> {
    let plain: fn(&dyn Sde, f64) -> f64 = match name {
        "alpha" => |s, t| s.marginal(t).alpha,
        "sigma" => |s, t| s.marginal(t).sigma,
        "g2" => |s, t| s.diffusion_squared(t),
        "log_snr" => |s, t| 2.0 * s.half_log_snr(t),
        "dlogsnr_dt" => |s, t| -Level::at(s, t).snr_decay(),
        _ => {
            return Ok(match name.strip_prefix("native_") {
                Some(rest) => per_eps(rest),
                None => match name.strip_prefix("w_") {
                    Some(rest) => weight(file, rest)?,
                    None => None,
                },
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
    Some(Box::new(move |sde: &dyn Sde, t: f64| output.error_per_eps(&Level::at(sde, t)).powi(2)))
}

fn weight(file: &File, name: &str) -> Result<Option<Column>> {
    let on_eps = |weighting: Weighting| -> Option<Column> {
        Some(Box::new(move |sde: &dyn Sde, t: f64| {
            weighting.on(Parametrisation::Eps, &Level::at(sde, t))
        }))
    };
    Ok(match name {
        "sigma2" => on_eps(Weighting::SigmaSquared),
        "g2" => on_eps(Weighting::DiffusionSquared),
        "vdm" => on_eps(Weighting::Vdm),
        "edm" => on_eps(Weighting::Edm { sigma_data: file.number("edm_weight_sigma_data")? }),
        "sigmoid" => on_eps(Weighting::Sigmoid { b: file.number("sigmoid_b")? }),
        "sigmoid_dt" => on_eps(Weighting::SigmoidTime { b: file.number("sigmoid_b")? }),
        "p2" => {
            let p2 = json::member(file.meta, "p2")?;
            let (k, gamma) = (json::number(p2, "k")?, json::number(p2, "gamma")?);
            on_eps(Weighting::P2 { k, gamma })
        }
        _ => match name.strip_prefix("minsnr") {
            Some(rest) => min_snr(rest)?,
            None => None,
        },
    })
}

/// `<gamma>_eps`, `<gamma>_v_native`, `<gamma>_x0_native`.
fn min_snr(name: &str) -> Result<Option<Column>> {
    let (gamma, form) = name.split_once('_').context("expected minsnr<gamma>_<form>")?;
    let weighting = Weighting::MinSnr { gamma: gamma.parse().context("minsnr<gamma>")? };
    Ok(match form {
        "eps" => Some(Box::new(move |s: &dyn Sde, t: f64| {
            weighting.on(Parametrisation::Eps, &Level::at(s, t))
        })),
        "x0_native" => Some(Box::new(move |s: &dyn Sde, t: f64| {
            weighting.on(Parametrisation::X0, &Level::at(s, t))
        })),
        // Published for alpha^2 + sigma^2 = 1, and taken at the same signal-to-noise ratio elsewhere.
        "v_native" => Some(Box::new(move |s: &dyn Sde, t: f64| {
            weighting.on(Parametrisation::V, &Level::at(s, t).variance_preserving())
        })),
        _ => None,
    })
}
