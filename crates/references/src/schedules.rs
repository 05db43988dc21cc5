//! `schedules`: marginals, coefficients and grids against fifty-digit arithmetic, 1e-12 relative.

use anyhow::{Context, Result, bail, ensure};
use sde_core::schedule::{
    Cosine, EdmPreconditioning, alphas_cumprod, ddpm_betas, karras_sigmas, smld_sigmas,
};
use sde_core::{Sde, TimeGrid, Ve};
use serde_json::Value;

use crate::case::{By, Cases, check};
use crate::read::{Folder, Json};
use crate::targets::{decimals, sde_of_key};

const TOLERANCE: f64 = 1e-12;

/// What a column holds, as a function of its argument.
type Column = Box<dyn Fn(f64) -> f64>;

pub(crate) fn cases(dir: &Folder, cases: &mut Cases) -> Result<()> {
    let Some(file) = dir.json("schedules.json")? else { return Ok(()) };
    for (key, table) in file.entries()? {
        cases.group(key, |cases| entry(&file, key, table, cases));
    }
    Ok(())
}

fn entry(file: &Value, key: &str, table: &Value, cases: &mut Cases) -> Result<()> {
    let number = |prefix: &str| Some(decimals(key.strip_prefix(prefix)?));
    if sde_of_key(key).is_some() {
        return columns(key, table, "t", process, cases);
    } else if key.starts_with("cosine_s") {
        return columns(key, table, "t", cosine, cases);
    } else if key.starts_with("edm_precond_sigma_data_") {
        return columns(key, table, "sigma", preconditioning, cases);
    } else if key.starts_with("vp_inverse_lambda") {
        let sde = inverted(file, key)?;
        cases.add(key, || {
            let lambdas = table.numbers("lam")?;
            let found: Result<Vec<_>, _> =
                lambdas.iter().map(|l| sde.time_of_half_log_snr(*l)).collect();
            check(&found?, &table.numbers("t")?, By::Entry, TOLERANCE)
        });
    } else if let Some(constants) = number("karras_rho") {
        for (n, levels) in table.entries()? {
            cases.add(format!("{key}/{n}"), || karras(n, &constants, &levels.list()?));
        }
    } else if let Some(constants) = number("smld_N") {
        let [n, lowest, highest] = constants[..] else { bail!("expected N and two levels") };
        let sde = Ve::new(lowest, highest)?;
        // Score matching with Langevin dynamics is VE at equidistant times.
        let level = |i: usize| sde.marginal(i as f64 / (n - 1.0)).sigma;
        let found: Vec<f64> = (0..n as usize).map(level).collect();
        let direct = smld_sigmas(n as usize, lowest, highest);
        cases.add(key, || {
            let expected = table.list()?;
            let found = check(&found, &expected, By::Entry, TOLERANCE)?;
            Ok(found.and(check(&direct, &expected, By::Entry, TOLERANCE)?))
        });
    } else if let Some(constants) = number("ddpm_N") {
        let betas = ddpm_betas(constants.first().copied().context("N")? as usize, 0.1, 20.0);
        let products = alphas_cumprod(&betas);
        for (column, found) in [("betas", betas), ("alphas_cumprod", products)] {
            cases.add(format!("{key}/{column}"), || {
                check(&found, &table.numbers(column)?, By::Entry, TOLERANCE)
            });
        }
    } else {
        cases.skip(key, "unknown table");
    }
    Ok(())
}

/// One case a column of a table over `argument`; `column` gives what it holds by key and name.
fn columns(
    key: &str,
    table: &Value,
    argument: &str,
    column: fn(&str, &str) -> Result<Option<Column>>,
    cases: &mut Cases,
) -> Result<()> {
    let at = table.numbers(argument)?;
    for (name, values) in table.entries()?.into_iter().filter(|(name, _)| *name != argument) {
        let case = format!("{key}/{name}");
        let Some(function) = column(key, name)? else {
            cases.skip(case, format!("unknown column `{name}`"));
            continue;
        };
        let found: Vec<f64> = at.iter().map(|x| function(*x)).collect();
        // A logarithm is exact to within its argument's relative error: absolute near zero.
        let by = if name == "lambda_half_logsnr" { By::Mixed } else { By::Entry };
        cases.add(case, || check(&found, &values.list()?, by, TOLERANCE));
    }
    Ok(())
}

/// By the public functions of an SDE.
fn process(key: &str, column: &str) -> Result<Option<Column>> {
    let sde = sde_of_key(key).context("no process")??;
    let has_beta = key.contains("vp_");
    // `B` from the log-SNR: `e^B - 1 = e^{-2 lambda}` for VP, `2 sinh(B/2) = e^{-lambda}` for sub-VP.
    let integral: fn(&dyn Sde, f64) -> f64 = if key.starts_with("subvp_") {
        |s, t| 2.0 * (0.5 * (-s.half_log_snr(t)).exp()).asinh()
    } else {
        |s, t| {
            let y = -2.0 * s.half_log_snr(t);
            y.max(0.0) + (-y.abs()).exp().ln_1p()
        }
    };
    Ok(Some(match column {
        "alpha" => Box::new(move |t| sde.marginal(t).alpha),
        "sigma" => Box::new(move |t| sde.marginal(t).sigma),
        "sigma2" => Box::new(move |t| sde.marginal(t).sigma.powi(2)),
        // The noise added since t = 0, where VE starts with sigma_min.
        "sigma2_minus_sigma0_2" => Box::new(move |t| sde.transition(0.0, t).sigma.powi(2)),
        "f" => Box::new(move |t| sde.drift_coef(t)),
        "g2" => Box::new(move |t| sde.diffusion_squared(t)),
        "g" => Box::new(move |t| sde.diffusion(t)),
        "lambda_half_logsnr" => Box::new(move |t| sde.half_log_snr(t)),
        "beta" if has_beta => Box::new(move |t| -2.0 * sde.drift_coef(t)),
        "int_beta" if has_beta => Box::new(move |t| integral(sde.as_ref(), t)),
        "log_alpha" if has_beta => Box::new(move |t| -0.5 * integral(sde.as_ref(), t)),
        _ => return Ok(None),
    }))
}

fn cosine(key: &str, column: &str) -> Result<Option<Column>> {
    let s = decimals(key).first().copied().context("the constant")?;
    let cosine = Cosine { s };
    Ok(Some(match column {
        "alpha" => Box::new(move |t| cosine.alpha(t)),
        "log_alpha" => Box::new(move |t| cosine.log_alpha(t)),
        "sigma2" => Box::new(move |t| cosine.sigma2(t)),
        "sigma" => Box::new(move |t| cosine.sigma2(t).sqrt()),
        "beta" => Box::new(move |t| cosine.beta(t)),
        _ => return Ok(None),
    }))
}

fn preconditioning(key: &str, column: &str) -> Result<Option<Column>> {
    let sigma_data = decimals(key).first().copied().context("the constant")?;
    let edm = EdmPreconditioning { sigma_data };
    Ok(Some(match column {
        "c_skip" => Box::new(move |s| edm.c_skip(s)),
        "c_out" => Box::new(move |s| edm.c_out(s)),
        "c_in" => Box::new(move |s| edm.c_in(s)),
        "c_noise" => Box::new(move |s| edm.c_noise(s)),
        "loss_weight" => Box::new(move |s| edm.loss_weight(s)),
        _ => return Ok(None),
    }))
}

/// The VP whose lambda a table inverts: of the key's constants, or the only one in the file.
fn inverted(file: &Value, key: &str) -> Result<Box<dyn Sde>> {
    let own = key.strip_prefix("vp_inverse_lambda_").map(|rest| format!("vp_{rest}"));
    let entries = file.entries()?;
    let mut vp = entries.iter().map(|(k, _)| *k).filter(|k| k.starts_with("vp_beta"));
    let source = own.as_deref().unwrap_or_else(|| vp.next().unwrap_or("vp_beta0.1_20"));
    ensure!(own.is_some() || vp.next().is_none(), "several VP tables: which one is inverted?");
    sde_of_key(source).with_context(|| format!("`{source}`"))?
}

/// `n` noise levels from the largest to the smallest, also as the grid of a VE process between the two.
fn karras(n: &str, constants: &[f64], expected: &[f64]) -> Result<crate::case::Check> {
    let [rho, lowest, highest] = constants[..] else { bail!("expected rho and two levels") };
    let n: usize = n.parse().with_context(|| format!("`{n}` is no number of levels"))?;
    ensure!(n >= 2, "{n} levels");
    let sde = Ve::new(lowest, highest)?;
    let times = TimeGrid::Karras { rho }.times(&sde, n - 1, 1.0, 0.0)?;
    let found: Vec<f64> = times.iter().map(|&t| sde.marginal(t).sigma).collect();
    let grid = check(&found, expected, By::Entry, TOLERANCE)?;
    let direct: Vec<f64> = karras_sigmas(n, lowest, highest, rho).into_iter().collect();
    Ok(grid.and(check(&direct, expected, By::Entry, TOLERANCE)?))
}
