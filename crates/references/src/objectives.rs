//! `networks/objectives`: losses, their gradients, weights and laws of the times, 1e-12.
//!
//! Every loss is recomputed from a process, a parametrisation, a weighting and a reduction of the
//! libraries; the network is the tiny one of the references, with its own gradient.

mod losses;
mod tiny;

use score_nets::{TimeDistribution, Weighting, importance_integral};
use sde_core::{CosineVp, Rectified};

use crate::prelude::*;

const TOLERANCE: f64 = 1e-12;

/// Compares the arrays of an archive, under the settings that it was made with.
type Compare = fn(&mut Archive<'_>, &Value) -> Result<()>;

const ARCHIVES: [(&str, Compare); 6] = [
    ("score_sde_losses", losses::score_sde),
    ("edm_losses", losses::edm),
    ("diffusers_losses", losses::discrete),
    ("flow_matching", losses::straight),
    ("weights", weights),
    ("importance", importance),
];

pub(crate) fn cases(dir: &Folder, family: &mut Family) -> Result<()> {
    let meta = dir.json("meta.json")?;
    dir.archives(family, |stem, npz, family| {
        let known = ARCHIVES.iter().find(|(name, _)| *name == stem);
        let (_, compare) = known.with_context(|| Absent("unknown archive".into()))?;
        let mut archive = Archive::new(npz, &format!("{stem}/"), TOLERANCE, family);
        // Given to all files, whether or not a loss takes them.
        archive.know(["u", "labels"]);
        compare(&mut archive, &meta)?;
        archive.skip_unknown();
        Ok(())
    })
}

/// The process of a short name, with the constants of the settings; `None` for one of another kind.
fn process(meta: &Value, name: &str) -> Result<Option<Box<dyn Sde>>> {
    let constants: &[&str] = match name {
        "vp" | "subvp" => &["beta_min", "beta_max"],
        "ve" => &["sigma_min", "sigma_max"],
        "ou" => &["ou_T"],
        "cosine" => return Ok(Some(Box::new(CosineVp))),
        "linear" => return Ok(Some(Box::new(Rectified))),
        _ => return Ok(None),
    };
    let constants = constants.iter().map(|key| meta.number(key)).collect::<Result<Vec<_>>>()?;
    sde(name, &constants).map(Some)
}

/// What score_flow's series for small exponents leaves, of the largest entry: 3e-5 is stated.
const SERIES: f64 = 5e-5;

fn weights(archive: &mut Archive<'_>, meta: &Value) -> Result<()> {
    for name in archive.named("", "_t") {
        let Some(sde) = process(meta, &name)? else { continue };
        let times = archive.flat(&format!("{name}_t"))?;
        for column in archive.named(&format!("{name}_"), "").into_iter().filter(|c| c != "t") {
            let found = times.iter().map(|t| value(meta, &column, sde.as_ref(), *t));
            let Some(found) = found.collect::<Result<Option<Vec<f64>>>>()? else { continue };
            // A logarithm is as exact as its argument relatively: absolute near zero.
            let by = if column == "log_snr" { By::Mixed } else { By::Entry };
            archive.check(&format!("{name}_{column}"), found, by);
        }
    }
    Ok(())
}

/// What a column holds at time `t`; `None` for one that is not known.
fn value(meta: &Value, column: &str, sde: &dyn Sde, t: f64) -> Result<Option<f64>> {
    let level = Level::at(sde, t);
    if let Some(name) = column.strip_prefix("w_") {
        return weight(meta, name, &level);
    }
    // The squared error of what a network gives for one of the noise.
    let per_eps = |output: Parametrisation| output.error_per_eps(&level).powi(2);
    Ok(Some(match column {
        "alpha" => sde.marginal(t).alpha,
        "sigma" => sde.marginal(t).sigma,
        "g2" => sde.diffusion_squared(t),
        "log_snr" => 2.0 * sde.half_log_snr(t),
        "dlogsnr_dt" => -level.snr_decay(),
        "native_x0_per_eps" => per_eps(Parametrisation::X0),
        "native_v_per_eps" => per_eps(Parametrisation::V),
        "native_fm_v_per_eps" => per_eps(Parametrisation::Velocity),
        _ => return Ok(None),
    }))
}

/// A weight on the squared error of the noise, or on that of another output where the name says so.
fn weight(meta: &Value, name: &str, level: &Level) -> Result<Option<f64>> {
    let mut on = (Parametrisation::Eps, *level);
    let weighting = match name {
        "sigma2" => Weighting::SigmaSquared,
        "g2" => Weighting::DiffusionSquared,
        "vdm" => Weighting::Vdm,
        "edm" => Weighting::Edm { sigma_data: meta.number("edm_weight_sigma_data")? },
        "sigmoid" => Weighting::Sigmoid { b: meta.number("sigmoid_b")? },
        "sigmoid_dt" => Weighting::SigmoidTime { b: meta.number("sigmoid_b")? },
        "p2" => {
            let p2 = meta.member("p2")?;
            Weighting::P2 { k: p2.number("k")?, gamma: p2.number("gamma")? }
        }
        _ => {
            let Some(name) = name.strip_prefix("minsnr") else { return Ok(None) };
            let (gamma, form) = name.split_once('_').context("expected minsnr<gamma>_<form>")?;
            on = match form {
                "eps" => on,
                "x0_native" => (Parametrisation::X0, *level),
                // Published for alpha^2 + sigma^2 = 1, and taken at the same signal-to-noise ratio elsewhere.
                "v_native" => (Parametrisation::V, level.variance_preserving()),
                _ => return Ok(None),
            };
            Weighting::MinSnr { gamma: gamma.parse().context("minsnr<gamma>")? }
        }
    };
    Ok(Some(weighting.on(on.0, &on.1)))
}

/// Times with density proportional to `g^2 / sigma^2`.
fn importance(archive: &mut Archive<'_>, meta: &Value) -> Result<()> {
    for key in archive.named("", "_Z") {
        let (name, eps) = key.split_once("_eps").context("expected <process>_eps<t_min>")?;
        let eps: f64 = eps.parse().with_context(|| format!("`{key}` carries no smallest time"))?;
        let Some(sde) = process(meta, name)? else { continue };
        let (sde, law) = (sde.as_ref(), TimeDistribution::LogSnr);
        let array = |quantity: &str| format!("{key}_{quantity}");
        let (times, u) = (archive.flat(&array("t"))?, archive.flat(&array("u"))?);
        let z = importance_integral(sde, eps)?;
        let shares = times.iter().map(|t| law.cdf(sde, eps, *t)).collect::<Result<Vec<_>, _>>()?;
        let density = times.iter().map(|t| law.density(sde, eps, *t));
        let density = density.collect::<Result<Vec<_>, _>>()?;
        let inverse = u.iter().map(|u| law.time(sde, eps, *u)).collect::<Result<Vec<_>, _>>()?;
        archive.check(&array("Z"), [z], By::Entry);
        archive.check(&array("cdf"), &shares, By::Mixed);
        archive.check(&array("pdf"), density, By::Entry);
        archive.check(&array("inv"), inverse, By::Mixed);
        let weights = shares.iter().map(|s| s * z);
        archive.check_to(&array("score_flow_cum_weight"), weights, LARGEST, SERIES);
    }
    Ok(())
}
