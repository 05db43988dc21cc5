//! `schedules`: marginals, coefficients and grids against fifty-digit arithmetic, 1e-12 relative.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use sde_core::schedule::{Cosine, EdmPreconditioning, alphas_cumprod, ddpm_betas};
use sde_core::{Sde, TimeGrid, Ve};
use serde_json::Value;

use super::case::{Case, Deviation, mixed, relative};
use super::{constants, from_file, json};

const TOLERANCE: f64 = 1e-12;

pub(super) fn cases(dir: &Path) -> Vec<Case> {
    from_file(&dir.join("schedules.json"), |path| {
        let file = json::load(path)?;
        let mut cases = Vec::new();
        for (key, table) in json::entries(&file, "schedules.json")? {
            entry(&file, key, table, &mut cases);
        }
        Ok(cases)
    })
}

fn entry(file: &Value, key: &str, table: &Value, cases: &mut Vec<Case>) {
    if let Some(sde) = constants::sde_of_key(key) {
        match sde {
            Ok(sde) => columns(key, sde.as_ref(), table, cases),
            Err(error) => cases.push(Case::failed(key, error)),
        }
    } else if key.starts_with("vp_inverse_lambda") {
        cases.push(Case::of(key, inverse_lambda(file, key, table)));
    } else if let Some(rest) = key.strip_prefix("karras_rho") {
        karras(key, rest, table, cases);
    } else if let Some(rest) = key.strip_prefix("smld_N") {
        cases.push(Case::of(key, smld(rest, table)));
    } else if let Some(rest) = key.strip_prefix("cosine_s") {
        named(key, rest, "t", cosine, table, cases);
    } else if let Some(rest) = key.strip_prefix("edm_precond_sigma_data_") {
        named(key, rest, "sigma", preconditioning, table, cases);
    } else if let Some(rest) = key.strip_prefix("ddpm_N") {
        ddpm(key, rest, table, cases);
    } else {
        cases.push(Case::skip(key, "unknown table"));
    }
}

/// One case a column of a table over `t`.
fn columns(key: &str, sde: &dyn Sde, table: &Value, cases: &mut Vec<Case>) {
    let columns = json::entries(table, key);
    let times = json::numbers(table, "t");
    let (columns, times) = match (columns, times) {
        (Ok(c), Ok(t)) => (c, t),
        (Err(e), _) | (_, Err(e)) => return cases.push(Case::failed(key, e)),
    };
    for (column, values) in columns {
        if column == "t" {
            continue;
        }
        let name = format!("{key}/{column}");
        let Some(function) = quantity(key, column) else {
            cases.push(Case::skip(&name, format!("unknown column `{column}`")));
            continue;
        };
        cases.push(Case::of(
            name,
            json::list(values).and_then(|expected| {
                let found: Vec<f64> = times.iter().map(|&t| function(sde, t)).collect();
                // A logarithm is exact to within its argument's relative error: absolute near zero.
                let compare = if column == "lambda_half_logsnr" { mixed } else { relative };
                compare(&found, &expected, TOLERANCE)
            }),
        ));
    }
}

type Quantity = fn(&dyn Sde, f64) -> f64;

/// What a column holds, by the public functions of an SDE.
fn quantity(key: &str, column: &str) -> Option<Quantity> {
    let integral: Quantity = if key.starts_with("subvp_") { subvp_integral } else { vp_integral };
    let has_beta = key.contains("vp_");
    Some(match column {
        "alpha" => |s, t| s.marginal(t).alpha,
        "sigma" => |s, t| s.marginal(t).sigma,
        "sigma2" => |s, t| s.marginal(t).sigma.powi(2),
        // The noise added since t = 0, where VE starts with sigma_min.
        "sigma2_minus_sigma0_2" => |s, t| s.transition(0.0, t).sigma.powi(2),
        "f" => |s, t| s.drift_coef(t),
        "g2" => |s, t| s.diffusion_squared(t),
        "g" => |s, t| s.diffusion(t),
        "lambda_half_logsnr" => |s, t| s.half_log_snr(t),
        "beta" if has_beta => |s, t| -2.0 * s.drift_coef(t),
        "int_beta" if has_beta => integral,
        "log_alpha" if key.starts_with("subvp_") => |s, t| -0.5 * subvp_integral(s, t),
        "log_alpha" if has_beta => |s, t| -0.5 * vp_integral(s, t),
        _ => return None,
    })
}

/// `B` of a VP process from its log-SNR: `e^B - 1 = e^{-2 lambda}`.
fn vp_integral(sde: &dyn Sde, t: f64) -> f64 {
    let y = -2.0 * sde.half_log_snr(t);
    y.max(0.0) + (-y.abs()).exp().ln_1p()
}

/// `B` of a sub-VP process from its log-SNR: `2 sinh(B/2) = e^{-lambda}`.
fn subvp_integral(sde: &dyn Sde, t: f64) -> f64 {
    2.0 * (0.5 * (-sde.half_log_snr(t)).exp()).asinh()
}

/// The inverse of lambda under the VP whose table stands in the same file.
fn inverse_lambda(file: &Value, key: &str, table: &Value) -> Result<Deviation> {
    let own = key.strip_prefix("vp_inverse_lambda_").map(|rest| format!("vp_{rest}"));
    let entries = json::entries(file, "schedules.json")?;
    let mut vp = entries.iter().map(|(k, _)| *k).filter(|k| k.starts_with("vp_beta"));
    let source = match &own {
        Some(name) => name.as_str(),
        None => vp.next().unwrap_or("vp_beta0.1_20"),
    };
    ensure!(own.is_some() || vp.next().is_none(), "several VP tables: which one is inverted?");
    let sde = constants::sde_of_key(source).with_context(|| format!("`{source}`"))??;
    let lambdas = json::numbers(table, "lam")?;
    let found = lambdas.iter().map(|&l| sde.time_of_half_log_snr(l)).collect::<Result<Vec<_>, _>>();
    relative(&found?, &json::numbers(table, "t")?, TOLERANCE)
}

/// `n` noise levels from the largest to the smallest: the grid of a VE process between the two.
fn karras(key: &str, rest: &str, table: &Value, cases: &mut Vec<Case>) {
    let parts: Result<Vec<f64>, _> = rest.split('_').map(str::parse).collect();
    let sizes = json::entries(table, key);
    let ([rho, lowest, highest], sizes) = match (parts.as_deref(), sizes) {
        (Ok(&[rho, lowest, highest]), Ok(sizes)) => ([rho, lowest, highest], sizes),
        (_, Err(e)) => return cases.push(Case::failed(key, e)),
        _ => {
            let error = anyhow::anyhow!("expected karras_rho<r>_<smallest>_<largest>");
            return cases.push(Case::failed(key, error));
        }
    };
    for (n, values) in sizes {
        let compared = (|| {
            let n: usize = n.parse().with_context(|| format!("`{n}` is no number of levels"))?;
            ensure!(n >= 2, "{n} levels");
            let sde = Ve::new(lowest, highest)?;
            let times = TimeGrid::Karras { rho }.times(&sde, n - 1, 1.0, 0.0)?;
            let found: Vec<f64> = times.iter().map(|&t| sde.marginal(t).sigma).collect();
            relative(&found, &json::list(values)?, TOLERANCE)
        })();
        cases.push(Case::of(format!("{key}/{n}"), compared));
    }
}

/// The discrete noise levels of score matching with Langevin dynamics: VE at equidistant times.
fn smld(rest: &str, table: &Value) -> Result<Deviation> {
    let mut parts = rest.split('_').map(str::parse::<f64>);
    let (Some(Ok(n)), Some(Ok(lowest)), Some(Ok(highest))) =
        (parts.next(), parts.next(), parts.next())
    else {
        anyhow::bail!("expected smld_N<n>_<smallest>_<largest>");
    };
    ensure!(n >= 2.0, "{n} levels");
    let sde = Ve::new(lowest, highest)?;
    let found: Vec<f64> =
        (0..n as usize).map(|i| sde.marginal(i as f64 / (n - 1.0)).sigma).collect();
    relative(&found, &json::list(table)?, TOLERANCE)
}

/// A column of a schedule with one constant, as a function of the constant and the argument.
type Column = fn(f64, f64) -> f64;

fn cosine(column: &str) -> Option<Column> {
    Some(match column {
        "alpha" => |s, t| Cosine { s }.alpha(t),
        "log_alpha" => |s, t| Cosine { s }.log_alpha(t),
        "sigma2" => |s, t| Cosine { s }.sigma2(t),
        "sigma" => |s, t| Cosine { s }.sigma2(t).sqrt(),
        "beta" => |s, t| Cosine { s }.beta(t),
        _ => return None,
    })
}

fn preconditioning(column: &str) -> Option<Column> {
    Some(match column {
        "c_skip" => |sigma_data, s| EdmPreconditioning { sigma_data }.c_skip(s),
        "c_out" => |sigma_data, s| EdmPreconditioning { sigma_data }.c_out(s),
        "c_in" => |sigma_data, s| EdmPreconditioning { sigma_data }.c_in(s),
        "c_noise" => |sigma_data, s| EdmPreconditioning { sigma_data }.c_noise(s),
        "loss_weight" => |sigma_data, s| EdmPreconditioning { sigma_data }.loss_weight(s),
        _ => return None,
    })
}

/// One case a column of a table over `argument`, with the constant of the key.
fn named(
    key: &str,
    constant: &str,
    argument: &str,
    function: fn(&str) -> Option<Column>,
    table: &Value,
    cases: &mut Vec<Case>,
) {
    let constant = constant.parse::<f64>().with_context(|| format!("`{key}` has no constant"));
    let read =
        constant.and_then(|c| Ok((c, json::numbers(table, argument)?, json::entries(table, key)?)));
    let (constant, at, columns) = match read {
        Ok(read) => read,
        Err(e) => return cases.push(Case::failed(key, e)),
    };
    for (column, values) in columns.into_iter().filter(|(c, _)| *c != argument) {
        let name = format!("{key}/{column}");
        let Some(function) = function(column) else {
            cases.push(Case::skip(&name, format!("unknown column `{column}`")));
            continue;
        };
        let found: Vec<f64> = at.iter().map(|x| function(constant, *x)).collect();
        let compared = json::list(values).and_then(|v| relative(&found, &v, TOLERANCE));
        cases.push(Case::of(name, compared));
    }
}

/// The betas of DDPM from 0.1/N to 20/N, and the products of `1 - beta`.
fn ddpm(key: &str, steps: &str, table: &Value, cases: &mut Vec<Case>) {
    let compare = |column: &str| {
        let n: usize = steps.parse().with_context(|| format!("`{key}` has no number of steps"))?;
        let betas = ddpm_betas(n, 0.1, 20.0);
        let found = if column == "betas" { betas } else { alphas_cumprod(&betas) };
        relative(&found, &json::numbers(table, column)?, TOLERANCE)
    };
    for column in ["betas", "alphas_cumprod"] {
        cases.push(Case::of(format!("{key}/{column}"), compare(column)));
    }
}
