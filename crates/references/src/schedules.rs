//! `schedules`: marginals, coefficients and grids against fifty-digit arithmetic, 1e-12 relative.

use sde_core::Ve;
use sde_core::schedule::{
    Cosine, EdmPreconditioning, alphas_cumprod, ddpm_betas, karras_sigmas, smld_sigmas,
};

use crate::prelude::*;
use crate::targets::sde_of_key;

const TOLERANCE: f64 = 1e-12;

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    let file = dir.json("schedules.json")?;
    for (key, table) in file.entries()? {
        family.group(key, |family| entry(&file, key, table, family));
    }
    Ok(())
}

fn entry(file: &Value, key: &str, table: &Value, family: &mut Family) -> Result<()> {
    let constants = decimals(key);
    let first = constants.first().copied().context("no constant in the key");
    let exact =
        |found: Vec<f64>, expected: Result<Vec<f64>>| check(found, expected?, By::Entry, TOLERANCE);
    if let Some(sde) = sde_of_key(key) {
        let sde = sde?;
        columns(key, table, "t", |name, t| process(sde.as_ref(), key, name, t), family)?;
    } else if key.starts_with("cosine_s") {
        let cosine = Cosine { s: first? };
        columns(key, table, "t", |name, t| cosine_column(cosine, name, t), family)?;
    } else if key.starts_with("edm_precond_sigma_data_") {
        let edm = EdmPreconditioning { sigma_data: first? };
        columns(key, table, "sigma", |name, sigma| preconditioning(edm, name, sigma), family)?;
    } else if key == "vp_inverse_lambda" {
        // Of the only VP in the file.
        let vp = file.entries()?.into_iter().filter(|(key, _)| key.starts_with("vp_beta"));
        let vp = vp.filter_map(|(key, _)| sde_of_key(key));
        let [sde] = &vp.collect::<Result<Vec<_>>>()?[..] else { bail!("expected one VP table") };
        family.add(key, || {
            let found = table.numbers("lam")?.into_iter().map(|l| sde.time_of_half_log_snr(l));
            exact(found.collect::<Result<_, _>>()?, table.numbers("t"))
        });
    } else if key.starts_with("karras_rho") {
        for (n, levels) in table.entries()? {
            family.add(format!("{key}/{n}"), || karras(n, &constants, &levels.list()?));
        }
    } else if key.starts_with("smld_N") {
        let [n, lowest, highest] = constants[..] else { bail!("expected N and two levels") };
        let sde = Ve::new(lowest, highest)?;
        // Score matching with Langevin dynamics is VE at equidistant times.
        let level = |i: usize| sde.marginal(i as f64 / (n - 1.0)).sigma;
        family.add(key, || {
            let found = exact((0..n as usize).map(level).collect(), table.list())?;
            Ok(found.and(exact(smld_sigmas(n as usize, lowest, highest), table.list())?))
        });
    } else if key.starts_with("ddpm_N") {
        let betas = ddpm_betas(first? as usize, 0.1, 20.0);
        let products = alphas_cumprod(&betas);
        for (column, found) in [("betas", betas), ("alphas_cumprod", products)] {
            family.add(format!("{key}/{column}"), || exact(found, table.numbers(column)));
        }
    } else {
        family.skip(format!("unknown table `{key}`"));
    }
    Ok(())
}

/// One case a column of a table over `argument`; `value` gives what stands in a column at one of its values.
fn columns(
    key: &str,
    table: &Value,
    argument: &str,
    value: impl Fn(&str, f64) -> Option<f64>,
    family: &mut Family,
) -> Result<()> {
    let at = table.numbers(argument)?;
    for (name, values) in table.entries()?.into_iter().filter(|(name, _)| *name != argument) {
        let Some(found) = at.iter().map(|x| value(name, *x)).collect::<Option<Vec<f64>>>() else {
            family.skip(format!("unknown column `{name}`"));
            continue;
        };
        // A logarithm is exact to within its argument's relative error: absolute near zero.
        let by = if name == "lambda_half_logsnr" { By::Mixed } else { By::Entry };
        family.add(format!("{key}/{name}"), || check(found, values.list()?, by, TOLERANCE));
    }
    Ok(())
}

/// By the public functions of an SDE.
fn process(sde: &dyn Sde, key: &str, column: &str, t: f64) -> Option<f64> {
    // `B`, the integral of beta, from the log-SNR: `e^B - 1 = e^{-2 lambda}` for VP, `2 sinh(B/2) = e^{-lambda}`
    // for sub-VP.
    let integral = || {
        let lambda = sde.half_log_snr(t);
        if key.starts_with("subvp_") {
            return 2.0 * (0.5 * (-lambda).exp()).asinh();
        }
        (-2.0 * lambda).max(0.0) + (-(2.0 * lambda).abs()).exp().ln_1p()
    };
    let has_beta = key.contains("vp_");
    Some(match column {
        "alpha" => sde.marginal(t).alpha,
        "sigma" => sde.marginal(t).sigma,
        "sigma2" => sde.marginal(t).sigma.powi(2),
        // The noise added since t = 0, where VE starts with sigma_min.
        "sigma2_minus_sigma0_2" => sde.transition(0.0, t).sigma.powi(2),
        "f" => sde.drift_coef(t),
        "g2" => sde.diffusion_squared(t),
        "g" => sde.diffusion(t),
        "lambda_half_logsnr" => sde.half_log_snr(t),
        "beta" if has_beta => -2.0 * sde.drift_coef(t),
        "int_beta" if has_beta => integral(),
        "log_alpha" if has_beta => -0.5 * integral(),
        _ => return None,
    })
}

fn cosine_column(cosine: Cosine, column: &str, t: f64) -> Option<f64> {
    Some(match column {
        "alpha" => cosine.alpha(t),
        "log_alpha" => cosine.log_alpha(t),
        "sigma2" => cosine.sigma2(t),
        "sigma" => cosine.sigma2(t).sqrt(),
        "beta" => cosine.beta(t),
        _ => return None,
    })
}

fn preconditioning(edm: EdmPreconditioning, column: &str, sigma: f64) -> Option<f64> {
    Some(match column {
        "c_skip" => edm.c_skip(sigma),
        "c_out" => edm.c_out(sigma),
        "c_in" => edm.c_in(sigma),
        "c_noise" => edm.c_noise(sigma),
        "loss_weight" => edm.loss_weight(sigma),
        _ => return None,
    })
}

/// `n` noise levels from the largest to the smallest, also as the grid of a VE process between the two.
fn karras(n: &str, constants: &[f64], expected: &[f64]) -> Result<Check> {
    let [rho, lowest, highest] = constants[..] else { bail!("expected rho and two levels") };
    let n: usize = n.parse().with_context(|| format!("`{n}` is no number of levels"))?;
    ensure!(n >= 2, "{n} levels");
    let sde = Ve::new(lowest, highest)?;
    let times = TimeGrid::Karras { rho }.times(&sde, n - 1, 1.0, 0.0)?;
    let grid = times.iter().map(|t| sde.marginal(*t).sigma);
    let grid = check(grid, expected, By::Entry, TOLERANCE)?;
    Ok(grid.and(check(karras_sigmas(n, lowest, highest, rho), expected, By::Entry, TOLERANCE)?))
}
